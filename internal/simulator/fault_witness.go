package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// witnessFaults are answers that are each valid but contradict each other.
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
	{
		Name: "errors-as-empty-lists", Vendor: "rudderstack", Outcome: Fails, What: "lists of users state no rows, and errors beside them",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if list, ok := body.(map[string]any); ok && isUserList(r) {
				list["totalResults"], list["Resources"], list["errors"] = 0, []any{}, []any{map[string]any{"message": "the directory is out of reach"}}
			}
			return body
		}),
	},
	{
		Name: "one-address-twice", Vendor: "guru", Outcome: Either, What: "the third user has the address of the second in capitals, and an id of its own",
		wrap: perRow(isUserList, func(s *Server, i int, row map[string]any) {
			if user, ok := row["user"].(map[string]any); ok && i == 2 {
				row["id"] = strings.ToUpper(s.dir.people[1].ID)
				user["email"] = row["id"]
			}
		}),
	},
	{
		Name: "field-names-twice", Vendor: "guru", Outcome: Right, What: "rows have a second field STATUS, beside the status",
		wrap: perRow(isUserList, func(_ *Server, _ int, row map[string]any) {
			if user, ok := row["user"].(map[string]any); ok {
				user["statuS"], row["Id"] = "SUSPENDED", "nobody@example.com"
			}
		}),
	},
	{
		Name: "usergroups-part", Vendor: "guru", Outcome: Right, What: "/groups/usergroups leaves out every second group that can be changed",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if pathOf(r) != "/groups/usergroups" {
				return body
			}
			kept := []any{}
			for i, row := range rowsOf(body) {
				if i%2 == 0 || row["modifiable"] == false {
					kept = append(kept, row)
				}
			}
			return kept
		}),
	},
	{
		Name: "groups-of-one-user", Vendor: "guru", Outcome: Right, What: "/groups lists groups of one user as well, and /groups/usergroups does not",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			rows, ok := body.([]any)
			if !ok || pathOf(r) != "/groups" {
				return body
			}
			return append(rows, map[string]any{"id": uuid("alone", 0), "name": "Ann Lee", "groupIdentifier": "ann", "singleUser": true, "modifiable": false})
		}),
	},
	naming("rows-name-groups", Right, "the rows of /members name their users' groups", nil, nil),
	naming("group-not-listed", Fails, "the rows of /members name a group that neither list of groups has; it can be read by its id", nil,
		func(_ *Server, r *http.Request, rows []any) []any {
			if !isGroupList(r) {
				return rows
			}
			return rows[:max(1, len(rows)-1)]
		}),
	naming("member-not-listed", Fails, "the rows of /members name groups whose lists leave out their last member", nil,
		func(_ *Server, r *http.Request, rows []any) []any {
			if !isMembersOfGroup(r) || len(rows) < 2 {
				return rows
			}
			return rows[:len(rows)-1]
		}),
	naming("rows-name-all-groups", Right, "the rows of /members name every group, whoever is in it",
		func(s *Server) func(*Person, []ownGroup) []ownGroup {
			return func(*Person, []ownGroup) (all []ownGroup) {
				for _, t := range s.dir.teams {
					all = append(all, ownGroup{t.ID, t.Name, "MEMBER"})
				}
				return all
			}
		}, nil),
	{
		Name: "owner-not-listed", Vendor: "guru", Outcome: Either, What: "the user of the token is not in the list of members",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if rows, ok := body.([]any); ok && isUserList(r) {
				return slices.DeleteFunc(rows, func(row any) bool {
					member, _ := row.(map[string]any)
					return member["id"] == guruEmail
				})
			}
			return body
		}),
	},
	{
		Name: "owner-no-administrator", Vendor: "guru", Outcome: Right, What: "the user of the token has the role AUTHOR",
		seed: func(s *Server) {
			for _, p := range s.dir.people {
				if p.ID == guruEmail {
					p.Role = "AUTHOR"
				}
			}
		},
	},
	{
		Name: "row-ids-of-their-own", Vendor: "guru", Outcome: Right, What: "the rows of /members have ids that are no addresses",
		wrap: perRow(isUserList, func(_ *Server, i int, row map[string]any) { row["id"] = fmt.Sprint("membership-", i) }),
	},
	{
		Name: "members-are-groups", Vendor: "guru", Outcome: Fails, What: "the members of groups are groups",
		wrap: perMember(func(_ *Server, _ *http.Request, i int, member map[string]any) {
			delete(member, "user")
			member["id"], member["groupIdentifier"], member["numberOfMembers"] = uuid("group", i), "sales", 7
		}),
	},
}

// naming makes the rows of /members name groups, and changes lists.
func naming(name, outcome, what string, own func(*Server) func(*Person, []ownGroup) []ownGroup, change func(*Server, *http.Request, []any) []any) Fault {
	f := Fault{Name: name, Vendor: "guru", Outcome: outcome, What: what, seed: func(s *Server) {
		v := s.vendor.(*guru) //nolint:forcetypeassert // WithFault has checked the vendor
		v.stateGroups = true
		if own != nil {
			v.ownGroups = own(s)
		}
	}}
	if change != nil {
		f.wrap = rewritten(func(s *Server, r *http.Request, body any) any {
			if rows, ok := body.([]any); ok {
				return change(s, r, rows)
			}
			return body
		})
	}
	return f
}
