package e2e

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
)

// setup is a vendor on loopback with the ways to run its connector.
type setup struct{ *fixture.Vendor }

// leaks reports whether a text holds one of the vendor's secrets, in any form,
// or the beginning of the credential.
func (s *setup) leaks(text string) bool {
	return fixture.Showing(text, append(s.Secrets(), s.Credential[:8])...) != ""
}

type newSetup func(t testing.TB, size simulator.Size, opts ...simulator.Option) *setup

// eachSetup runs a test for each connector.
func eachSetup(t *testing.T, test func(t *testing.T, start newSetup)) {
	for _, vendor := range fixture.Vendors {
		name := "baton-" + vendor
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(t testing.TB, size simulator.Size, opts ...simulator.Option) *setup {
				return startSetup(t, name, size, opts...)
			})
		})
	}
}

func startSetup(t testing.TB, name string, size simulator.Size, opts ...simulator.Option) *setup {
	t.Helper()
	return &setup{fixture.Start(t, strings.TrimPrefix(name, "baton-"), size, opts...)}
}

// small is a directory with several pages of users and of members, and an empty
// group.
var small = simulator.Size{Users: 230, GroupSizes: []int{0, 1, 100, 101, 3}}

// atRequest calls f once, before the vendor answers the nth request.
func (s *setup) atRequest(n int, f func()) {
	var done atomic.Bool
	base := len(s.Requests())
	s.OnRequest(func(at int, _ *http.Request) {
		if at >= base+n && done.CompareAndSwap(false, true) {
			f()
		}
	})
}

// requests returns the number of requests that a sync takes.
func (s *setup) requests(t testing.TB) int {
	t.Helper()
	before := len(s.Requests())
	s.sync(t, nil).succeeds(t, s.Now())
	return len(s.Requests()) - before
}

// change makes the directory differ from what a killed run has seen.
func (s *setup) change() {
	users, groups := s.UserIDs(), s.GroupIDs()
	s.DeleteUser(users[len(users)-1])
	s.RemoveMember(groups[2], users[3])
	s.AddMember(groups[0], s.AddUser("late@example.com"))
}
