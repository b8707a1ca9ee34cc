package guru

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Users lists the members of the team.
func (s *Source) Users(ctx context.Context, text string) (directory.Page[directory.User], error) {
	at := s.users.start(unrouted)
	if text != "" {
		var err error
		if at, err = s.users.parse(text); err != nil {
			return directory.Page[directory.User]{}, err
		}
	}
	rows, next, err := s.users.read(ctx, s.client, at)
	if err != nil {
		return directory.Page[directory.User]{}, err
	}
	page := directory.Page[directory.User]{Rows: make([]directory.User, len(rows)), Next: s.users.encode(next)}
	for i := range rows {
		page.Rows[i] = rows[i].user()
	}
	return page, nil
}

func decodeUsers(a *rest.Answer, page int) ([]userRow, error) {
	// Guru answers 204 for an empty list, and the last page may have become
	// empty since the link to it was made.
	rows, err := decodeList[userRow](a, page, noContentIsEmpty)
	if err != nil {
		return nil, err
	}
	if page == 1 && len(rows) == 0 {
		return nil, a.Errorf(codes.FailedPrecondition, rest.Advice{
			Cause: "the user of the API token is a member of the team, so this cannot be the whole truth",
			Next:  "check the base URL, and that the user may read the team's members",
		}, "the list of the team's members is empty")
	}
	for i := range rows {
		if err := rows[i].validate(); err != nil {
			return nil, badRow(a, page, i, err)
		}
	}
	return rows, nil
}

// account is what Guru calls a User: the account of a person or an agent.
type account struct {
	ID        rest.Text `json:"id"`
	Status    rest.Text `json:"status"`
	Email     rest.Text `json:"email"`
	FirstName rest.Text `json:"firstName"`
	LastName  rest.Text `json:"lastName"`
	UserType  rest.Text `json:"userType"`
}

// stated says whether anything is there besides an id.
func (a *account) stated() bool {
	return a.Status.Value != "" || a.Email.Value != "" || a.FirstName.Value != "" || a.LastName.Value != "" || a.UserType.Value != ""
}

// userRow is what Guru calls a TeamUser: a member of the team. Its account is
// in User or, in a bare row, at the top level. A field token, which may stand
// beside these, is not read.
type userRow struct {
	ID rest.Text `json:"id"`
	account
	User           *account                `json:"user"`
	DateCreated    rest.Text               `json:"dateCreated"`
	HighestRole    rest.Text               `json:"highestRole"`
	ManagedByScim  rest.Bool               `json:"managedByScim"`
	UserAttributes rest.Object[attributes] `json:"userAttributes"`

	key string
}

type attributes struct {
	BillingType rest.Text `json:"BILLING_TYPE"`
}

func (r *userRow) who() *account {
	if r.User != nil {
		return r.User
	}
	return &r.account
}

// validate finds the row's key. It says what is wrong if the row is not
// complete: without an account nothing is known of its status, and an account
// that is taken for enabled is a false statement.
func (r *userRow) validate() error {
	who := r.who()
	switch {
	case r.ID.Invalid:
		return errIDKind
	case who.Status.Invalid:
		return errors.New("has a status that is not a text")
	}
	r.key = userKey(r.ID, r.Email, r.User != nil, who.Email)
	switch {
	case r.key == "":
		return errNoKey
	case !who.stated():
		return errors.New("lacks a user")
	}
	return directory.CheckID(r.key)
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
func userKey(id, bareEmail rest.Text, nested bool, nestedEmail rest.Text) string {
	first, second := bareEmail, id
	if nested {
		first, second = id, nestedEmail
	}
	for _, t := range []rest.Text{first, second} {
		if key := strings.ToLower(t.Trim()); key != "" {
			return key
		}
	}
	return ""
}

// notStated is what the profile says of a status that Guru does not state.
const notStated = "not stated"

// user is the row in the words of the directory.
func (r *userRow) user() directory.User {
	who := r.who()
	first, last := who.FirstName.Trim(), who.LastName.Trim()
	email := who.Email.Trim()
	if id := r.ID.Trim(); email == "" && strings.Contains(id, "@") {
		email = id // the address that the user's own field leaves out
	}
	u := directory.User{
		ID:          r.key,
		Login:       email,
		DisplayName: strings.TrimSpace(first + " " + last),
		Service:     strings.EqualFold(who.UserType.Trim(), "KNOWLEDGE_AGENT"),
		CreatedAt:   date(r.DateCreated.Value),
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
	status := who.Status.Trim()
	u.StatusDetail = status
	u.Disabled = status != "" && !strings.EqualFold(status, "ACTIVE")
	if status == "" {
		status = notStated
	}
	id := r.key
	if who.ID.Trim() != "" {
		id = who.ID.Trim()
	} else if r.User == nil && r.ID.Trim() != "" {
		id = r.ID.Trim()
	}
	u.Profile = map[string]any{"user_id": id, "status": status}
	for name, value := range map[string]string{
		"first_name":   first,
		"last_name":    last,
		"user_type":    who.UserType.Trim(),
		"highest_role": r.HighestRole.Trim(),
		"billing_type": r.UserAttributes.Value.BillingType.Trim(),
	} {
		if value != "" {
			u.Profile[name] = value
		}
	}
	if r.ManagedByScim.Stated {
		u.Profile["managed_by_scim"] = r.ManagedByScim.Value
	}
	return u
}
