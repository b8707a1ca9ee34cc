package guru

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// person is what Guru calls a User: the account of a person or an agent.
type person struct {
	ID        text `json:"id"`
	Status    text `json:"status"`
	Email     text `json:"email"`
	FirstName text `json:"firstName"`
	LastName  text `json:"lastName"`
	UserType  text `json:"userType"`
}

// stated says whether anything is there besides an id.
func (p *person) stated() bool {
	return p.Status.value != "" || p.Email.value != "" || p.FirstName.value != "" || p.LastName.value != "" || p.UserType.value != ""
}

// row is what Guru calls a TeamUser: a member of the team. Its person is in
// User or, in a bare row, at the top level. A field token, which may stand
// beside these, is not read.
type row struct {
	ID text `json:"id"`
	person
	User           *person    `json:"user"`
	DateCreated    text       `json:"dateCreated"`
	HighestRole    text       `json:"highestRole"`
	ManagedByScim  flag       `json:"managedByScim"`
	UserAttributes attributes `json:"userAttributes"`

	key string
}

type attributes struct{ billingType string }

// UnmarshalJSON implements json.Unmarshaler; what is no object has no
// attributes.
func (a *attributes) UnmarshalJSON(b []byte) error {
	var fields struct {
		BillingType text `json:"BILLING_TYPE"`
	}
	_ = json.Unmarshal(b, &fields) // see above
	a.billingType = fields.BillingType.trim()
	return nil
}

// memberRow is what Guru calls a UserGroupMember, as far as it is needed.
type memberRow struct {
	ID    text `json:"id"`
	Email text `json:"email"`
	User  *struct {
		Email text `json:"email"`
	} `json:"user"`
}

// userKey is the id of a user: the one rule for the list of members and for
// the lists of a group's members, so that a grant finds its user whichever
// shape either list has.
//
// Guru's identity is the e-mail address. In a row with a user it is the row's
// own id, and the user's e-mail where that is missing. In a bare row, whose
// own id is that of the user and not an address, it is the e-mail, and the id
// only where there is none. White space around it and letter case do not
// count. The empty text says that the row has no key.
func userKey(id, bareEmail text, nested bool, nestedEmail text) string {
	first, second := bareEmail, id
	if nested {
		first, second = id, nestedEmail
	}
	for _, t := range []text{first, second} {
		if key := strings.ToLower(t.trim()); key != "" {
			return key
		}
	}
	return ""
}

// unkept is what a row with such an id lacks, nothing where it can be kept.
func unkept(id string) (missing string) {
	switch {
	case len(id) > directory.MaxID:
		return "an id of at most 1,024 bytes"
	case strings.ContainsRune(id, utf8.RuneError):
		// The decoder puts this character for bytes that are not UTF-8, and
		// two broken ids could become one.
		return "an id that is valid UTF-8"
	}
	return ""
}

// member is the key of the user who is in the group. A row without a user is
// complete all the same: its id says who it is.
func (r *memberRow) member() (key, missing string) {
	var nested text
	if r.User != nil {
		nested = r.User.Email
	}
	key = userKey(r.ID, r.Email, r.User != nil, nested)
	switch {
	case r.ID.odd:
		return "", "an id that is a text"
	case key == "":
		return "", "an id and an e-mail address"
	case unkept(key) != "":
		return "", unkept(key)
	}
	return key, ""
}

// settle finds the row's key and person. It says what is missing if the row
// is not complete: without a user nothing is known of an account's status,
// and an account that is taken for enabled is a false statement.
func (r *row) settle() (missing string) {
	who := r.who()
	nested := r.User != nil
	switch {
	case r.ID.odd:
		return "an id that is a text"
	case who.Status.odd:
		return "a status that is a text"
	}
	r.key = userKey(r.ID, r.Email, nested, who.Email)
	switch {
	case r.key == "":
		return "an id and an e-mail address"
	case !who.stated():
		return "a user"
	}
	return unkept(r.key)
}

func (r *row) who() *person {
	if r.User != nil {
		return r.User
	}
	return &r.person
}

// notStated is what the profile says of a status that Guru does not state.
const notStated = "not stated"

// user is the row in the words of the directory.
func (r *row) user() directory.User {
	who := r.who()
	first, last := who.FirstName.trim(), who.LastName.trim()
	email := who.Email.trim()
	if id := r.ID.trim(); email == "" && strings.Contains(id, "@") {
		email = id // the address that the user's own field leaves out
	}
	u := directory.User{
		ID:          r.key,
		Login:       email,
		DisplayName: strings.TrimSpace(first + " " + last),
		Service:     strings.EqualFold(who.UserType.trim(), "KNOWLEDGE_AGENT"),
		CreatedAt:   date(r.DateCreated.value),
	}
	if u.DisplayName == "" {
		u.DisplayName = email
	}
	if u.DisplayName == "" {
		u.DisplayName = r.key
	}
	if email != "" {
		u.Emails = []directory.Email{{Address: email, Primary: true}}
	}
	status := who.Status.trim()
	u.StatusDetail = status
	u.Disabled = status != "" && !strings.EqualFold(status, "ACTIVE")
	if status == "" {
		status = notStated
	}
	id := r.key
	if who.ID.trim() != "" {
		id = who.ID.trim()
	} else if r.User == nil && r.ID.trim() != "" {
		id = r.ID.trim()
	}
	u.Profile = map[string]any{"user_id": id, "status": status}
	for name, value := range map[string]string{
		"first_name":   first,
		"last_name":    last,
		"user_type":    who.UserType.trim(),
		"highest_role": r.HighestRole.trim(),
		"billing_type": r.UserAttributes.billingType,
	} {
		if value != "" {
			u.Profile[name] = value
		}
	}
	if r.ManagedByScim.stated {
		u.Profile["managed_by_scim"] = r.ManagedByScim.value
	}
	return u
}

// groupRow is what Guru calls a UserGroup. Its numberOfMembers is left out:
// samples state 0 for the group of all members.
type groupRow struct {
	ID              text `json:"id"`
	Name            text `json:"name"`
	DateCreated     text `json:"dateCreated"`
	GroupIdentifier text `json:"groupIdentifier"`
	Modifiable      flag `json:"modifiable"`
	ManagedByScim   flag `json:"managedByScim"`
}

// group is the row in the words of the directory. It says what is missing if
// the row is not complete.
func (r *groupRow) group() (g directory.Group, missing string) {
	id := r.ID.trim()
	switch {
	case r.ID.odd:
		return g, "an id that is a text"
	case id == "":
		return g, "an id"
	case unkept(id) != "":
		return g, unkept(id)
	}
	g = directory.Group{
		ID:        id,
		Name:      r.Name.trim(),
		CreatedAt: date(r.DateCreated.value),
		Profile:   map[string]any{"group_id": id},
	}
	if g.Name == "" {
		g.Name = id
	}
	if identifier := r.GroupIdentifier.trim(); identifier != "" {
		g.Profile["group_identifier"] = identifier
	}
	if r.Modifiable.stated {
		g.Profile["modifiable"] = r.Modifiable.value
	}
	if r.ManagedByScim.stated {
		g.Profile["managed_by_scim"] = r.ManagedByScim.value
	}
	return g, ""
}
