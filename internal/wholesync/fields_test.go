package wholesync

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	sdksync "github.com/conductorone/baton-sdk/pkg/sync"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/memory"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// TestEveryFieldArrives checks that the c1z holds everything that a source
// returns about a user, a group and a membership, and nothing else.
func TestEveryFieldArrives(t *testing.T) {
	t.Parallel()
	made := time.Date(2024, 2, 29, 12, 30, 0, 0, time.UTC)
	source := memory.Source{
		UserRows: []directory.User{
			{
				ID: "u1", Login: "ann", DisplayName: "Ann Lee", CreatedAt: made,
				Emails:  []directory.Email{{Address: "ann@example.com"}, {Address: "lee@example.com", Primary: true}},
				Profile: map[string]any{"first_name": "Ann", "admin": true, "level": 3.0, "tags": []any{"a", "b"}},
			},
			{ID: "u2", DisplayName: "Bot", Disabled: true, StatusDetail: "PENDING", Service: true},
		},
		GroupRows: []directory.Group{
			{ID: "g1", Name: "Staff", Description: "Everyone"},
			{ID: "g2", Name: "Staff"},
			{ID: "g3", Name: "Empty"},
		},
		MemberRows: map[string][]directory.Member{
			"g1": {{ID: "u1"}, {ID: "u2"}, {ID: "g2", IsGroup: true}},
			"g2": {{ID: "u2"}, {ID: "g1", IsGroup: true}}, // a cycle of groups
		},
		PageSize: 1,
	}
	truth := simulator.Truth{
		Users: map[string]simulator.User{
			"u1": {
				Login: "ann", Name: "Ann Lee", CreatedAt: made, Emails: source.UserRows[0].Emails,
				Profile: source.UserRows[0].Profile,
			},
			"u2": {Name: "Bot", Disabled: true, Detail: "PENDING", Service: true},
		},
		Groups: map[string]simulator.Group{
			"g1": {Name: "Staff", Description: "Everyone"}, "g2": {Name: "Staff"}, "g3": {Name: "Empty"},
		},
		Grants: map[simulator.Grant]bool{
			{Group: "g1", Principal: "u1"}: true, {Group: "g1", Principal: "u2"}: true,
			{Group: "g1", Principal: "g2", Nested: true}: true,
			{Group: "g2", Principal: "u2"}:               true,
			{Group: "g2", Principal: "g1", Nested: true}: true,
		},
	}
	for name, s := range map[string]directory.Source{"group by group": &source, "in one walk": &memory.ManySource{Source: source}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, err := fixture.Sync(context.Background(), t, "baton-test", s, fixture.SyncOptions{More: []sdksync.SyncOpt{sdksync.WithDontExpandGrants()}})
			if err != nil {
				t.Fatal(err)
			}
			fixture.CompareTruth(t, path, truth)
		})
	}
}

// TestOddNamesAreKept checks that no odd name fails a sync or makes an entry
// that cannot be read. A long name is cut between two characters.
func TestOddNamesAreKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"5,000 characters of three bytes", strings.Repeat("世", 5000), strings.Repeat("世", 341)},
		{"a cut in the middle of a character", "x" + strings.Repeat("é", 600), "x" + strings.Repeat("é", 511)},
		{"empty", "", "login"},
		{"blanks only", " \t\n ", "login"},
		{"line breaks and control characters", "Ann\r\nLee\x00\x1b[31m", "Ann Lee[31m"},
		{"invalid UTF-8", "Ann\xff\xfeLee", "Ann\uFFFDLee"},
		{"blanks around", "  Ann   Lee ", "Ann Lee"},
		{"right to left", "אן לי", "אן לי"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !utf8.ValidString(c.want) || len(c.want) > 1024 {
				t.Fatal("the expectation itself is odd")
			}
			group := c.want
			if group == "login" {
				group = "g"
			}
			source := &memory.Source{
				UserRows:   []directory.User{{ID: "u", Login: "login", DisplayName: c.in, Profile: map[string]any{"first_name": c.in}}},
				GroupRows:  []directory.Group{{ID: "g", Name: c.in}},
				MemberRows: map[string][]directory.Member{"g": {{ID: "u"}}},
			}
			path, err := fixture.Sync(context.Background(), t, "baton-test", source, fixture.SyncOptions{})
			if err != nil {
				t.Fatal(err)
			}
			fixture.CompareTruth(t, path, simulator.Truth{
				Users:  map[string]simulator.User{"u": {Login: "login", Name: c.want}},
				Groups: map[string]simulator.Group{"g": {Name: group}},
				Grants: map[simulator.Grant]bool{{Group: "g", Principal: "u"}: true},
			})
		})
	}
}

// TestIDsThatCannotBeKeptFailTheSync checks that an id is never cut or dropped.
// Either would merge two accounts or lose one.
func TestIDsThatCannotBeKeptFailTheSync(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{"empty": "", "too long": strings.Repeat("x", 1025), "invalid UTF-8": "\xff"} {
		for where, source := range map[string]*memory.Source{
			"user":   {UserRows: []directory.User{{ID: id, DisplayName: "Ann"}}},
			"group":  {GroupRows: []directory.Group{{ID: id, Name: "Staff"}}},
			"member": {GroupRows: []directory.Group{{ID: "g", Name: "Staff"}}, MemberRows: map[string][]directory.Member{"g": {{ID: id}}}},
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				path, err := fixture.Sync(context.Background(), t, "baton-test", source, fixture.SyncOptions{})
				if err == nil || !strings.Contains(err.Error(), "id") || !strings.Contains(err.Error(), "baton-test: list") {
					t.Fatalf("the sync ended with %v", err)
				}
				if fixture.Finished(t, path) {
					t.Fatal("a sync that failed is finished in the file")
				}
			})
		}
	}
}

// TestLargestPagesPass checks that 750 rows of the largest size that C1 stores
// fit through the transport.
func TestLargestPagesPass(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1020)
	source := &memory.ManySource{Source: memory.Source{MemberRows: map[string][]directory.Member{}}}
	truth := simulator.Truth{Users: map[string]simulator.User{}, Groups: map[string]simulator.Group{}, Grants: map[simulator.Grant]bool{}}
	group := long + "grou"
	source.GroupRows = []directory.Group{{ID: group, Name: long}}
	truth.Groups[group] = simulator.Group{Name: long}
	for i := range 750 {
		id := fmt.Sprintf("%s%04d", long, i)
		source.UserRows = append(source.UserRows, directory.User{ID: id, DisplayName: id})
		truth.Users[id] = simulator.User{Name: id}
		source.MemberRows[group] = append(source.MemberRows[group], directory.Member{ID: id})
		truth.Grants[simulator.Grant{Group: group, Principal: id}] = true
	}
	path, err := fixture.Sync(context.Background(), t, "baton-test", source, fixture.SyncOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fixture.CompareTruth(t, path, truth)
}
