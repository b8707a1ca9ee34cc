package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// TestALargeDirectory syncs 100,000 users and a group of 60,000 members, which
// the vendor sends in one body, over a transport that refuses answers above
// 4 MiB. Under the race detector it is a twentieth of that.
func TestALargeDirectory(t *testing.T) {
	t.Parallel()
	people, team := 100_000, 60_000
	if underRace {
		people, team = people/20, team/20
	}
	for vendor, opts := range inOneBody {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			server := startVendor(t, vendor, simulator.Size{Users: people, GroupSizes: []int{team, 0, 7}}, opts...)
			path, err := syncSource(context.Background(), t, server.connector, server.source(t, rest.Options{ReadAhead: true}), syncOptions{})
			if err != nil {
				t.Fatal(err)
			}
			compareTruth(t, path, server.now())
			bodies, size := 0, map[string]int{}
			for grant := range server.Truth().Grants {
				size[grant.Group]++
			}
			large := slices.MaxFunc(server.GroupIDs(), func(a, b string) int { return size[a] - size[b] })
			if size[large] != team {
				t.Fatalf("the largest group has %d members", size[large])
			}
			for _, request := range server.Requests() {
				if asksForTheBody(t, vendor, request, large) {
					bodies++
				}
			}
			if bodies != 1 {
				t.Errorf("the body of %d members was read %d times, not once", team, bodies)
			}
		})
	}
}

// inOneBody makes the vendors answer with all members of a group at once.
var inOneBody = map[string][]simulator.Option{
	ofRudderStack: {simulator.WithFast()},
	ofGuru:        {simulator.WithFault("members-in-one-body")},
}

// asksForTheBody says that a request is answered with the members of the large
// group, which is the first.
func asksForTheBody(t *testing.T, vendor string, request simulator.Request, group string) bool {
	t.Helper()
	if vendor == ofGuru {
		return strings.HasSuffix(request.Path, "/groups/"+group+"/members")
	}
	query, err := url.ParseQuery(request.Query)
	if err != nil {
		t.Fatal(err)
	}
	// What is asked for behind the first row is not that group's body.
	return strings.HasSuffix(request.Path, "/Groups") && !query.Has("excludedAttributes") && query.Get("startIndex") == "1"
}

// TestOneBodyOfMembers shows that a group of 60,000 members in one body is
// read right where a source is asked group by group.
func TestOneBodyOfMembers(t *testing.T) {
	t.Parallel()
	size := 60_000
	if underRace {
		size /= 20
	}
	for vendor, opts := range inOneBody {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			server := startVendor(t, vendor, simulator.Size{Users: size, GroupSizes: []int{size}}, opts...)
			source := server.source(t, rest.Options{})
			group := ""
			for _, id := range server.GroupIDs() {
				group = id
			}
			want := map[directory.Member]bool{}
			for grant := range server.Truth().Grants {
				if grant.Group == group {
					want[directory.Member{ID: grant.Principal, IsGroup: grant.Nested}] = true
				}
			}
			if len(want) != size {
				t.Fatalf("the group has %d members", len(want))
			}
			server.ForgetRequests()
			for cursor, pages := "", 0; ; pages++ {
				page, err := source.Members(context.Background(), group, cursor)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Rows) > directory.MaxRows || pages > size/directory.MaxRows+1 {
					t.Fatalf("page %d has %d rows", pages, len(page.Rows))
				}
				for _, row := range page.Rows {
					if !want[row] {
						t.Fatalf("%+v is not in the group or was there before", row)
					}
					delete(want, row)
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if len(want) != 0 {
				t.Errorf("%d members are missing", len(want))
			}
			if n := len(server.Requests()); n != 1 {
				t.Errorf("the body was read in %d requests, not one", n)
			}
		})
	}
}

// coldStarts is a source that is made anew for every call, as by a function
// that the cloud starts anew: nothing lives from call to call but the cursor.
type coldStarts struct{ open func() directory.Source }

func (c coldStarts) Check(ctx context.Context) error { return c.open().Check(ctx) }

func (c coldStarts) Users(ctx context.Context, cursor string) (directory.Page[directory.User], error) {
	return c.open().Users(ctx, cursor)
}

func (c coldStarts) Groups(ctx context.Context, cursor string) (directory.Page[directory.Group], error) {
	return c.open().Groups(ctx, cursor)
}

func (c coldStarts) Group(ctx context.Context, id string) (directory.Group, error) {
	return c.open().Group(ctx, id)
}

func (c coldStarts) Members(ctx context.Context, groupID, cursor string) (directory.Page[directory.Member], error) {
	return c.open().Members(ctx, groupID, cursor)
}

// coldManyStarts is coldStarts for a source of all memberships.
type coldManyStarts struct{ coldStarts }

func (c coldManyStarts) Memberships(ctx context.Context, cursor string) (directory.Page[directory.Membership], error) {
	return c.open().(directory.Memberships).Memberships(ctx, cursor)
}

// TestChangesBetweenSlicesLoseNobody shows that a body that is handed on in
// slices, and is read anew for each of them, may change in between: whoever is
// in all of its versions arrives. It also shows that a cursor is all that a
// walk needs to go on in another process.
func TestChangesBetweenSlicesLoseNobody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, vendor string
		many         bool
		opts         []simulator.Option
	}{
		{"RudderStack in one walk", ofRudderStack, true, nil},
		{"RudderStack group by group", ofRudderStack, false, nil},
		{"Guru in one body", ofGuru, false, []simulator.Option{simulator.WithFault("members-in-one-body")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := startVendor(t, c.vendor, simulator.Size{Users: 2000, GroupSizes: []int{0, 1600, 1, 750, 751}},
				append(c.opts, simulator.WithFast())...)
			big := map[string]bool{}
			for _, id := range server.GroupIDs() {
				big[id] = true
			}
			seeded := rand.New(rand.NewPCG(3, 4)) // the same changes in every run
			var mu sync.Mutex
			changes := 0
			server.OnRequest(func(_ int, r *http.Request) {
				if !members.asked(r) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				people, teams := server.UserIDs(), server.GroupIDs()
				for _, team := range teams {
					for range 5 {
						changes++
						server.RemoveMember(team, people[seeded.IntN(len(people))])
						server.AddMember(team, people[seeded.IntN(len(people))])
					}
				}
			})
			starts := coldStarts{func() directory.Source { return server.source(t, rest.Options{}) }}
			var source directory.Source = starts
			if c.many {
				source = coldManyStarts{starts}
			}
			path, err := syncSource(context.Background(), t, server.connector, source, syncOptions{workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			if changes == 0 {
				t.Fatal("nothing changed")
			}
			compareTruth(t, path, server.Truth())
		})
	}
}
