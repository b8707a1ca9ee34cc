package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// walker is a naive client. It follows the documents, trusts every answer and
// tolerates nothing.
type walker struct {
	base   string
	auth   func(*http.Request)
	client *http.Client
}

func newWalker(s any) walker {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 2 * time.Minute}
	switch s := s.(type) {
	case *RudderStack:
		return walker{s.URL(), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.Token()) }, client}
	case *Guru:
		return walker{s.URL(), func(r *http.Request) { r.SetBasicAuth(s.Email(), s.Token()) }, client}
	}
	panic("neither")
}

func (c walker) get(target string, into any) (http.Header, error) {
	if !strings.Contains(target, "://") {
		target = c.base + target
	}
	req, err := http.NewRequest(http.MethodGet, target, nil) //nolint:noctx // bounded by the test
	if err != nil {
		return nil, err
	}
	c.auth(req)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it is only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return resp.Header, err
	}
	if resp.StatusCode == http.StatusNoContent {
		return resp.Header, nil
	}
	if resp.StatusCode != http.StatusOK {
		return resp.Header, fmt.Errorf("%s: %d %.80s", target, resp.StatusCode, body)
	}
	return resp.Header, json.Unmarshal(body, into)
}

type scimRow struct {
	ID, UserName, DisplayName string
	Title, ExternalID         string
	Name                      struct{ GivenName, FamilyName, Formatted string }
	Emails                    []struct {
		Value   string
		Primary bool
	}
	Active  *bool
	Members []struct{ Value, Type string }
	Meta    struct{ Created time.Time }
}

func (c walker) rudderStack() (Truth, error) {
	truth := Truth{Users: map[string]User{}, Groups: map[string]Group{}, Grants: map[Grant]bool{}}
	for _, path := range []string{"/Users", "/Groups"} {
		for start := 1; ; {
			var page struct {
				TotalResults *int
				Resources    []scimRow
			}
			if _, err := c.get(fmt.Sprintf("%s?startIndex=%d&count=100", path, start), &page); err != nil {
				return truth, err
			}
			if page.TotalResults == nil {
				return truth, fmt.Errorf("%s: not a list", path)
			}
			for _, row := range page.Resources {
				if row.ID == "" {
					return truth, fmt.Errorf("%s: a row without id", path)
				}
				if path == "/Users" {
					u := User{Login: row.UserName, CreatedAt: row.Meta.Created, Disabled: row.Active != nil && !*row.Active}
					u.Name = shown(row.DisplayName, row.Name.Formatted, joined(row.Name.GivenName, row.Name.FamilyName), row.UserName)
					for _, e := range row.Emails {
						u.Emails = append(u.Emails, directory.Email{Address: e.Value, Primary: e.Primary})
					}
					u.Profile = map[string]any{"user_id": row.ID, "active": "not stated"}
					if row.Active != nil {
						u.Profile["active"] = fmt.Sprint(*row.Active)
					}
					stated(u.Profile, map[string]string{
						"first_name": row.Name.GivenName, "last_name": row.Name.FamilyName, "display_name": row.DisplayName,
						"user_name": row.UserName, "title": row.Title, "external_id": row.ExternalID,
					})
					truth.Users[row.ID] = u
					continue
				}
				truth.Groups[row.ID] = Group{Name: shown(row.DisplayName, row.ID), CreatedAt: row.Meta.Created, Profile: map[string]any{"group_id": row.ID}}
				for _, m := range row.Members {
					if m.Value == "" {
						return truth, fmt.Errorf("%s: a member without id", path)
					}
					truth.Grants[Grant{Group: row.ID, Principal: m.Value, Nested: m.Type == "Group"}] = true
				}
			}
			start += len(page.Resources)
			if len(page.Resources) == 0 || start > *page.TotalResults {
				if start != *page.TotalResults+1 {
					return truth, fmt.Errorf("%s: %d rows, not %d", path, start-1, *page.TotalResults)
				}
				break
			}
		}
	}
	return truth, nil
}

type guruRowTest struct {
	ID, Name, DateCreated        string
	User                         *struct{ ID, Status, Email, FirstName, LastName, UserType string }
	HighestRole, GroupIdentifier string
	UserAttributes               map[string]string
	Modifiable, ManagedByScim    bool
}

func (c walker) list(path string) ([]guruRowTest, error) {
	var all []guruRowTest
	for target := path; target != ""; {
		var rows []guruRowTest
		header, err := c.get(target, &rows)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		target = ""
		if link := header.Get("Link"); link != "" {
			inside, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
			next, err := url.Parse(strings.TrimSpace(inside))
			if err != nil {
				return nil, err
			}
			target = path + "?token=" + url.QueryEscape(next.Query().Get("token"))
		}
	}
	return all, nil
}

func (c walker) guru() (Truth, error) {
	truth := Truth{Users: map[string]User{}, Groups: map[string]Group{}, Grants: map[Grant]bool{}}
	var who struct{ TokenType string }
	if _, err := c.get("/whoami", &who); err != nil || who.TokenType != "API" {
		return truth, fmt.Errorf("whoami says %q: %w", who.TokenType, err)
	}
	members, err := c.list("/members")
	if err != nil {
		return truth, err
	}
	if len(members) == 0 {
		return truth, fmt.Errorf("no members")
	}
	for _, row := range members {
		if row.ID == "" || row.User == nil {
			return truth, fmt.Errorf("a row without id or user")
		}
		created, _ := time.Parse("2006-01-02T15:04:05.999-0700", row.DateCreated)
		u := User{
			Login: row.User.Email, Emails: []directory.Email{{Address: row.User.Email, Primary: true}}, Detail: row.User.Status,
			Name: shown(joined(row.User.FirstName, row.User.LastName), row.User.Email), Disabled: row.User.Status != "ACTIVE",
			Service: row.User.UserType == "KNOWLEDGE_AGENT", CreatedAt: created, Profile: map[string]any{"managed_by_scim": row.ManagedByScim},
		}
		stated(u.Profile, map[string]string{
			"user_id": row.User.ID, "first_name": row.User.FirstName, "last_name": row.User.LastName, "status": row.User.Status,
			"user_type": row.User.UserType, "highest_role": row.HighestRole, "billing_type": row.UserAttributes["BILLING_TYPE"],
		})
		truth.Users[strings.ToLower(row.ID)] = u
	}
	groups, err := c.list("/groups")
	if err != nil {
		return truth, err
	}
	for _, row := range groups {
		if row.ID == "" {
			return truth, fmt.Errorf("a group without id")
		}
		created, _ := time.Parse("2006-01-02T15:04:05.999-0700", row.DateCreated)
		truth.Groups[row.ID] = Group{Name: shown(row.Name, row.ID), CreatedAt: created, Profile: map[string]any{
			"group_id": row.ID, "group_identifier": row.GroupIdentifier, "modifiable": row.Modifiable, "managed_by_scim": row.ManagedByScim,
		}}
		members, err := c.list("/groups/" + url.PathEscape(row.ID) + "/members")
		if err != nil {
			return truth, err
		}
		for _, m := range members {
			if m.ID == "" {
				return truth, fmt.Errorf("a member without id")
			}
			truth.Grants[Grant{Group: row.ID, Principal: strings.ToLower(m.ID)}] = true
		}
	}
	return truth, nil
}

var sizes = []Size{
	{Users: 1},
	{Users: 99, Groups: 3, MembersPerGroup: 5},
	{Users: 100, Groups: 100, MembersPerGroup: 1},
	{Users: 101, Groups: 101, MembersPerGroup: 3, WithoutAllMembers: true},
	{Users: 2345, GroupSizes: []int{0, 1, 99, 100, 101, 1500}},
}

// If the simulator did not serve its own truth, a wrong sync could pass.
func TestServersServeTheTruth(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		t.Run(fmt.Sprintf("%+v", size), func(t *testing.T) {
			t.Parallel()
			r := NewRudderStack(size).Start(t)
			got, err := newWalker(r).rudderStack()
			check(t, r.Server, got, err)
			fast := NewRudderStack(size, WithFast()).Start(t)
			got, err = newWalker(fast).rudderStack()
			check(t, fast.Server, got, err)
			g := NewGuru(size).Start(t)
			got, err = newWalker(g).guru()
			check(t, g.Server, got, err)
		})
	}
}

func check(t *testing.T, s *Server, got Truth, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	truth := s.Truth()
	for _, line := range truth.Difference(got) {
		t.Error(line)
	}
	memberships := 0
	for _, team := range s.dir.teams {
		memberships += len(team.Members)
	}
	if len(truth.Users) != len(s.dir.people) || len(truth.Grants) != memberships {
		t.Errorf("%d users and %d grants of %d and %d: ids collide", len(truth.Users), len(truth.Grants), len(s.dir.people), memberships)
	}
}
