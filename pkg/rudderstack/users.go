package rudderstack

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// userRow has the attributes that are read of a SCIM user (RFC 7643, sections 3.1,
// 4.1 and 4.3).
type userRow struct {
	ID          rest.Text               `json:"id"`
	ExternalID  rest.Text               `json:"externalId"`
	UserName    rest.Text               `json:"userName"`
	DisplayName rest.Text               `json:"displayName"`
	Title       rest.Text               `json:"title"`
	UserType    rest.Text               `json:"userType"`
	Name        rest.Object[nameRow]    `json:"name"`
	Emails      emailRows               `json:"emails"`
	Active      rest.Bool               `json:"active"`
	Meta        rest.Object[metaRow]    `json:"meta"`
	Enterprise  rest.Object[enterprise] `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
}

type nameRow struct {
	Formatted  rest.Text `json:"formatted"`
	GivenName  rest.Text `json:"givenName"`
	FamilyName rest.Text `json:"familyName"`
}

// emailRow is one of a user's e-mail addresses.
type emailRow struct {
	Value   rest.Text `json:"value"`
	Primary rest.Bool `json:"primary"`
}

type emailRows []emailRow

// UnmarshalJSON implements json.Unmarshaler. It never fails, because an e-mail
// address is not worth failing a row for. Some servers write the bare address
// instead of an object.
func (m *emailRows) UnmarshalJSON(b []byte) error {
	if (*rest.OneOrMany[emailRow])(m).UnmarshalJSON(b) == nil { // nearly always, and the fastest
		return nil
	}
	var elements rest.OneOrMany[json.RawMessage]
	_ = elements.UnmarshalJSON(b) // never fails
	*m = make(emailRows, len(elements))
	for i, element := range elements {
		row := &(*m)[i]
		if json.Unmarshal(element, row) != nil {
			_ = row.Value.UnmarshalJSON(element) // never fails
		}
	}
	return nil
}

type metaRow struct {
	Created rest.Text `json:"created"`
}

type enterprise struct {
	EmployeeNumber rest.Text `json:"employeeNumber"`
	CostCenter     rest.Text `json:"costCenter"`
	Organization   rest.Text `json:"organization"`
	Division       rest.Text `json:"division"`
	Department     rest.Text `json:"department"`
}

var users = &collection[userRow]{
	path: usersPath,
	id:   func(row *userRow) string { return row.ID.Value },
	check: func(row *userRow) error {
		if row.Active.Invalid {
			return fmt.Errorf("user %q has a value of active that is neither true nor false", row.ID.Value)
		}
		return nil
	},
}

// Users implements directory.Source.
func (s *Source) Users(ctx context.Context, cursor string) (directory.Page[directory.User], error) {
	var page directory.Page[directory.User]
	w, err := decodeWalk("users", cursor)
	if err != nil {
		return page, err
	}
	got, err := readPage(ctx, s, users, w)
	if err != nil {
		return page, err
	}
	s.usersAnswered.Store(true)
	if got.next == nil && w.begins() && len(got.rows) == 0 {
		ctxzap.Extract(ctx).Warn("RudderStack states that the organization has no users")
	}
	page.Rows = make([]directory.User, len(got.rows))
	for i := range got.rows {
		page.Rows[i] = got.rows[i].user()
	}
	page.Total = got.total
	if got.next != nil {
		page.Next = directory.EncodeCursor("users", got.next)
	}
	return page, nil
}

// user converts the row.
func (row *userRow) user() directory.User {
	given, family := row.Name.Value.GivenName.Trim(), row.Name.Value.FamilyName.Trim()
	u := directory.User{
		ID:         row.ID.Value,
		Login:      row.UserName.Trim(),
		Emails:     row.emails(),
		CreatedAt:  row.Meta.Value.created(),
		EmployeeID: row.Enterprise.Value.EmployeeNumber.Trim(),
		Disabled:   row.Active.Stated && !row.Active.Value,
		Profile:    make(map[string]any, 8),
	}
	address := ""
	if len(u.Emails) > 0 {
		address = u.Emails[0].Address
	}
	u.DisplayName = first(row.DisplayName.Value, row.Name.Value.Formatted.Value, given+" "+family, u.Login, address, u.ID)
	active := "not stated"
	if row.Active.Stated {
		active = fmt.Sprint(row.Active.Value)
	}
	for _, entry := range [...]struct{ key, value string }{
		{"user_id", u.ID},
		{"user_name", u.Login},
		{"first_name", given},
		{"last_name", family},
		{"display_name", row.DisplayName.Value},
		{"external_id", row.ExternalID.Value},
		{"title", row.Title.Value},
		{"user_type", row.UserType.Value},
		{"active", active},
		{"employee_number", row.Enterprise.Value.EmployeeNumber.Value},
		{"cost_center", row.Enterprise.Value.CostCenter.Value},
		{"organization", row.Enterprise.Value.Organization.Value},
		{"division", row.Enterprise.Value.Division.Value},
		{"department", row.Enterprise.Value.Department.Value},
	} {
		if value := strings.TrimSpace(entry.value); value != "" {
			u.Profile[entry.key] = value
		}
	}
	return u
}

// emails returns the addresses in the vendor's order. Exactly one is primary: the
// first that is marked, else the one equal to the user name, else the first.
// Servers mark none or two.
func (row *userRow) emails() []directory.Email {
	var out []directory.Email
	marked, login := -1, -1
	for _, email := range row.Emails {
		address := email.Value.Trim()
		if address == "" {
			continue
		}
		if marked < 0 && email.Primary.Value {
			marked = len(out)
		}
		if login < 0 && strings.EqualFold(address, row.UserName.Trim()) {
			login = len(out)
		}
		out = append(out, directory.Email{Address: address})
	}
	switch {
	case len(out) == 0:
	case marked >= 0:
		out[marked].Primary = true
	default:
		out[max(0, login)].Primary = true
	}
	return out
}

// first returns the first name that is not blank.
func first(names ...string) string {
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			return name
		}
	}
	return ""
}

// created is meta.created (RFC 7643, section 3.1). It is zero if it cannot be read:
// a date is not worth failing a row for.
func (m metaRow) created() time.Time {
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", time.DateOnly} {
		t, err := time.Parse(layout, m.Created.Trim())
		if err == nil && t.Year() > 1 && t.Year() < 10000 {
			return t.UTC()
		}
	}
	return time.Time{}
}
