package fidelity

import (
	"math/rand/v2"
	"net/http"
	"path"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/simulator"
)

// changeBehaviours are directories that change during the sync. The c1z must
// hold every row that existed throughout; it may hold rows that came or went.
func changeBehaviours() []behaviour {
	all := []behaviour{
		{
			name: "user-deleted-while-read", does: "deletes users that it has listed, so later users move up",
			set: func(s *simulator.Server) {
				at(s, users, 3, func() { // page 2
					for _, id := range s.UserIDs()[1:4] { // the first owns the token
						s.DeleteUser(id)
					}
				})
			},
		},
		{
			name: "users-deleted-now-and-then", does: "deletes a user at every third request for users",
			set: func(s *simulator.Server) {
				atEvery(s, users, func(n int) {
					if n%3 == 0 {
						s.DeleteUser(s.UserIDs()[n])
					}
				})
			},
		},
		{
			name: "user-added-while-read", does: "adds users while they are listed",
			set: func(s *simulator.Server) {
				at(s, users, 3, func() { s.AddUser("late@example.com") })
			},
		},
		{
			name: "last-page-deleted-while-read", does: "deletes the users of its last page before they are listed",
			set: func(s *simulator.Server) {
				at(s, users, 3, func() {
					for _, id := range s.UserIDs()[200:] {
						s.DeleteUser(id)
					}
				})
			},
		},
		{
			name: "user-disabled-while-read", does: "disables a user who is not yet listed",
			set: func(s *simulator.Server) {
				at(s, users, 2, func() { s.Disable(s.UserIDs()[220]) })
			},
		},
		{
			name: "group-deleted-while-read", does: "deletes groups after listing them and before listing their members",
			set: func(s *simulator.Server) {
				at(s, members, 5, func() {
					for _, id := range s.GroupIDs()[2:4] {
						s.DeleteGroup(id)
					}
				})
			},
		},
		{
			name: "member-added-while-read", does: "adds and removes members while memberships are read",
			set: func(s *simulator.Server) {
				atEvery(s, members, func(n int) {
					ids, people := s.GroupIDs(), s.UserIDs()
					s.AddMember(ids[n%len(ids)], people[n%len(people)])
					s.RemoveMember(ids[(n+1)%len(ids)], people[(n+7)%len(people)])
				})
			},
		},
		{
			name: "member-joined-between", does: "adds a user and member after listing its users",
			set: func(s *simulator.Server) {
				at(s, members, 5, func() {
					late := s.AddUser("late@example.com")
					for _, id := range s.GroupIDs() {
						s.AddMember(id, late)
					}
				})
			},
			but: "the new grant is kept, and the SDK logs a warning",
		},
		{
			name: "always-changing", does: "changes at every request: users, groups and members come and go",
			requests: 150,
			set: func(s *simulator.Server) {
				seeded := rand.New(rand.NewPCG(1, 2)) // the same changes in every run
				atEvery(s, "", func(int) { change(s, seeded) })
			},
		},
		{
			name: "credential-revoked", does: "revokes the credential during the sync",
			set: func(s *simulator.Server) {
				at(s, members, 5, s.RevokeCredential)
			},
			code: codes.Unauthenticated, words: []string{"401", "revoked"},
		},
	}
	deletions := behaviour{
		does: "deletes a listed user at every request for users",
		set: func(s *simulator.Server) {
			atEvery(s, users, func(n int) {
				if n > 2 {
					s.DeleteUser(s.UserIDs()[n])
				}
			})
		},
	}
	for i := range all {
		all[i].vendor, all[i].fault = ofBoth, "-"
	}
	// Guru's tokens name the row to continue from; SCIM's indexes shift.
	forGuru, forRudderStack := deletions, deletions
	forGuru.vendor, forGuru.name, forGuru.fault = ofGuru, "users-deleted-always", "-"
	forRudderStack.vendor, forRudderStack.name, forRudderStack.fault = ofRudderStack, "users-deleted-always", "-"
	forRudderStack.code, forRudderStack.words = codes.Aborted, []string{"list users", "changed too much while it was read", "run the sync again"}
	return append(all, forGuru, forRudderStack)
}

// at calls f once, before the server answers the nth request for a collection.
func at(s *simulator.Server, on collection, n int, f func()) {
	atEvery(s, on, func(seen int) {
		if seen == n {
			f()
		}
	})
}

// atEvery calls f before the server answers each request for a collection, or
// any request, with its number from 1. The calls do not overlap.
func atEvery(s *simulator.Server, on collection, f func(n int)) {
	var mu sync.Mutex
	n := 0
	s.OnRequest(func(_ int, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if on.asked(r) {
			n++
			f(n)
		}
	})
}

// asked reports whether a request is for the collection.
func (c collection) asked(r *http.Request) bool {
	switch c {
	case "":
		return true
	case users:
		return path.Base(r.URL.Path) == "Users" || path.Base(r.URL.Path) == "members" && path.Base(path.Dir(path.Dir(r.URL.Path))) != "groups"
	case groups:
		return path.Base(r.URL.Path) == "Groups" || path.Base(r.URL.Path) == "usergroups"
	default:
		parent := path.Base(path.Dir(r.URL.Path))
		return path.Base(r.URL.Path) == "Groups" || parent == "Groups" || path.Base(path.Dir(path.Dir(r.URL.Path))) == "groups"
	}
}

// change makes one change.
func change(s *simulator.Server, seeded *rand.Rand) {
	people, teams := s.UserIDs(), s.GroupIDs()
	person, team := people[seeded.IntN(len(people))], teams[seeded.IntN(len(teams))]
	switch seeded.IntN(6) {
	case 0:
		s.DeleteUser(person)
	case 1:
		s.AddUser("late" + string(rune('a'+seeded.IntN(26))) + string(rune('a'+seeded.IntN(26))) + "@example.com") //nolint:gosec // letters
	case 2:
		s.AddMember(team, person)
	case 3:
		s.RemoveMember(team, person)
	case 4:
		s.DeleteGroup(team)
	default:
		s.AddGroup("Late group")
	}
}
