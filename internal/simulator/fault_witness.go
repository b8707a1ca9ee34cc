package simulator

import (
	"fmt"
	"net/http"
)

// witnessFaults are answers that are fine by themselves and contradict each
// other.
var witnessFaults = []Fault{
	{
		Name: "members-of-other-ids", Vendor: "both", Outcome: Fails, What: "groups name their members by ids that no user has",
		wrap: perMember(func(s *Server, _ *http.Request, i int, member map[string]any) {
			if _, isGuru := s.vendor.(*guru); isGuru {
				id := uuid("other", i)
				member["id"], member["user"] = id, map[string]any{"id": id, "status": "ACTIVE"}
				return
			}
			member["value"] = fmt.Sprint("login-of-", member["value"])
		}),
	},
	{
		Name: "one-user-listed", Vendor: "both", Outcome: Either, What: "one user is listed; the groups have all the others",
		seed: func(s *Server) { s.dir.people = s.dir.people[:min(1, len(s.dir.people))] },
	},
	{
		Name: "no-user-listed", Vendor: "rudderstack", Outcome: Either, What: "no users are listed; the groups have them all",
		seed: func(s *Server) { s.dir.people = nil },
	},
}
