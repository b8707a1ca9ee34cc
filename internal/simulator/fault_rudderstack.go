package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// rudderStackFaults are faults of real SCIM servers. RFC 7643, 7644 and 9865
// define the right behaviour.
var rudderStackFaults = []Fault{
	listed("items-per-page-wrong", "itemsPerPage is 7, whatever comes", Right, func(l map[string]any, _ *http.Request) { l["itemsPerPage"] = 7 }),
	listed("items-per-page-zero", "itemsPerPage is 0", Right, func(l map[string]any, _ *http.Request) { l["itemsPerPage"] = 0 }),
	listed("items-per-page-null", "itemsPerPage is null", Right, func(l map[string]any, _ *http.Request) { l["itemsPerPage"] = nil }),
	listed("items-per-page-missing", "itemsPerPage is missing", Right, func(l map[string]any, _ *http.Request) { delete(l, "itemsPerPage") }),
	listed("start-index-zero-based", "the answer's startIndex counts from 0", Right, func(l map[string]any, r *http.Request) {
		l["startIndex"] = number(r.URL.Query().Get("startIndex"), 1) - 1
	}),
	listed("start-index-missing", "the answer has no startIndex", Right, func(l map[string]any, _ *http.Request) { delete(l, "startIndex") }),
	listed("total-of-page", "totalResults is the number of rows of this page", Right, func(l map[string]any, _ *http.Request) {
		rows, _ := l["Resources"].([]any)
		l["totalResults"] = len(rows)
	}),
	listed("total-missing", "totalResults is missing", Either, func(l map[string]any, _ *http.Request) { delete(l, "totalResults") }),
	listed("total-string", "totalResults is a string", Right, func(l map[string]any, _ *http.Request) {
		l["totalResults"] = fmt.Sprint(l["totalResults"])
	}),
	listed("total-too-high", "totalResults is 5 too high", Fails, func(l map[string]any, _ *http.Request) { l["totalResults"] = total(l) + 5 }),
	listed("total-too-low", "totalResults is half of what there is", Either, func(l map[string]any, _ *http.Request) { l["totalResults"] = total(l) / 2 }),
	listed("total-zero", "totalResults is 0 above rows", Either, func(l map[string]any, _ *http.Request) { l["totalResults"] = 0 }),
	asked("cap-100", "at most 100 rows a page, whatever is asked for", Right, func(q *query) { q.count = min(q.count, 100) }),
	asked("cap-50", "at most 50 rows a page, whatever is asked for", Right, func(q *query) { q.count = min(q.count, 50) }),
	asked("cap-7", "at most 7 rows a page, whatever is asked for", Right, func(q *query) { q.count = min(q.count, 7) }),
	asked("start-index-ignored", "always the first page", Fails, func(q *query) { q.start = 1 }),
	asked("wrap-around", "past the end comes the first page again", Right, func(q *query) {
		if q.start > q.total {
			q.start = 1
		}
	}),
	asked("overlapping-windows", "each page but the first begins 10 rows early", Either, func(q *query) { q.start = max(1, q.start-10) }),
	asked("page-aligned", "startIndex is rounded down to the first row of its page", Either, func(q *query) { q.start = (q.start-1)/max(q.count, 1)*max(q.count, 1) + 1 }),
	{
		Name: "past-end-refused", Vendor: "rudderstack", Outcome: Either, What: "400 where startIndex is past the end",
		wrap: func(s *Server, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if q := s.query(r); q != nil && q.start > max(1, q.total) {
					scimError(w, http.StatusBadRequest, "startIndex is out of range")
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	},
	{
		Name: "unstable-order", Vendor: "rudderstack", Outcome: Either, What: "each request sees the list in another order",
		wrap: func(s *Server, next http.Handler) http.Handler {
			var n atomic.Int64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := s.query(r)
				if q == nil || q.total == 0 {
					next.ServeHTTP(w, r)
					return
				}
				list := s.window(next, r, 1, q.total)
				turn := int(hash("order", int(n.Add(1))+s.options.seed<<32) % uint64(len(list)))
				list = append(append([]any{}, list[turn:]...), list[:turn]...)
				writeList(w, cut(list, q.start, q.count), map[string]any{"startIndex": q.start, "itemsPerPage": q.count, "totalResults": q.total})
			})
		},
	},
	listed("resources-missing", "Resources is missing where there are no rows", Right, func(l map[string]any, _ *http.Request) {
		if rows, _ := l["Resources"].([]any); len(rows) == 0 {
			delete(l, "Resources")
		}
	}),
	listed("resources-null", "Resources is null where there are no rows", Right, func(l map[string]any, _ *http.Request) {
		if rows, _ := l["Resources"].([]any); len(rows) == 0 {
			l["Resources"] = nil
		}
	}),
	{
		Name: "cursors", Vendor: "rudderstack", Outcome: Fails, What: "pages by cursor (RFC 9865)",
		wrap: func(s *Server, next http.Handler) http.Handler {
			answer := rewritten(func(_ *Server, r *http.Request, body any) any {
				if list, ok := body.(map[string]any); ok && isList(r) {
					list["nextCursor"] = "bmV4dA=="
				}
				return body
			})(s, next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if q := s.query(r); q != nil && q.start > 1 {
					scimError(w, http.StatusBadRequest, "Only cursors can be used to page.")
					return
				}
				answer.ServeHTTP(w, r)
			})
		},
	},
	{
		Name: "rows-alike", Vendor: "rudderstack", Outcome: Right, What: "up to five rows that sort alike are in another order at each request",
		wrap: func(s *Server, next http.Handler) http.Handler {
			var n atomic.Int64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := s.query(r)
				if q == nil || q.total == 0 {
					next.ServeHTTP(w, r)
					return
				}
				list := s.window(next, r, 1, q.total)
				turn := int(n.Add(1))
				for tied := range slices.Chunk(list, 5) {
					for i := range tied {
						j := int(hash("alike", turn<<8+i) % uint64(len(tied)))
						tied[i], tied[j] = tied[j], tied[i]
					}
				}
				writeList(w, cut(list, q.start, q.count), map[string]any{"totalResults": q.total})
			})
		},
	},
	{
		Name: "page-aligned-of-20", Vendor: "rudderstack", Outcome: Fails, What: "pages of 20 that begin at multiples of 20, with totals of the page",
		wrap: func(s *Server, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := s.query(r)
				if q == nil {
					next.ServeHTTP(w, r)
					return
				}
				rows := s.window(next, r, (q.start-1)/20*20+1, 20)
				writeList(w, rows, map[string]any{"totalResults": len(rows)})
			})
		},
	},
	{
		Name: "scim-error-ok", Vendor: "rudderstack", Outcome: Fails, What: "a SCIM Error with status 200",
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/scim+json")
			_, _ = w.Write([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"the database is down","status":"500"}`))
		}),
	},

	{
		Name: "numeric-ids", Vendor: "rudderstack", Outcome: Right, What: "ids are JSON numbers beyond 2^53",
		seed: func(s *Server) {
			now := map[string]string{}
			for i, p := range s.dir.people {
				now[p.ID] = strconv.FormatUint(9_007_199_254_740_993+2*uint64(i), 10)
				delete(s.dir.person, p.ID)
				p.ID = now[p.ID]
				s.dir.person[p.ID] = p
			}
			for i, t := range s.dir.teams {
				now[t.ID] = strconv.FormatUint(18_014_398_509_481_985+2*uint64(i), 10)
				delete(s.dir.team, t.ID)
				t.ID = now[t.ID]
				s.dir.team[t.ID] = t
				for k := range t.Members {
					t.Members[k].ID = now[t.Members[k].ID]
				}
			}
		},
		wrap: rewritten(func(_ *Server, _ *http.Request, body any) any {
			for _, row := range rowsOf(body) {
				if id, ok := row["id"].(string); ok {
					row["id"] = json.Number(id)
				}
				members, _ := row["members"].([]any)
				for _, member := range members {
					m, _ := member.(map[string]any)
					if id, ok := m["value"].(string); ok {
						m["value"] = json.Number(id)
					}
				}
			}
			return body
		}),
	},
	{
		Name: "string-booleans", Vendor: "rudderstack", Outcome: Right, What: `booleans are "True" and "False"`,
		wrap: rewritten(func(_ *Server, _ *http.Request, body any) any { return wordy(body) }),
	},
	{
		Name: "string-emails", Vendor: "rudderstack", Outcome: Right, What: "e-mails are plain strings, so none is primary",
		seed: func(s *Server) {
			for _, p := range s.dir.people {
				for i := range p.Emails {
					p.Emails[i].Primary = false
				}
			}
		},
		wrap: perRow(isUserList, func(_ *Server, _ int, row map[string]any) {
			emails, _ := row["emails"].([]any)
			for i := range emails {
				if email, ok := emails[i].(map[string]any); ok {
					emails[i] = email["value"]
				}
			}
		}),
	},
	{
		Name: "two-primaries", Vendor: "rudderstack", Outcome: Right, What: "every e-mail is primary; the first counts",
		seed: func(s *Server) {
			for _, p := range s.dir.people {
				for i := range p.Emails {
					p.Emails[i].Primary = i == 0
				}
			}
		},
		wrap: perRow(isUserList, func(_ *Server, _ int, row map[string]any) {
			emails, _ := row["emails"].([]any)
			for i := range emails {
				if email, ok := emails[i].(map[string]any); ok {
					email["primary"] = true
				}
			}
		}),
	},
	{
		Name: "no-emails", Vendor: "rudderstack", Outcome: Right, What: "users have no e-mails",
		seed: func(s *Server) {
			for i, p := range s.dir.people {
				p.Emails = [][]directory.Email{nil, {}}[i%2]
			}
		},
	},
	{
		Name: "no-active", Vendor: "rudderstack", Outcome: Right, What: "users do not say whether they are active",
		seed: func(s *Server) {
			for _, p := range s.dir.people {
				p.Status = ""
			}
		},
	},

	{
		Name: "list-without-members", Vendor: "rudderstack", Outcome: Right, What: "/Groups lists groups without members; /Groups/{id} has them",
		wrap: perRow(isGroupList, func(_ *Server, _ int, row map[string]any) { delete(row, "members") }),
	},
	{
		Name: "members-on-request", Vendor: "rudderstack", Outcome: Right, What: "groups have members only where attributes names them, and lists never",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if strings.HasPrefix(pathOf(r), "/Groups") && (isGroupList(r) || r.URL.Query().Get("attributes") != "members") {
				for _, row := range rowsOf(body) {
					delete(row, "members")
				}
			}
			return body
		}),
	},
	{
		Name: "members-null", Vendor: "rudderstack", Outcome: Right, What: "members is null where a group is empty",
		wrap: perGroup(func(row map[string]any) {
			if members, stated := row["members"].([]any); stated && len(members) == 0 {
				row["members"] = nil
			}
		}),
	},
	{
		Name: "members-missing", Vendor: "rudderstack", Outcome: Right, What: "members is missing where a group is empty",
		wrap: perGroup(func(row map[string]any) {
			if members, stated := row["members"].([]any); stated && len(members) == 0 {
				delete(row, "members")
			}
		}),
	},
	{
		Name: "excluded-ignored", Vendor: "rudderstack", Outcome: Right, What: "excludedAttributes is ignored",
		wrap: requested(func(q url.Values) { q.Del("excludedAttributes") }),
	},
	{
		Name: "excluded-refused", Vendor: "rudderstack", Outcome: Right, What: "400 where excludedAttributes is asked for",
		wrap: func(_ *Server, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("excludedAttributes") {
					scimError(w, http.StatusBadRequest, "excludedAttributes is not supported")
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	},
	{
		Name: "too-many", Vendor: "rudderstack", Outcome: Either, What: "400 tooMany where count is above 50",
		wrap: func(_ *Server, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if number(r.URL.Query().Get("count"), 0) > 50 {
					w.Header().Set("Content-Type", "application/scim+json")
					w.WriteHeader(http.StatusBadRequest)
					_, _ = w.Write([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"scimType":"tooMany","detail":"count is above the maximum of 50","status":"400"}`))
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	},
	nested("nested-groups", "groups are members of groups, with their type", nil),
	{
		Name: "nested-cycle", Vendor: "rudderstack", Outcome: Right, What: "three groups are members of each other in a circle, and one of them is in a fourth",
		seed: func(s *Server) {
			if t := s.dir.teams; len(t) > 3 {
				s.Nest(t[0].ID, t[1].ID)
				s.Nest(t[1].ID, t[2].ID)
				s.Nest(t[2].ID, t[0].ID)
				s.Nest(t[3].ID, t[0].ID)
			}
		},
	},
	nested("members-odd-type", "the members' type is in odd letter case", func(_ *Server, _ *http.Request, m map[string]any, kind string) {
		m["type"] = strings.ToUpper(kind)
	}),
	nested("members-ref-absolute", "members have no type but an absolute $ref", func(_ *Server, r *http.Request, m map[string]any, kind string) {
		delete(m, "type")
		m["$ref"] = fmt.Sprintf("http://%s/tenant-7/scim/v2/%ss/%v", r.Host, kind, m["value"])
	}),
	nested("members-ref-relative", "members have no type but a relative $ref", func(_ *Server, _ *http.Request, m map[string]any, kind string) {
		delete(m, "type")
		m["$ref"] = fmt.Sprintf("../%ss/%v", kind, m["value"])
	}),
	nested("members-ref-odd-case", "members have no type but a $ref in odd letter case", func(_ *Server, r *http.Request, m map[string]any, kind string) {
		delete(m, "type")
		m["$ref"] = fmt.Sprintf("HTTP://%s/Tenant-7/SCIM/V2/%sS/%v?x=1", strings.ToUpper(r.Host), strings.ToUpper(kind), m["value"])
	}),
	nested("members-odd-type-ref", "the members' type is neither User nor Group, and their $ref says which", func(_ *Server, _ *http.Request, m map[string]any, kind string) {
		m["type"] = "direct"
		m["$ref"] = fmt.Sprintf("../%ss/%v", kind, m["value"])
	}),
	{
		Name: "members-cut-off", Vendor: "rudderstack", Outcome: Right, What: "/Groups lists at most 50 members of a group; /Groups/{id} has them all",
		wrap: perRow(isGroupList, func(_ *Server, _ int, row map[string]any) {
			if members, _ := row["members"].([]any); len(members) > 50 {
				row["members"] = members[:50]
			}
		}),
	},
	nested("members-bare", "members are an id and nothing else", func(_ *Server, _ *http.Request, m map[string]any, _ string) {
		delete(m, "type")
		delete(m, "display")
	}),

	{
		Name: "groups-unsupported", Vendor: "rudderstack", Outcome: Right, What: "the organization has no SCIM groups: 501 on /Groups",
		seed: noGroups, wrap: onGroups(http.StatusNotImplemented),
	},
	{
		Name: "members-unsupported", Vendor: "rudderstack", Outcome: Fails, What: "501 on /Groups where its members are not excluded",
		wrap: onGroupsThat(false, http.StatusNotImplemented),
	},
	{
		Name: "excluded-unsupported", Vendor: "rudderstack", Outcome: Right, What: "501 on /Groups with excludedAttributes",
		wrap: onGroupsThat(true, http.StatusNotImplemented),
	},
	{
		Name: "groups-absent", Vendor: "rudderstack", Outcome: Right, What: "the organization has no SCIM groups: 404 on /Groups, and /ResourceTypes lists none",
		seed: noGroups,
		wrap: func(s *Server, next http.Handler) http.Handler {
			users := rewritten(func(_ *Server, r *http.Request, body any) any {
				if list, ok := body.(map[string]any); ok && pathOf(r) == "/ResourceTypes" {
					rows, _ := list["Resources"].([]any)
					list["Resources"], list["totalResults"] = rows[:1], 1
				}
				return body
			})
			return onGroups(http.StatusNotFound)(s, users(s, next))
		},
	},
	{
		Name: "groups-missing", Vendor: "rudderstack", Outcome: Fails, What: "404 on /Groups, although /ResourceTypes lists them", wrap: onGroups(http.StatusNotFound),
	},
	{
		Name: "groups-unknown", Vendor: "rudderstack", Outcome: Fails, What: "404 on /Groups and on /ResourceTypes",
		wrap: func(s *Server, next http.Handler) http.Handler {
			return onPath("/ResourceTypes", http.StatusNotFound)(s, onGroups(http.StatusNotFound)(s, next))
		},
	},
	{
		Name: "groups-forbidden", Vendor: "rudderstack", Outcome: Fails, What: "403 on /Groups", wrap: onGroups(http.StatusForbidden),
	},
	{
		Name: "numeric-status", Vendor: "rudderstack", Outcome: Fails, What: "403 with the status as a number in the body, from the 3rd request on", When: When{From: 3},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/scim+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"SCIM is not enabled for the organization","status":403}`))
		}),
	},
	{
		Name: "odd-case", Vendor: "rudderstack", Outcome: Right, What: "attribute names are in odd letter case (RFC 7643, section 2.1)",
		wrap: rewritten(func(_ *Server, _ *http.Request, body any) any { return oddCase(body) }),
	},
}

func listed(name, what, outcome string, change func(list map[string]any, r *http.Request)) Fault {
	return Fault{
		Name: name, Vendor: "rudderstack", What: what, Outcome: outcome,
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if list, ok := body.(map[string]any); ok && isList(r) {
				change(list, r)
			}
			return body
		}),
	}
}

// query is a request's window of a list.
type query struct{ start, count, total int }

func (s *Server) query(r *http.Request) *query {
	if !isList(r) {
		return nil
	}
	q := r.URL.Query()
	s.dir.mu.RLock()
	defer s.dir.mu.RUnlock()
	size := len(s.dir.people)
	if isGroupList(r) {
		size = len(s.dir.teams)
	}
	return &query{max(1, number(q.Get("startIndex"), 1)), min(number(q.Get("count"), maxCount), maxCount), size}
}

func asked(name, what, outcome string, change func(q *query)) Fault {
	return Fault{
		Name: name, Vendor: "rudderstack", What: what, Outcome: outcome,
		wrap: func(s *Server, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if q := s.query(r); q != nil {
					change(q)
					r = requery(r, q.start, q.count)
				}
				next.ServeHTTP(w, r)
			})
		},
	}
}

func requery(r *http.Request, start, count int) *http.Request {
	r = r.Clone(r.Context())
	q := r.URL.Query()
	q.Set("startIndex", strconv.Itoa(start))
	q.Set("count", strconv.Itoa(count))
	q.Del("cursor")
	r.URL.RawQuery = q.Encode()
	return r
}

func requested(change func(url.Values)) func(*Server, http.Handler) http.Handler {
	return func(_ *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			q := r.URL.Query()
			change(q)
			r.URL.RawQuery = q.Encode()
			next.ServeHTTP(w, r)
		})
	}
}

// window reads rows from the server behind it, a page at a time.
func (s *Server) window(next http.Handler, r *http.Request, start, count int) []any {
	var rows []any
	for count > 0 {
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, requery(r, start+len(rows), min(count, maxCount)))
		body, _ := decode(recorder.Body.Bytes())
		list, _ := body.(map[string]any)
		page, _ := list["Resources"].([]any)
		if len(page) == 0 {
			break
		}
		rows = append(rows, page...)
		count -= len(page)
	}
	return rows
}

func cut(rows []any, start, count int) []any {
	from := min(start-1, len(rows))
	return rows[from:min(from+count, len(rows))]
}

func writeList(w http.ResponseWriter, rows []any, more map[string]any) {
	list := map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "Resources": append([]any{}, rows...)}
	for key, value := range more {
		list[key] = value
	}
	w.Header().Set("Content-Type", "application/scim+json")
	_, _ = w.Write(encode(list))
}

func total(list map[string]any) int {
	return number(fmt.Sprint(list["totalResults"]), 0)
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

func wordy(value any) any {
	switch v := value.(type) {
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case map[string]any:
		for key := range v {
			v[key] = wordy(v[key])
		}
	case []any:
		for i := range v {
			v[i] = wordy(v[i])
		}
	}
	return value
}

func oddCase(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, inner := range v {
			if len(key)%2 == 0 {
				key = strings.ToUpper(key)
			} else {
				key = strings.ToUpper(key[:1]) + strings.ToLower(key[1:])
			}
			out[key] = oddCase(inner)
		}
		return out
	case []any:
		for i := range v {
			v[i] = oddCase(v[i])
		}
	}
	return value
}

func perGroup(change func(row map[string]any)) func(*Server, http.Handler) http.Handler {
	return rewritten(func(_ *Server, r *http.Request, body any) any {
		if strings.HasPrefix(pathOf(r), "/Groups") {
			for _, row := range rowsOf(body) {
				change(row)
			}
		}
		return body
	})
}

// nested puts the second group into the first and the third into the second,
// and changes how the server lists members.
func nested(name, what string, change func(s *Server, r *http.Request, member map[string]any, kind string)) Fault {
	f := Fault{
		Name: name, Vendor: "rudderstack", What: what, Outcome: Right,
		seed: func(s *Server) {
			if t := s.dir.teams; len(t) > 2 {
				s.Nest(t[0].ID, t[1].ID)
				s.Nest(t[1].ID, t[2].ID)
			}
		},
	}
	if change != nil {
		f.wrap = perMember(func(s *Server, r *http.Request, _ int, member map[string]any) {
			kind, _ := member["type"].(string)
			change(s, r, member, kind)
		})
	}
	return f
}

func noGroups(s *Server) {
	s.dir.teams = nil
	s.dir.team = map[string]*Team{}
}

func onGroups(status int) func(*Server, http.Handler) http.Handler { return onPath("/Groups", status) }

func onPath(prefix string, status int) func(*Server, http.Handler) http.Handler {
	return on(func(r *http.Request) bool { return strings.HasPrefix(pathOf(r), prefix) }, status)
}

// onGroupsThat is onGroups for only the lists that exclude members, or only
// those that include them.
func onGroupsThat(exclude bool, status int) func(*Server, http.Handler) http.Handler {
	return on(func(r *http.Request) bool {
		return pathOf(r) == "/Groups" && r.URL.Query().Has("excludedAttributes") == exclude
	}, status)
}

func on(concerns func(*http.Request) bool, status int) func(*Server, http.Handler) http.Handler {
	return func(s *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if concerns(r) {
				s.deny(w, status, http.StatusText(status))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
