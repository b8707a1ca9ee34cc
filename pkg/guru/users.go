package guru

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

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
	last := s.users.encode(next)
	i, err := s.accounts.add(rows, text, last)
	if err != nil {
		return directory.Page[directory.User]{}, &rest.Error{
			URL: s.base + "/" + members, Code: codes.FailedPrecondition, What: fmt.Sprintf("page %d: the row at index %d %v", at.Page, i, err),
			Advice: rest.Advice{Cause: "Guru has two accounts with one address", Next: "give one of them another address in Guru, or remove it"},
		}
	}
	if err := s.owner.check(ctx, s, rows, text == ""); err != nil {
		return directory.Page[directory.User]{}, err
	}
	page := directory.Page[directory.User]{Rows: make([]directory.User, len(rows)), Next: last}
	for i := range rows {
		page.Rows[i] = rows[i].user()
	}
	return page, nil
}

func decodeUsers(a *rest.Answer, page int) ([]userRow, error) {
	rows, err := decodeList[userRow](a, page, false)
	if err != nil {
		return nil, err
	}
	if page == 1 && len(rows) == 0 {
		return nil, a.Errorf(codes.FailedPrecondition, rest.Advice{
			Cause: "the user of the API token is a member of the team, so this list is incomplete",
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

// account is the account of a person or an agent, Guru's User.
type account struct {
	ID        rest.Text `json:"id"`
	Status    rest.Text `json:"status"`
	Email     rest.Text `json:"email"`
	FirstName rest.Text `json:"firstName"`
	LastName  rest.Text `json:"lastName"`
	UserType  rest.Text `json:"userType"`
}

// stated reports whether the account has anything besides an id.
func (a *account) stated() bool {
	return a.Status.Value != "" || a.Email.Value != "" || a.FirstName.Value != "" || a.LastName.Value != "" || a.UserType.Value != ""
}

// userRow is a member of the team, Guru's TeamUser. Its account is in User or, in
// a bare row, at the top level. Rows may also have a field token, which is not
// read.
type userRow struct {
	ID rest.Text `json:"id"`
	account
	User           *account                `json:"user"`
	DateCreated    rest.Text               `json:"dateCreated"`
	HighestRole    rest.Text               `json:"highestRole"`
	ManagedByScim  rest.Bool               `json:"managedByScim"`
	UserAttributes rest.Object[attributes] `json:"userAttributes"`
	Groups         ownGroups               `json:"groups"`

	key string
}

// ownGroups are the ids of the groups that a row names. It is nil if they cannot be
// read: the groups' lists of members state the same, so the row does not fail.
type ownGroups []string

// UnmarshalJSON implements json.Unmarshaler.
func (g *ownGroups) UnmarshalJSON(b []byte) error {
	*g = nil
	if len(b) <= len("[]") {
		return nil
	}
	var rows []struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(b, &rows) // an unreadable value leaves an id empty, or no rows
	ids := make([]string, len(rows))
	readable := true
	for i := range rows {
		ids[i] = rows[i].ID
		readable = readable && directory.CheckID(ids[i]) == nil
	}
	if readable && len(ids) > 0 {
		*g = ids
	}
	return nil
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

// validate sets the row's key, or returns an error that reads as the end of a
// sentence. A row without an account is an error: its user would look enabled
// although the status is unknown.
func (r *userRow) validate() error {
	who := r.who()
	if who.Status.Invalid || r.Status.Invalid {
		return errors.New("has a status that is not a text")
	}
	key, err := userKey(r.ID, who.Email, r.userID())
	if err != nil {
		return err
	}
	if !who.stated() {
		return errors.New("lacks a user")
	}
	r.key = key
	return nil
}

// userID is Guru's id of the user; in a bare row, the row's own id.
func (r *userRow) userID() rest.Text {
	if r.User != nil {
		return r.User.ID
	}
	return r.ID
}

// userKey returns the id of a user, for rows of the list of members and of a
// group's list of members alike, so that a grant finds its user.
//
// The id is the e-mail address: the user's own or, without one, the row's id if
// that is an address. An agent may have no address; its id is the user's id. White
// space around an address is removed and ASCII letters are lowered. Other letters
// stay as they are, because folding them could make two people one.
func userKey(rowID, email, userID rest.Text) (string, error) {
	key := email.Trim()
	if id := rowID.Trim(); key == "" && strings.Contains(id, "@") {
		key = id
	}
	switch {
	case rowID.Invalid:
		return "", errIDKind
	case email.Invalid:
		return "", errors.New("has an e-mail address that is not a text")
	case key != "":
		key = strings.Map(lowerASCII, key)
	case userID.Trim() == "":
		return "", errNoKey
	default:
		key = userID.Value
	}
	if err := directory.CheckID(key); err != nil {
		return "", err
	}
	return key, nil
}

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// accounts detects two accounts with one address. It remembers the accounts that a
// walk over the list of members has seen in this process, with 16 bytes each.
type accounts struct {
	mu sync.Mutex
	// seen maps the fingerprint of a key to the fingerprint of the user id,
	// with the lowest bit set, or else of the address before lowering.
	seen map[uint64]uint64
	sequence
}

// add records the rows of the page at a cursor. If a row's key was seen with
// another account, it fails with the row's index. A row may come twice.
func (a *accounts) add(rows []userRow, cursor, next string) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.step(cursor, next); cursor == "" || a.seen == nil {
		a.seen = map[uint64]uint64{}
	}
	for i := range rows {
		r := &rows[i]
		account := directory.Fingerprint(r.userID().Value) | 1
		if r.userID().Trim() == "" {
			account = directory.Fingerprint(r.ID.Value+"\x00"+r.who().Email.Value) &^ 1
		}
		key := directory.Fingerprint(r.key)
		if other, known := a.seen[key]; known && other != account && other&1 == account&1 {
			return i, errors.New("has the address of an earlier account, apart from letter case: both would become one user")
		}
		a.seen[key] = account
	}
	return 0, nil
}

// lacks reports whether this process has read all pages of the list and none had
// the account with this key or user id, of which one may be empty.
func (a *accounts) lacks(key, id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.complete() || key == "" && id == "" {
		return false
	}
	if _, listed := a.seen[directory.Fingerprint(key)]; listed {
		return false
	}
	wanted := directory.Fingerprint(id) | 1
	for _, account := range a.seen {
		if account == wanted {
			return false
		}
	}
	return true
}

// status is the status of the user or, without one, of the row. If both are stated
// and differ, it names both and is not active.
func (r *userRow) status() string {
	status, own := r.who().Status.Trim(), r.Status.Trim()
	switch {
	case status == "" || strings.EqualFold(status, own):
		return cmp.Or(status, own)
	case own == "":
		return status
	}
	return status + " and " + own
}

// notStated is the status in the profile if Guru states none.
const notStated = "not stated"

// user converts the row.
func (r *userRow) user() directory.User {
	who := r.who()
	first, last := who.FirstName.Trim(), who.LastName.Trim()
	email := who.Email.Trim()
	if id := r.ID.Trim(); email == "" && strings.Contains(id, "@") {
		email = id // the user's own field has none
	}
	u := directory.User{
		ID:          r.key,
		Login:       email,
		DisplayName: strings.TrimSpace(first + " " + last),
		Service:     strings.EqualFold(who.UserType.Trim(), "KNOWLEDGE_AGENT"),
		CreatedAt:   date(r.DateCreated.Value),
		Groups:      r.Groups,
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
	status := r.status()
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
