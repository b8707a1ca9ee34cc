// Package large syncs directories large enough to meet limits: the SDK's 4 MiB
// per answer, and a body that is read once. It runs without the race detector,
// which would take minutes and show nothing more.
package large

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// TestALargeDirectory syncs 100,000 users and a group of 60,000 members, which
// the vendor sends in one body, over a transport that refuses answers above
// 4 MiB.
func TestALargeDirectory(t *testing.T) {
	t.Parallel()
	people, team := 100_000, 60_000
	for vendor, opts := range inOneBody {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			server := fixture.Start(t, vendor, simulator.Size{Users: people, GroupSizes: []int{team, 0, 7}}, opts...)
			path, err := fixture.Sync(context.Background(), t, server.Connector, server.Source(t, rest.Options{Prefetch: true}), fixture.SyncOptions{})
			if err != nil {
				t.Fatal(err)
			}
			fixture.CompareTruth(t, path, server.Now())
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

// inOneBody makes the vendors send all members of a group at once.
var inOneBody = map[string][]simulator.Option{
	fixture.RudderStack: {simulator.WithFast()},
	fixture.Guru:        {simulator.WithFault("members-in-one-body")},
}

// asksForTheBody reports whether the answer to a request holds the members of
// the large group, the first.
func asksForTheBody(t *testing.T, vendor string, request simulator.Request, group string) bool {
	t.Helper()
	if vendor == fixture.Guru {
		return strings.HasSuffix(request.Path, "/groups/"+group+"/members")
	}
	query, err := url.ParseQuery(request.Query)
	if err != nil {
		t.Fatal(err)
	}
	// A request for rows after the first is not for that group's body.
	return strings.HasSuffix(request.Path, "/Groups") && !query.Has("excludedAttributes") && query.Get("startIndex") == "1"
}

// TestOneBodyOfMembers checks that a source that is read group by group reads a
// group of 60,000 members in one body correctly.
func TestOneBodyOfMembers(t *testing.T) {
	t.Parallel()
	size := 60_000
	for vendor, opts := range inOneBody {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			server := fixture.Start(t, vendor, simulator.Size{Users: size, GroupSizes: []int{size}}, opts...)
			source := server.Source(t, rest.Options{})
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
				if pages > size/750+1 {
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
