package rudderstack

import (
	"context"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// userRow is what is read of a SCIM user (RFC 7643, sections 3.1, 4.1 and 4.3).
type userRow struct {
	ID          string `json:"id"`
	ExternalID  string `json:"externalId"`
	UserName    string `json:"userName"`
	DisplayName string `json:"displayName"`
	Title       string `json:"title"`
	UserType    string `json:"userType"`
	Name        struct {
		Formatted  string `json:"formatted"`
		GivenName  string `json:"givenName"`
		FamilyName string `json:"familyName"`
	} `json:"name"`
	Emails []struct {
		Value   string `json:"value"`
		Primary bool   `json:"primary"`
	} `json:"emails"`
	// Active is nil where the vendor does not state it.
	Active     *bool      `json:"active"`
	Meta       metaRow    `json:"meta"`
	Enterprise enterprise `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
}

type metaRow struct {
	Created string `json:"created"`
}

type enterprise struct {
	EmployeeNumber string `json:"employeeNumber"`
	CostCenter     string `json:"costCenter"`
	Organization   string `json:"organization"`
	Division       string `json:"division"`
	Department     string `json:"department"`
}

var (
	aText     = &shape{kind: text}
	metaShape = &shape{kind: object, under: map[string]*shape{"created": aText}}
	userShape = &shape{kind: object, under: map[string]*shape{
		"id": aText, "externalid": aText, "username": aText, "displayname": aText,
		"title": aText, "usertype": aText, "active": {kind: flag}, "meta": metaShape,
		"name": {kind: object, main: "formatted", under: map[string]*shape{
			"formatted": aText, "givenname": aText, "familyname": aText,
		}},
		"emails": {kind: many, under: map[string]*shape{"": {kind: object, main: "value", under: map[string]*shape{
			"value": aText, "primary": {kind: mark},
		}}}},
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:user": {kind: object, under: map[string]*shape{
			"employeenumber": aText, "costcenter": aText, "organization": aText, "division": aText, "department": aText,
		}},
	}}
)

var users = &collection[userRow]{
	path:  usersPath,
	shape: userShape,
	id:    func(row *userRow) string { return row.ID },
}

// Users implements directory.Source.
func (s *Source) Users(ctx context.Context, written string) (directory.Page[directory.User], error) {
	var page directory.Page[directory.User]
	c, err := parseCursor(written, ofUsers)
	if err != nil {
		return page, err
	}
	got, err := step(ctx, s, users, *c.Walk)
	if err != nil {
		return page, err
	}
	if got.next == nil && c.Walk.begins() && len(got.rows) == 0 {
		ctxzap.Extract(ctx).Warn("RudderStack states that the organization has no users")
	}
	page.Rows = make([]directory.User, len(got.rows))
	for i := range got.rows {
		page.Rows[i] = got.rows[i].user()
	}
	page.Total = got.total
	if got.next != nil {
		page.Next = cursor{List: ofUsers, Walk: got.next}.String()
	}
	return page, nil
}

// user is the row in the words of the directory.
func (row *userRow) user() directory.User {
	u := directory.User{
		ID:        row.ID,
		Login:     strings.TrimSpace(row.UserName),
		Emails:    row.emails(),
		CreatedAt: row.Meta.created(),
		Profile:   make(map[string]any, 8),
	}
	given, family := strings.TrimSpace(row.Name.GivenName), strings.TrimSpace(row.Name.FamilyName)
	names := []string{row.DisplayName, row.Name.Formatted, given + " " + family, u.Login, "", row.ID}
	if len(u.Emails) > 0 {
		names[4] = u.Emails[0].Address
	}
	u.DisplayName = first(names...)

	state := "not stated"
	if row.Active != nil {
		state = "true"
		if u.Disabled = !*row.Active; u.Disabled {
			state = "false"
		}
	}
	for _, entry := range [...]struct{ key, value string }{
		{"user_id", row.ID},
		{"user_name", row.UserName},
		{"first_name", given},
		{"last_name", family},
		{"display_name", row.DisplayName},
		{"external_id", row.ExternalID},
		{"title", row.Title},
		{"user_type", row.UserType},
		{"active", state},
		{"employee_number", row.Enterprise.EmployeeNumber},
		{"cost_center", row.Enterprise.CostCenter},
		{"organization", row.Enterprise.Organization},
		{"division", row.Enterprise.Division},
		{"department", row.Enterprise.Department},
	} {
		if value := strings.TrimSpace(entry.value); value != "" {
			u.Profile[entry.key] = value
		}
	}
	return u
}

// emails are the addresses in the vendor's order, with exactly one primary:
// the first that is marked, else the one that the user signs in with, else the
// first. Servers mark none or two.
func (row *userRow) emails() []directory.Email {
	if len(row.Emails) == 0 {
		return nil
	}
	out := make([]directory.Email, 0, len(row.Emails))
	marked, login := -1, -1
	for _, email := range row.Emails {
		address := strings.TrimSpace(email.Value)
		if address == "" {
			continue
		}
		if marked < 0 && email.Primary {
			marked = len(out)
		}
		if login < 0 && strings.EqualFold(address, strings.TrimSpace(row.UserName)) {
			login = len(out)
		}
		out = append(out, directory.Email{Address: address})
	}
	if len(out) == 0 {
		return nil
	}
	out[max(0, login)].Primary = marked < 0
	if marked >= 0 {
		out[marked].Primary = true
	}
	return out
}

// first is the first of the names that has something to show.
func first(names ...string) string {
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			return name
		}
	}
	return ""
}

// created is meta.created (RFC 7643, section 3.1), zero where it cannot be
// read: a date is not worth failing a row for.
func (m metaRow) created() time.Time {
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", time.DateOnly} {
		t, err := time.Parse(layout, strings.TrimSpace(m.Created))
		if err == nil && t.Year() > 1 && t.Year() < 10000 {
			return t.UTC()
		}
	}
	return time.Time{}
}
