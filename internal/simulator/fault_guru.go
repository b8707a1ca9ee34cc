package simulator

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guruFaults are cases that Guru's documents leave open, and cases seen at Guru.
var guruFaults = []Fault{
	userGroups("usergroups-400", "400", Right, func(w http.ResponseWriter) { guruError(w, http.StatusBadRequest, "Invalid/Incomplete Request") }),
	userGroups("usergroups-401", "401", Right, func(w http.ResponseWriter) { guruError(w, http.StatusUnauthorized, "Request was unauthorized") }),
	userGroups("usergroups-403", "403", Right, func(w http.ResponseWriter) { guruError(w, http.StatusForbidden, "Forbidden access to the resource") }),
	userGroups("usergroups-404", "404", Right, func(w http.ResponseWriter) { guruError(w, http.StatusNotFound, "Resource could not be found") }),
	userGroups("usergroups-405", "405", Right, func(w http.ResponseWriter) { guruError(w, http.StatusMethodNotAllowed, "Method not allowed") }),
	userGroups("usergroups-500", "500", Either, func(w http.ResponseWriter) { guruError(w, http.StatusInternalServerError, "Internal error") }),
	userGroups("usergroups-object", "one group instead of a list", Right, func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		_, _ = io.WriteString(w, `{"id":"usergroups","name":"usergroups","numberOfMembers":0}`)
	}),
	userGroups("usergroups-html", "a page of HTML with 200", Right, func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Guru</body></html>")
	}),
	userGroups("usergroups-empty", "[]", Right, sendEmptyList),
	{
		Name: "groups-empty", Vendor: "guru", Outcome: Fails, What: "/groups and /groups/usergroups answer []",
		wrap: when(func(r *http.Request) bool { return pathOf(r) == "/groups" || pathOf(r) == "/groups/usergroups" }, sendEmptyList),
	},
	{
		Name: "groups-404", Vendor: "guru", Outcome: Right, What: "/groups answers 404; /groups/usergroups works",
		wrap: hidden("/groups"),
	},
	{
		Name: "both-groups-404", Vendor: "guru", Outcome: Fails, What: "/groups and /groups/usergroups answer 404",
		wrap: hidden("/groups", "/groups/usergroups"),
	},
	styled("groups-paged", "lists of groups come 2 at a time", func(v *guru) { v.groupRows = 2 }),
	styled("members-in-one-body", "a group's members come in one body, however many", func(v *guru) { v.memberRows = 1 << 30 }),

	styled("link-tight", "no blanks within the brackets of Link", func(v *guru) {
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			w.Header().Add("Link", "<"+next+"?token="+url.QueryEscape(token)+`>;rel="next-page"`)
		}
	}),
	styled("link-next", `rel="next" in Link`, func(v *guru) {
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			w.Header().Add("Link", "<"+next+"?token="+url.QueryEscape(token)+`>; rel="next"`)
		}
	}),
	styled("link-bare-rel", "rel=next-page without quotes, in odd letter case", func(v *guru) {
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			w.Header().Add("Link", "<"+next+"?token="+url.QueryEscape(token)+">; REL=Next-Page")
		}
	}),
	styled("link-no-rel", "no rel in Link", func(v *guru) {
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			w.Header().Add("Link", "< "+next+"?token="+url.QueryEscape(token)+" >")
		}
	}),
	styled("link-several", "several links in one header, the next page's not the first, with commas within", func(v *guru) {
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			w.Header().Add("Link", "<"+next+`?fields=a,b&token=first>; rel="first-page"; title="a, b", < `+next+"?fields=a,b&token="+url.QueryEscape(token)+` >; rel="next-page", <https://docs.example.com/>; rel="help"`)
		}
	}),
	styled("link-headers", "each link in a header of its own", func(v *guru) {
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			w.Header().Add("Link", "<"+next+`?token=first>; rel="prev-page"`)
			w.Header().Add("Link", "< "+next+"?token="+url.QueryEscape(token)+` >; rel="next-page"`)
		}
	}),
	styled("link-elsewhere", "Link names another host, which records what arrives", func(v *guru) {
		v.style = func(v *guru, w http.ResponseWriter, _, token string) {
			host := "http://internal.guru.example.com"
			if v.otherURL != "" {
				host = v.otherURL
			}
			w.Header().Add("Link", "< "+host+"/internal/members?token="+url.QueryEscape(token)+` >; rel="next-page"`)
		}
	}),
	styled("link-relative", "Link is relative to the origin", func(v *guru) {
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			if u, err := url.Parse(next); err == nil {
				next = u.EscapedPath()
			}
			w.Header().Add("Link", "<"+next+"?token="+url.QueryEscape(token)+`>; rel="next-page"`)
		}
	}),
	styled("link-raw-token", "the plus, slash and equals signs of tokens are not percent-encoded; a blank is taken for a plus", func(v *guru) {
		v.lenient = true
		v.style = func(_ *guru, w http.ResponseWriter, next, token string) {
			w.Header().Add("Link", "< "+next+"?token="+token+` >; rel="next-page"`)
		}
	}),
	{
		Name: "token-cycle", Vendor: "guru", Outcome: Fails, What: "the last page of members links to the first again",
		seed: onward(func(path string, _, last int, more bool) (int, bool) {
			if path != "/members" || more {
				return last, more
			}
			return 0, true
		}),
	},
	{
		Name: "token-stuck", Vendor: "guru", Outcome: Fails, What: "every page of members links to itself",
		seed: onward(func(path string, first, last int, more bool) (int, bool) {
			if path != "/members" {
				return last, more
			}
			return first - 1, true
		}),
	},
	{
		Name: "token-expired", Vendor: "guru", Outcome: Fails, What: "400 for every token",
		wrap: when(func(r *http.Request) bool { return r.URL.Query().Has("token") }, func(w http.ResponseWriter) {
			guruError(w, http.StatusBadRequest, "Unable to decode paging token.  Paging tokens are generated by the system and can not be altered.")
		}),
	},

	people("status-lower-case", "every status is in lower case", func(_ int, p *Person) { p.Status = strings.ToLower(p.Status) }),
	people("status-unknown", "every second user has a status that is not documented", func(i int, p *Person) {
		if i%2 == 0 {
			p.Status = "SUSPENDED"
		}
	}),
	people("status-missing", "users have no status", func(_ int, p *Person) { p.Status = "" }),
	people("user-id-missing", "user.id is missing from all lists", func(_ int, p *Person) { p.UUID = "" }),
	{
		Name: "member-user-id-missing", Vendor: "guru", Outcome: Right, What: "user.id is missing from the lists of groups' members",
		wrap: perMember(func(_ *Server, _ *http.Request, _ int, m map[string]any) {
			if user, ok := m["user"].(map[string]any); ok {
				delete(user, "id")
			}
		}),
	},
	{
		Name: "user-missing", Vendor: "guru", Outcome: Either, What: "the third row of /members has no user",
		wrap: perRow(isUserList, func(_ *Server, i int, row map[string]any) {
			if i == 2 {
				delete(row, "user")
			}
		}),
	},
	{
		Name: "user-null", Vendor: "guru", Outcome: Either, What: "the third row of /members has null for a user",
		wrap: perRow(isUserList, func(_ *Server, i int, row map[string]any) {
			if i == 2 {
				row["user"] = nil
			}
		}),
	},
	{
		Name: "member-user-null", Vendor: "guru", Outcome: Right, What: "rows of groups' members have null for a user",
		wrap: perMember(func(_ *Server, _ *http.Request, _ int, m map[string]any) { m["user"] = nil }),
	},
	{
		Name: "user-bare", Vendor: "guru", Outcome: Right, What: "the fields of a user stand at the top level of the rows of /members, beside the id",
		seed: func(s *Server) {
			for _, p := range s.dir.people {
				p.UUID = "" // there is only one id
			}
		},
		wrap: perRow(isUserList, func(_ *Server, _ int, row map[string]any) { lift(row) }),
	},
	{
		Name: "user-bare-uuid", Vendor: "guru", Outcome: Right, What: "all rows of users and members are bare users: the id is the UUID, the e-mail a field",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if strings.HasSuffix(pathOf(r), "/members") {
				for _, row := range rowsOf(body) {
					if user, ok := row["user"].(map[string]any); ok {
						row["id"] = user["id"]
						lift(row)
					}
				}
			}
			return body
		}),
	},
	{
		Name: "mixed-case", Vendor: "guru", Outcome: Right, What: "e-mails have another letter case in the lists of groups' members",
		wrap: perMember(func(_ *Server, _ *http.Request, i int, m map[string]any) {
			id, _ := m["id"].(string)
			m["id"] = []string{strings.ToUpper(id), strings.ToLower(id)}[i%2]
		}),
	},
	{
		Name: "row-id-missing", Vendor: "guru", Outcome: Either, What: "rows have no id of their own; the e-mail is in their user",
		wrap: perRow(isUserList, func(_ *Server, _ int, row map[string]any) { delete(row, "id") }),
	},
	{
		Name: "group-vanished", Vendor: "guru", Outcome: Right, What: "the last group is listed, but deleted before its members are asked for: 404 on it and its members, and it is not listed again",
		seed: func(s *Server) {
			if t := s.dir.teams; len(t) > 0 {
				t[len(t)-1].Members = nil
			}
		},
		wrap: vanishing,
	},
	{
		Name: "group-members-404", Vendor: "guru", Outcome: Fails, What: "404 on the members of groups that exist",
		wrap: onMembers(func(w http.ResponseWriter) { guruError(w, http.StatusNotFound, "Resource could not be found") }),
	},
	{
		Name: "group-hidden", Vendor: "guru", Outcome: Fails, What: "404 on the last group and on its members, although it is listed",
		wrap: func(s *Server, next http.Handler) http.Handler {
			last := ""
			if t := s.dir.teams; len(t) > 0 {
				last = "/groups/" + t[len(t)-1].ID
			}
			return hidden(last, last+"/members")(s, next)
		},
	},
	{
		Name: "group-members-403", Vendor: "guru", Outcome: Fails, What: "403 on the members of groups",
		wrap: onMembers(func(w http.ResponseWriter) { guruError(w, http.StatusForbidden, "Forbidden access to group") }),
	},
	{
		Name: "members-page-blank", Vendor: "guru", Outcome: Fails, What: "200 without a body on the later pages of groups' members",
		wrap: when(func(r *http.Request) bool { return isMembersOfGroup(r) && r.URL.Query().Has("token") }, func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }),
	},
	everyone("all-members-403", http.StatusForbidden, "Forbidden access to group"),
	everyone("all-members-404", http.StatusNotFound, "Resource could not be found"),
	{
		Name: "announced-page-204", Vendor: "guru", Outcome: Fails, What: "204 on the later pages of /members",
		wrap: when(func(r *http.Request) bool { return pathOf(r) == "/members" && r.URL.Query().Has("token") }, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }),
	},
	empty("empty-array", "an empty group's members answer []", sendEmptyList),
	empty("empty-body", "an empty group's members answer 200 without a body", func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }),
	{
		Name: "members-204", Vendor: "guru", Outcome: Fails, What: "204 on /members",
		wrap: when(func(r *http.Request) bool { return pathOf(r) == "/members" }, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }),
	},
	{
		Name: "everyone-listed", Vendor: "guru", Outcome: Right, What: `the group "All Members" lists everyone, though it counts 0`,
		seed: func(s *Server) {
			for i, t := range s.dir.teams {
				if t.Everyone {
					s.dir.teams = append(s.dir.teams[:i:i], s.dir.teams[i+1:]...)
					for _, p := range s.dir.people {
						t.Members = append(t.Members, Member{ID: p.ID})
					}
					s.dir.addTeam(t)
					return
				}
			}
		},
	},
	{
		Name: "counts-wrong", Vendor: "guru", Outcome: Right, What: "numberOfMembers is 0 for groups with members and 7 for empty ones",
		wrap: perRow(isGroupList, func(_ *Server, _ int, row map[string]any) {
			if fmt.Sprint(row["numberOfMembers"]) == "0" {
				row["numberOfMembers"] = 7
			} else {
				row["numberOfMembers"] = 0
			}
		}),
	},
	{
		Name: "collection-token", Vendor: "guru", Outcome: Fails, What: "/whoami says that the token is a collection's",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if who, ok := body.(map[string]any); ok && pathOf(r) == "/whoami" {
				delete(who, "user")
				who["tokenType"], who["collection"] = "COLLECTION", map[string]any{"id": uuid("collection", 0), "name": "General"}
			}
			return body
		}),
	},
	{
		Name: "whoami-404", Vendor: "guru", Outcome: Either, What: "404 on /whoami",
		wrap: hidden("/whoami"),
	},
}

func userGroups(name, answer, outcome string, send func(http.ResponseWriter)) Fault {
	return Fault{
		Name: name, Vendor: "guru", Outcome: outcome, What: "/groups/usergroups answers " + answer + "; /groups works",
		wrap: when(func(r *http.Request) bool { return pathOf(r) == "/groups/usergroups" }, send),
	}
}

// everyone refuses to list the members of the group "All Members".
func everyone(name string, status int, message string) Fault {
	return Fault{
		Name: name, Vendor: "guru", Outcome: Fails, What: fmt.Sprint(status, " on the members of All Members"),
		wrap: func(s *Server, next http.Handler) http.Handler {
			path := ""
			for _, t := range s.dir.teams {
				if t.Everyone {
					path = "/groups/" + t.ID + "/members"
				}
			}
			return when(func(r *http.Request) bool { return pathOf(r) == path }, func(w http.ResponseWriter) { guruError(w, status, message) })(s, next)
		},
	}
}

func sendEmptyList(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	_, _ = io.WriteString(w, "[]")
}

// when replaces the answers to some requests.
func when(asks func(*http.Request) bool, send func(http.ResponseWriter)) func(*Server, http.Handler) http.Handler {
	return func(_ *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asks(r) {
				send(w)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func isMembersOfGroup(r *http.Request) bool {
	return strings.HasPrefix(pathOf(r), "/groups/") && strings.HasSuffix(pathOf(r), "/members")
}

// hidden answers 404 for some paths.
func hidden(paths ...string) func(*Server, http.Handler) http.Handler {
	return when(func(r *http.Request) bool { return slices.Contains(paths, pathOf(r)) }, func(w http.ResponseWriter) {
		guruError(w, http.StatusNotFound, http.StatusText(http.StatusNotFound))
	})
}

func onMembers(send func(http.ResponseWriter)) func(*Server, http.Handler) http.Handler {
	return when(isMembersOfGroup, send)
}

// styled changes the form of answers, not their content.
func styled(name, what string, change func(v *guru)) Fault {
	return Fault{Name: name, Vendor: "guru", Outcome: Right, What: what, seed: func(s *Server) {
		change(s.vendor.(*guru)) //nolint:forcetypeassert // WithFault has checked the vendor
	}}
}

func empty(name, what string, send func(http.ResponseWriter)) Fault {
	return styled(name, what, func(v *guru) { v.emptyList = send })
}

func onward(lead func(path string, first, last int, more bool) (int, bool)) func(*Server) {
	return func(s *Server) {
		s.vendor.(*guru).onward = lead //nolint:forcetypeassert // WithFault has checked the vendor
	}
}

func people(name, what string, change func(i int, p *Person)) Fault {
	return Fault{Name: name, Vendor: "guru", Outcome: Right, What: what, seed: func(s *Server) {
		for i, p := range s.dir.people {
			change(i, p)
		}
	}}
}

// lift moves the fields of the user to the row.
func lift(row map[string]any) {
	user, _ := row["user"].(map[string]any)
	delete(row, "user")
	for key, value := range user {
		if key != "id" {
			row[key] = value
		}
	}
}

// vanishing deletes the last group at the first request for its members. The
// truth keeps the group, because the list named it.
func vanishing(s *Server, next http.Handler) http.Handler {
	if len(s.dir.teams) == 0 {
		return next
	}
	last := s.dir.teams[len(s.dir.teams)-1].ID
	gone := make(chan struct{}, 1)
	relisted := rewritten(func(_ *Server, r *http.Request, body any) any {
		rows, isRows := body.([]any)
		if !isRows || !isGroupList(r) || len(gone) == 0 {
			return body
		}
		kept := []any{}
		for _, row := range rows {
			if group, ok := row.(map[string]any); !ok || group["id"] != last {
				kept = append(kept, row)
			}
		}
		return kept
	})(s, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := pathOf(r)
		if path == "/groups/"+last+"/members" {
			select {
			case gone <- struct{}{}:
			default:
			}
		}
		if len(gone) == 1 && strings.HasPrefix(path, "/groups/"+last) {
			guruError(w, http.StatusNotFound, "Resource could not be found")
			return
		}
		relisted.ServeHTTP(w, r)
	})
}
