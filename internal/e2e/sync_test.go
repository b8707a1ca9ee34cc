package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
)

// pagesOf returns the number of requests for a list of n rows, at size rows a
// page. An empty list takes one.
func pagesOf(n, size int) int { return max(1, (n+size-1)/size) }

// scimPagesOf does the same for RudderStack. The first page has 100 rows, each
// later one brings 95 new ones, and one more shows that nothing follows.
func scimPagesOf(n int) int {
	if n == 0 {
		return 1
	}
	return max(2, pagesOf(n-5, 95)+1)
}

// TestSync runs the shipped commands against both vendors, whose paths begin
// with a prefix, at sizes around the page limits, and compares every row. A
// second run over the same file, after the directory has changed, keeps nothing
// of the first.
func TestSync(t *testing.T) {
	t.Parallel()
	for _, vendor := range []string{fixture.RudderStack, fixture.Guru} {
		for _, c := range []struct {
			users  int
			groups []int
		}{
			{0, nil},
			{0, []int{0}},
			{1, []int{0, 1}},
			{99, []int{99}},
			{100, []int{0, 1, 99, 100}},
			{101, []int{100, 101}},
			{2345, []int{0, 1, 100, 101, 1500}},
			{3, make([]int, 101)},
		} {
			if vendor == fixture.Guru && c.users == 0 {
				continue // the caller is always a member
			}
			t.Run(fmt.Sprintf("%s/%d users, %d groups", vendor, c.users, len(c.groups)), func(t *testing.T) {
				t.Parallel()
				server := fixture.Start(t, vendor, simulator.Size{Users: c.users, GroupSizes: append([]int{}, c.groups...)})
				file := filepath.Join(t.TempDir(), "sync.c1z")

				stats := syncFile(t, server, file)
				fixture.CompareTruth(t, file, server.Now())
				checkRequests(t, vendor, server, stats)

				server.ForgetRequests()
				if ids := server.UserIDs(); len(ids) > 1 {
					server.DeleteUser(ids[len(ids)-1])
					server.Disable(ids[0])
				}
				group := server.AddGroup("Night shift")
				server.AddMember(group, server.AddUser("late@example.com"))
				if ids := server.GroupIDs(); len(ids) > 2 {
					server.DeleteGroup(ids[len(ids)-2])
				}
				stats = syncFile(t, server, file)
				fixture.CompareTruth(t, file, server.Now())
				checkRequests(t, vendor, server, stats)
			})
		}
	}
}

// syncFile runs the vendor's command once, configured by the environment as in
// a container. It returns how often the syncer called each method of the
// connector.
func syncFile(t *testing.T, server *fixture.Vendor, file string) map[string]int {
	t.Helper()
	p := start(t, fixture.Binary(t, server.Connector), append(server.Env, "BATON_LOG_FORMAT=json"), "--file", file)
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	calls := map[string]int{}
	for line := range strings.Lines(p.stderr.String()) {
		var entry struct {
			Stats map[string]struct {
				Count int `json:"count"`
			} `json:"connector_call_stats"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		for method, stat := range entry.Stats {
			calls[method] = max(calls[method], stat.Count) // two lines state it
		}
	}
	return calls
}

// gathered returns how many calls the syncer makes for a list of so many vendor
// pages. The connector joins vendor pages until it has 500 rows, which sets the
// fewest calls. With a slow vendor there are more, because the connector
// gathers for at most a second.
func gathered(pages, rows int) bounds { return bounds{pagesOf(pages*rows, 500), pages} }

// scimGathered does the same for a list at RudderStack: six pages have 500
// rows.
func scimGathered(n int) bounds { return bounds{pagesOf(scimPagesOf(n), 6), scimPagesOf(n)} }

// bounds are the least and the most times that something happens.
type bounds struct{ least, most int }

func (b bounds) plus(c bounds) bounds { return bounds{b.least + c.least, b.most + c.most} }

// scimMembershipCalls returns how many calls the syncer makes for the members
// of RudderStack's groups. Each page of groups brings its members. The
// connector splits large pages and merges small ones.
func scimMembershipCalls(groups []string, sizes map[string]int) bounds {
	n, all := 0, 0
	for page := range scimPagesOf(len(groups)) {
		members := 0
		for _, id := range groups[min(100*page, len(groups)):min(100*page+100, len(groups))] {
			members += sizes[id]
		}
		n += pagesOf(members, 750)
		all += members
	}
	return bounds{pagesOf(all, 750), n}
}

// checkRequests checks that a sync sends exactly the requests that the size of
// the directory needs, and that the syncer makes only the calls that their rows
// need.
func checkRequests(t *testing.T, vendor string, server *fixture.Vendor, calls map[string]int) {
	t.Helper()
	users, groups := len(server.UserIDs()), server.GroupIDs()
	sizes := map[string]int{}
	for grant := range server.Truth().Grants {
		sizes[grant.Group]++
	}
	// The SDK calls each of these twice.
	want, wantCalls := map[string]int{}, map[string]bounds{"list-resource-types": {2, 2}, "list-static-entitlements": {2, 2}}
	if vendor == fixture.RudderStack {
		// One of each to check the credentials; groups once for themselves and
		// once for their members.
		want["/Users"] = 1 + scimPagesOf(users)
		// The connector also requests the largest group by its id, in case the
		// list truncates its members. (These directories have one such group,
		// and one page of groups.)
		largest := ""
		for id, n := range sizes {
			if n >= 10 && n > sizes[largest] {
				largest = id
			}
		}
		if largest != "" {
			want["/Groups/"+largest] = 1
		}
		want["/Groups"] = 1 + 2*scimPagesOf(len(groups))
		if len(groups) == 0 {
			want["/Groups"]++ // are there no groups, or no memberships of those that there are?
		}
		wantCalls["list-resources"] = scimGathered(users).plus(scimGathered(len(groups)))
		wantCalls["list-grants"] = scimMembershipCalls(groups, sizes)
	} else {
		want["/whoami"] = 1
		want["/members"] = 1 + pagesOf(users, 50)
		want["/groups/usergroups"] = 1 + 1
		want["/groups"] = 1 // whether it lists more
		for _, id := range groups {
			want["/groups/"+id+"/members"] = pagesOf(sizes[id], 100)
			wantCalls["list-grants"] = wantCalls["list-grants"].plus(gathered(pagesOf(sizes[id], 100), 100))
		}
		wantCalls["list-resources"] = gathered(pagesOf(users, 50), 50).plus(bounds{1, 1})
	}
	got := map[string]int{}
	_, prefix, _ := strings.Cut(strings.TrimPrefix(server.URL(), "http://"), "/")
	for _, request := range server.Requests() {
		path, inside := strings.CutPrefix(request.Path, "/"+prefix)
		if !inside || !request.Authorized {
			t.Errorf("%s %s is outside of the base URL or has no credential", request.Method, request.Path)
		}
		got[path]++
	}
	for path, n := range want {
		if got[path] != n {
			t.Errorf("%s was asked %d times, not %d", path, got[path], n)
		}
		delete(got, path)
	}
	for path, n := range got {
		t.Errorf("%s was asked %d times without need", path, n)
	}
	for method, n := range calls {
		if b := wantCalls[method]; n < b.least || n > b.most {
			t.Errorf("the syncer called %s %d times, not %d to %d", method, n, b.least, b.most)
		}
		delete(wantCalls, method)
	}
	for method := range wantCalls {
		t.Errorf("the syncer did not call %s: %v", method, calls)
	}
}
