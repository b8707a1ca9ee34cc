package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// rowFaults are faults in the users, groups and members that both vendors send.
var rowFaults = []Fault{
	{
		Name: "duplicate-rows", Vendor: "both", Outcome: Either, What: "some users and groups are listed twice, pages apart, and counted twice",
		seed: func(s *Server) {
			for _, p := range pick(s.dir.people) {
				twin := *p
				s.dir.addPerson(&twin)
			}
			for _, t := range pick(s.dir.teams) {
				twin := *t
				twin.Members = slices.Clone(t.Members)
				s.dir.addTeam(&twin)
			}
		},
	},
	{
		Name: "duplicate-members", Vendor: "both", Outcome: Right, What: "the first member of each group is in it twice",
		seed: func(s *Server) {
			for _, t := range slices.Clone(s.dir.teams) {
				if len(t.Members) > 0 {
					s.join(t.ID, t.Members[0].ID, false)
				}
			}
		},
	},
	{
		Name: "unlisted-member", Vendor: "both", Outcome: Either, What: "every group has a member who is not in the list of users (joined in between)",
		seed: func(s *Server) {
			for i, t := range slices.Clone(s.dir.teams) {
				p := s.vendor.person(1_000_000 + i)
				s.join(t.ID, p.ID, false)
			}
		},
	},
	{
		Name: "user-without-id", Vendor: "both", Outcome: Fails, What: "the third user of each page has no id",
		wrap: perRow(isUserList, func(_ *Server, i int, row map[string]any) {
			if i == 2 {
				anonymous(row)
			}
		}),
	},
	{
		Name: "user-with-empty-id", Vendor: "both", Outcome: Fails, What: "the third user of each page has an empty id",
		wrap: perRow(isUserList, func(_ *Server, i int, row map[string]any) {
			if i == 2 {
				anonymous(row)
				row["id"] = ""
			}
		}),
	},
	{
		Name: "group-without-id", Vendor: "both", Outcome: Fails, What: "the first group of each page has no id",
		wrap: perRow(isGroupList, func(_ *Server, i int, row map[string]any) {
			if i == 0 {
				delete(row, "id")
			}
		}),
	},
	{
		Name: "member-without-id", Vendor: "both", Outcome: Fails, What: "the first member of each group has no id",
		wrap: perMember(func(_ *Server, _ *http.Request, i int, member map[string]any) {
			if i == 0 {
				anonymous(member)
				delete(member, "value")
			}
		}),
	},
	{
		Name: "long-id", Vendor: "both", Outcome: Fails, What: "a user's id is 2,000 bytes long",
		seed: func(s *Server) {
			p := s.vendor.person(1_000_000)
			p.ID = strings.Repeat("x", 2000) + "@example.com"
			if _, isGuru := s.vendor.(*guru); isGuru {
				p.Login = p.ID
			}
			s.dir.addPerson(p)
		},
	},
	{
		Name: "odd-ids", Vendor: "both", Outcome: Right, What: "ids of groups hold slashes, blanks, question marks and letters beyond ASCII",
		seed: func(s *Server) {
			for i, t := range s.dir.teams {
				delete(s.dir.team, t.ID)
				t.ID = fmt.Sprintf("team/%d ?&#+=é", i)
				s.dir.team[t.ID] = t
			}
		},
	},
	{
		Name: "long-names", Vendor: "both", Outcome: Right, What: "names of 5,000 multi-byte characters",
		seed: rename(strings.Repeat("漢", 5000)),
	},
	{
		Name: "odd-names", Vendor: "both", Outcome: Right, What: "names with newlines, tabs, control characters and markup",
		seed: rename("  Ann\n\tMarie \u0007\u0000<b>\u2028\"Lee\" 👩‍💻  "),
	},
	{
		Name: "empty-names", Vendor: "both", Outcome: Right, What: "names that are empty or blank",
		seed: func(s *Server) {
			for i, p := range s.dir.people {
				p.First, p.Last, p.Formatted, p.Display = "", "", "", ""
				if i%2 == 0 {
					p.Display = " \t "
				}
			}
			for i, t := range s.dir.teams {
				t.Name = []string{"", "  "}[i%2]
			}
		},
	},
	{
		Name: "invalid-utf8", Vendor: "both", Outcome: Right, What: "names with bytes that are not UTF-8",
		seed: rename("Bj\uFFFDrn"),
		wrap: captured(func(_ *Server, w http.ResponseWriter, _ *http.Request, body []byte) {
			_, _ = w.Write(bytes.ReplaceAll(body, []byte("\uFFFD"), []byte{0xff}))
		}),
	},
	{
		Name: "odd-dates", Vendor: "both", Outcome: Right, What: "dates that are words, numbers or null",
		seed: func(s *Server) {
			for _, p := range s.dir.people {
				p.Created = time.Time{}
			}
			for _, t := range s.dir.teams {
				t.Created = time.Time{}
			}
		},
		wrap: perRow(isList, func(_ *Server, i int, row map[string]any) {
			date := []any{"yesterday", 12, nil, "0000-00-00T00:00:00Z", ""}[i%5]
			if meta, ok := row["meta"].(map[string]any); ok {
				meta["created"], meta["lastModified"] = date, date
				return
			}
			row["dateCreated"] = date
		}),
	},
	{
		Name: "unknown-fields", Vendor: "both", Outcome: Right, What: "rows and members carry fields that nobody knows, of all types",
		wrap: rewritten(func(_ *Server, _ *http.Request, body any) any { return embroider(body, 0) }),
	},
	{
		Name: "odd-order", Vendor: "both", Outcome: Right, What: "the fields of all objects come in the reverse of their usual order, with white space between",
		wrap: captured(func(_ *Server, w http.ResponseWriter, _ *http.Request, body []byte) {
			if decoded, ok := decode(body); ok {
				body = reversed(nil, decoded)
			}
			_, _ = w.Write(body)
		}),
	},
	{
		Name: "users-vanish", Vendor: "both", Outcome: Fails, What: "the list of users is empty, although there are some",
		wrap: rewritten(func(_ *Server, r *http.Request, body any) any {
			if !isUserList(r) {
				return body
			}
			if list, ok := body.(map[string]any); ok {
				list["Resources"] = []any{}
				return list
			}
			return []any{}
		}),
	},
	{
		Name: "endless", Vendor: "both", Outcome: Fails, What: "pages of users without end, each with new ids",
		wrap: endless,
	},
}

// pick returns the first, the middle and the last row.
func pick[T any](rows []T) []T {
	if len(rows) == 0 {
		return nil
	}
	return []T{rows[0], rows[len(rows)/2], rows[len(rows)-1]}
}

func rename(name string) func(*Server) {
	return func(s *Server) {
		for i, p := range s.dir.people {
			if i%3 == 0 {
				p.First, p.Last, p.Formatted, p.Display = name, "", "", name
			}
		}
		for i, t := range s.dir.teams {
			if i%2 == 0 {
				t.Name = name
			}
		}
	}
}

func isUserList(r *http.Request) bool {
	return pathOf(r) == "/Users" || pathOf(r) == "/members"
}

func isGroupList(r *http.Request) bool {
	return slices.Contains([]string{"/Groups", "/groups", "/groups/usergroups"}, pathOf(r))
}

func isList(r *http.Request) bool { return isUserList(r) || isGroupList(r) }

// anonymous removes every field that could identify a user.
func anonymous(row map[string]any) {
	delete(row, "id")
	if user, ok := row["user"].(map[string]any); ok {
		delete(user, "id")
		delete(user, "email")
	}
}

func decode(body []byte) (any, bool) {
	var value any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return value, d.Decode(&value) == nil
}

// rewritten changes the JSON of each 200.
func rewritten(change func(s *Server, r *http.Request, body any) any) func(*Server, http.Handler) http.Handler {
	return captured(func(s *Server, w http.ResponseWriter, r *http.Request, body []byte) {
		if decoded, ok := decode(body); ok {
			body = encode(change(s, r, decoded))
		}
		_, _ = w.Write(body)
	})
}

// rowsOf returns the rows of a list, or the one resource that was requested.
func rowsOf(body any) []map[string]any {
	list, _ := body.([]any)
	if object, ok := body.(map[string]any); ok {
		if list, ok = object["Resources"].([]any); !ok {
			return []map[string]any{object}
		}
	}
	rows := make([]map[string]any, 0, len(list))
	for _, item := range list {
		if row, ok := item.(map[string]any); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

func perRow(where func(*http.Request) bool, change func(s *Server, i int, row map[string]any)) func(*Server, http.Handler) http.Handler {
	return rewritten(func(s *Server, r *http.Request, body any) any {
		if where(r) {
			for i, row := range rowsOf(body) {
				change(s, i, row)
			}
		}
		return body
	})
}

// perMember changes members. RudderStack lists them within groups.
func perMember(change func(s *Server, r *http.Request, i int, member map[string]any)) func(*Server, http.Handler) http.Handler {
	return rewritten(func(s *Server, r *http.Request, body any) any {
		path := pathOf(r)
		switch {
		case strings.HasPrefix(path, "/Groups"):
			for _, group := range rowsOf(body) {
				members, _ := group["members"].([]any)
				for i, member := range members {
					change(s, r, i, member.(map[string]any)) //nolint:forcetypeassert // rendered so by this package
				}
			}
		case strings.HasPrefix(path, "/groups/") && strings.HasSuffix(path, "/members"):
			for i, member := range rowsOf(body) {
				change(s, r, i, member)
			}
		}
		return body
	})
}

func embroider(value any, depth int) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = embroider(inner, depth+1)
		}
		v["x-note"], v["x-count"], v["x-none"] = "a \"note\"", json.Number("12345678901234567890.5"), nil
		v["x-list"], v["x-object"] = []any{1, "2", nil, []any{}}, map[string]any{"id": "not-an-id", "members": []any{"nobody"}}
	case []any:
		for i := range v {
			v[i] = embroider(v[i], depth+1)
		}
	}
	return value
}

// reversed renders the fields of objects in reverse order.
func reversed(out []byte, value any) []byte {
	switch v := value.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		slices.Reverse(keys)
		out = append(out, '{')
		for i, key := range keys {
			if i > 0 {
				out = append(out, " ,\n"...)
			}
			out = append(append(out, encode(key)...), "\t: "...)
			out = reversed(out, v[key])
		}
		return append(out, '}')
	case []any:
		out = append(out, "[ "...)
		for i := range v {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = reversed(out, v[i])
		}
		return append(out, ']')
	default:
		return append(out, encode(v)...)
	}
}

// endless invents page after page of users.
func endless(s *Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isUserList(r) {
			next.ServeHTTP(w, r)
			return
		}
		q := r.URL.Query()
		start := number(q.Get("startIndex"), 1)
		if v, isGuru := s.vendor.(*guru); isGuru {
			start = number(strings.TrimPrefix(q.Get("token"), "more+"), 1)
			v.style(v, w, "http://"+r.Host+r.URL.EscapedPath(), fmt.Sprintf("more+%d", start+guruMemberRows))
			rows := make([]json.RawMessage, guruMemberRows)
			for i := range rows {
				rows[i] = v.memberRow(s.vendor.person(2_000_000 + start + i))
			}
			w.Header().Set("Content-Type", "application/json;charset=utf-8")
			_, _ = w.Write(encode(rows))
			return
		}
		count := min(number(q.Get("count"), maxCount), maxCount)
		rows := make([]any, count)
		for i := range rows {
			rows[i] = map[string]any{"id": ksuid("endless", start+i), "userName": fmt.Sprintf("endless%d@example.com", start+i), "active": true}
		}
		w.Header().Set("Content-Type", "application/scim+json")
		_, _ = w.Write(encode(map[string]any{
			"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "Resources": rows,
			"startIndex": start, "itemsPerPage": count, "totalResults": start + 10*count,
		}))
	})
}
