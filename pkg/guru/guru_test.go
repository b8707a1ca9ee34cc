package guru

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

const (
	prefix    = "/gateway/api/v1"
	testEmail = "admin@example.com"
	testToken = "s3cret-token-of-the-admin"
)

// answers maps a request below the prefix, such as "members?token=page 2", to
// its answer.
type answers map[string]http.HandlerFunc

// vendor is a Guru on loopback with answers that a test sets.
type vendor struct {
	*httptest.Server
	mu      sync.Mutex
	answers answers
	asked   []string
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what, ok := strings.CutPrefix(r.URL.Path, prefix+"/")
	query := r.URL.Query()
	if query.Has("token") {
		what += "?token=" + query.Get("token")
	}
	query.Del("token")
	v.mu.Lock()
	v.asked = append(v.asked, what)
	answer := v.answers[what]
	v.mu.Unlock()
	email, token, _ := r.BasicAuth()
	switch {
	case r.Method != http.MethodGet || len(query) > 0:
		// Any other parameter would be a page size, which Guru punishes.
		http.Error(w, "this request must never be sent", http.StatusTeapot)
	case email != testEmail || token != testToken:
		http.Error(w, `{"message":"Request was unauthorized"}`, http.StatusUnauthorized)
	case !ok || answer == nil:
		http.Error(w, `{"message":"Resource could not be found"}`, http.StatusNotFound)
	default:
		answer(w, r)
	}
}

func (v *vendor) set(changes answers) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.Copy(v.answers, changes)
}

// requests returns the requests since the last call.
func (v *vendor) requests() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	asked := v.asked
	v.asked = nil
	return asked
}

func newVendor(tb testing.TB, a answers) *vendor {
	tb.Helper()
	v := &vendor{answers: answers{}}
	v.set(a)
	v.Server = httptest.NewServer(v)
	tb.Cleanup(v.Close)
	return v
}

func (v *vendor) source(tb testing.TB, opts rest.Options) *Source {
	tb.Helper()
	s, err := New(context.Background(), &config.Guru{UserEmail: testEmail, ApiToken: testToken, BaseUrl: v.URL + prefix + "/"}, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// say answers with a body as JSON.
func say(body string) http.HandlerFunc { return reply(http.StatusOK, body) }

func reply(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// linked returns an answer with Link headers.
func linked(answer http.HandlerFunc, links ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, l := range links {
			w.Header().Add("Link", l)
		}
		answer(w, r)
	}
}

// toPage returns the documented header.
func toPage(path, token string) string {
	return fmt.Sprintf(`< https://api.getguru.com/api/v1/%s?token=%s >; rel="next-page"`, path, token)
}

// memberJSON returns a row of /members as Guru documents it.
func memberJSON(id string) string {
	return fmt.Sprintf(`{"id":%q,"dateCreated":"2022-02-09T22:01:59.136+0000","user":{"id":"0c7e-%s","status":"ACTIVE","email":%q,"firstName":"Ann","lastName":"Lee","profilePicUrl":"https://pics.example.com/1","userType":"USER"},`+
		`"groups":[{"id":"g1","name":"Sales","role":"MEMBER"}],"userAttributes":{"BILLING_TYPE":"CORE"},"highestRole":"ADMIN","managedByScim":false,"token":"row-token"}`, id, id, id)
}

func groupMemberJSON(id string) string {
	return fmt.Sprintf(`{"id":%q,"dateCreated":"2022-02-09T22:01:59.136+0000","user":{"status":"ACTIVE","email":%q,"firstName":"Ann","lastName":"Lee"},"managedByScim":false}`, id, id)
}

func groupJSON(id string) string {
	return fmt.Sprintf(`{"id":%q,"name":"Name of %s","dateCreated":"2022-02-09T22:01:59.136+0000","groupIdentifier":"sales","numberOfMembers":0,"modifiable":true,"userModifiable":true,"singleUser":false,"managedByScim":false}`, id, id)
}

func array(rows ...string) string { return "[" + strings.Join(rows, ",") + "]" }

// walk reads a list to its end and returns the rows of each page.
func walk[T any](tb testing.TB, read func(cursor string) (directory.Page[T], error)) ([][]T, error) {
	tb.Helper()
	var pages [][]T
	for cursor := ""; ; {
		page, err := read(cursor)
		if err != nil {
			return pages, err
		}
		pages = append(pages, page.Rows)
		if page.Next == "" {
			return pages, nil
		}
		cursor = page.Next
	}
}

func (s *Source) usersOf(tb testing.TB) ([][]directory.User, error) {
	return walk(tb, func(c string) (directory.Page[directory.User], error) { return s.Users(context.Background(), c) })
}

func (s *Source) groupsOf(tb testing.TB) ([][]directory.Group, error) {
	return walk(tb, func(c string) (directory.Page[directory.Group], error) { return s.Groups(context.Background(), c) })
}

func (s *Source) membersOf(tb testing.TB, id string) ([][]directory.Member, error) {
	return walk(tb, func(c string) (directory.Page[directory.Member], error) {
		return s.Members(context.Background(), id, c)
	})
}

// wantError checks that an error has the code, one line and the words, and
// holds no secret.
func wantError(tb testing.TB, err error, code codes.Code, words ...string) {
	tb.Helper()
	if err == nil {
		tb.Fatal("no error: a wrong answer was taken for the truth")
	}
	if status.Code(err) != code {
		tb.Errorf("code %s, want %s: %v", status.Code(err), code, err)
	}
	text := err.Error()
	for _, word := range words {
		if !strings.Contains(text, word) {
			tb.Errorf("the error does not say %q: %s", word, text)
		}
	}
	if strings.ContainsAny(text, "\r\n") || strings.Contains(text, testToken) || strings.Contains(text, "<html") {
		tb.Errorf("the error is not fit to show: %q", text)
	}
}

func TestUsersAsDocumented(t *testing.T) {
	t.Parallel()
	v := newVendor(t, answers{
		"members":              linked(say(array(memberJSON("Ann@Example.com"))), toPage("members", "a%2Bb%2Fc%3D")),
		"members?token=a+b/c=": say(array(memberJSON("bob@example.com"))),
	})
	pages, err := v.source(t, rest.Options{}).usersOf(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) != 2 || len(pages[0]) != 1 || len(pages[1]) != 1 || pages[1][0].ID != "bob@example.com" {
		t.Fatalf("pages: %+v", pages)
	}
	got, _ := json.Marshal(pages[0][0])
	want, _ := json.Marshal(directory.User{
		ID: "ann@example.com", Login: "Ann@Example.com", DisplayName: "Ann Lee",
		Emails:       []directory.Email{{Address: "Ann@Example.com", Primary: true}},
		Groups:       []string{"g1"},
		StatusDetail: "ACTIVE", CreatedAt: time.Date(2022, 2, 9, 22, 1, 59, 136e6, time.UTC),
		Profile: map[string]any{
			"user_id": "0c7e-Ann@Example.com", "status": "ACTIVE", "first_name": "Ann", "last_name": "Lee", "user_type": "USER",
			"highest_role": "ADMIN", "billing_type": "CORE", "managed_by_scim": false,
		},
	})
	if string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if asked := v.requests(); !slices.Equal(asked, []string{"members", "members?token=a+b/c="}) {
		t.Errorf("asked for %q", asked)
	}
}

func TestGroupsAsDocumented(t *testing.T) {
	t.Parallel()
	v := newVendor(t, answers{
		"groups/usergroups": say(array(groupJSON("g1"), `{"id":"g2","name":"Name of g1"}`, `{"id":"g3","name":"  "}`,
			`{"id":"g4","groupIdentifier":"team","modifiable":false}`, `{"id":"g5","groupIdentifier":"team","modifiable":true}`, `{"id":"g6","managedByScim":true}`)),
		"groups/g2": say(groupJSON("g2")),
	})
	s := v.source(t, rest.Options{})
	pages, err := s.groupsOf(t)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(pages)
	want, _ := json.Marshal([][]directory.Group{{
		{
			ID: "g1", Name: "Name of g1", CreatedAt: time.Date(2022, 2, 9, 22, 1, 59, 136e6, time.UTC),
			Profile: map[string]any{"group_id": "g1", "group_identifier": "sales", "modifiable": true, "managed_by_scim": false},
		},
		{ID: "g2", Name: "Name of g1", Profile: map[string]any{"group_id": "g2"}},
		{ID: "g3", Name: "g3", Profile: map[string]any{"group_id": "g3"}},
		{ID: "g4", Name: "g4", Origin: directory.OriginBuiltIn, Profile: map[string]any{"group_id": "g4", "group_identifier": "team", "modifiable": false}},
		{ID: "g5", Name: "g5", Profile: map[string]any{"group_id": "g5", "group_identifier": "team", "modifiable": true}},
		{ID: "g6", Name: "g6", Origin: directory.OriginDirectory, Profile: map[string]any{"group_id": "g6", "managed_by_scim": true}},
	}})
	if string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	one, err := s.Group(context.Background(), "g2")
	if err != nil || one.ID != "g2" {
		t.Errorf("Group: %+v, %v", one, err)
	}
	_, err = s.Group(context.Background(), "gone")
	wantError(t, err, codes.NotFound, "/groups/gone", "404")
}

func TestAnswersThatAreNoTruth(t *testing.T) {
	t.Parallel()
	const html = "<html><body><form>Sign in</form></body></html>"
	cut := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"id":"ann@example.com","user":{"sta`))
	}
	lists := []struct {
		name, path string
		row        string
		read       func(*Source, string) (string, error)
	}{
		{"users", "members", memberJSON("ann@example.com"), func(s *Source, c string) (string, error) {
			p, err := s.Users(context.Background(), c)
			return p.Next, err
		}},
		{"groups", "groups/usergroups", groupJSON("g1"), func(s *Source, c string) (string, error) {
			p, err := s.Groups(context.Background(), c)
			return p.Next, err
		}},
		{"members", "groups/g1/members", groupMemberJSON("ann@example.com"), func(s *Source, c string) (string, error) {
			p, err := s.Members(context.Background(), "g1", c)
			return p.Next, err
		}},
	}
	rows := []struct {
		name   string
		answer http.HandlerFunc
		code   codes.Code
		words  []string
	}{
		{"login page", reply(200, html), codes.FailedPrecondition, []string{"not a JSON list", "Sign in", "base URL"}},
		{"error object", say(`{"error":"boom"}`), codes.FailedPrecondition, []string{"not a JSON list", "boom"}},
		{"null", say(`null`), codes.FailedPrecondition, []string{"not a JSON list"}},
		{"text", say(`"members"`), codes.FailedPrecondition, []string{"not a JSON list"}},
		{"object", say(`{"id":"ann@example.com"}`), codes.FailedPrecondition, []string{"not a JSON list"}},
		{"list of texts", say(`["ann@example.com"]`), codes.Internal, []string{"index 0", "shape"}},
		{"a null row", say(`[null]`), codes.Internal, []string{"index 0", "id"}},
		{"a row without id", say(`[{"user":{"status":"ACTIVE"},"name":"x"}]`), codes.Internal, []string{"index 0", "id"}},
		{"an id that is an object", say(`[{"id":{},"name":"x","user":{"status":"ACTIVE"}}]`), codes.Internal, []string{"index 0", "id"}},
		{"an id that is not UTF-8", say("[{\"id\":\"a\xff@example.com\",\"name\":\"x\",\"user\":{\"status\":\"ACTIVE\"}}]"), codes.Internal, []string{"index 0", "valid UTF-8"}},
		{"not JSON within", say(`[{"id":x}]`), codes.FailedPrecondition, []string{"not valid JSON"}},
		{"cut off", cut, codes.Unavailable, []string{"ends in the middle"}},
		{"partial content", reply(206, `[]`), codes.FailedPrecondition, []string{"206"}},
		{"unauthorized", reply(401, `{"message":"Request was unauthorized"}`), codes.Unauthenticated, []string{"API token", "revoked"}},
		{"gone", reply(410, `{}`), codes.FailedPrecondition, []string{"/api/v1"}},
		{"unpaid", reply(402, `{}`), codes.FailedPrecondition, []string{"402", "a payment is due", "Guru support"}},
		{"locked", reply(423, `{"message":"Team is locked"}`), codes.FailedPrecondition, []string{"423", "the team is locked", "unlock", "Team is locked"}},
		{"too many", reply(429, `{}`), codes.Unavailable, []string{"limits requests"}},
		{"server fault", reply(503, `{}`), codes.Unavailable, []string{"503"}},
		{"a link without a token", linked(say(`[]`), `<https://api.getguru.com/api/v1/members>; rel="next-page"`), codes.FailedPrecondition, []string{"Link header", "without a paging token"}},
		{"a link that is none", linked(say(`[]`), `https://api.getguru.com/api/v1/members?token=x`), codes.FailedPrecondition, []string{"Link header"}},
	}
	for _, l := range lists {
		for _, r := range rows {
			answer := r.answer
			if strings.HasPrefix(r.name, "a link") {
				// The header must count on pages that have rows.
				answer = func(w http.ResponseWriter, req *http.Request) {
					header := httptest.NewRecorder()
					r.answer(header, req)
					linked(say(array(l.row)), header.Header().Values("Link")...)(w, req)
				}
			}
			for _, at := range []string{"first", "later"} {
				t.Run(l.name+"/"+r.name+"/"+at, func(t *testing.T) {
					t.Parallel()
					v := newVendor(t, answers{l.path: answer, "groups": answer, "groups/g1": say(groupJSON("g1"))})
					if at == "later" {
						v.set(answers{l.path: linked(say(array(l.row)), toPage(l.path, "two")), l.path + "?token=two": answer})
					}
					s := v.source(t, rest.Options{})
					next, err := l.read(s, "")
					if at == "later" {
						if err != nil || next == "" {
							t.Fatalf("first page: next %q, %v", next, err)
						}
						next, err = l.read(s, next)
					}
					code, words := r.code, r.words
					if l.name == "members" && r.name == "gone" {
						words = []string{"group that exists"}
					}
					wantError(t, err, code, append(words, "GET http")...)
					if next != "" {
						t.Errorf("a cursor beside the error: %q", next)
					}
				})
			}
		}
	}
}

func TestEmptyLists(t *testing.T) {
	t.Parallel()
	noContent := reply(http.StatusNoContent, "")
	rows := []struct {
		name   string
		answer http.HandlerFunc
		// Whether each list accepts the answer, on its first page and on a
		// later one.
		usersFirst, usersLater, groupsFirst, groupsLater, membersFirst, membersLater bool
	}{
		{"204", noContent, false, false, false, false, true, false},
		{"no body", say(""), false, false, false, false, true, false},
		{"[]", say(" [] "), false, false, false, false, true, false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			first := newVendor(t, answers{"members": r.answer, "groups/usergroups": r.answer, "groups": r.answer, "groups/g1/members": r.answer}).source(t, rest.Options{})
			later := newVendor(t, answers{
				"members":                   linked(say(array(memberJSON("a@example.com"))), toPage("members", "t")),
				"members?token=t":           r.answer,
				"groups/usergroups":         linked(say(array(groupJSON("g1"))), toPage("groups", "t")),
				"groups/usergroups?token=t": r.answer,
				"groups/g1/members":         linked(say(array(groupMemberJSON("a@example.com"))), toPage("groups/g1/members", "t")),
				"groups/g1/members?token=t": r.answer,
			}).source(t, rest.Options{})
			check := func(where string, ok bool, n, want int, err error) {
				t.Helper()
				if !ok {
					wantError(t, err, codes.FailedPrecondition)
					return
				}
				if err != nil || n != want {
					t.Errorf("%s: %d rows, %v", where, n, err)
				}
			}
			users, err := first.usersOf(t)
			check("users", r.usersFirst, len(slices.Concat(users...)), 0, err)
			users, err = later.usersOf(t)
			check("users, later", r.usersLater, len(slices.Concat(users...)), 1, err)
			groups, err := first.groupsOf(t)
			check("groups", r.groupsFirst, len(slices.Concat(groups...)), 0, err)
			groups, err = later.groupsOf(t)
			check("groups, later", r.groupsLater, len(slices.Concat(groups...)), 1, err)
			members, err := first.membersOf(t, "g1")
			check("members", r.membersFirst, len(slices.Concat(members...)), 0, err)
			members, err = later.membersOf(t, "g1")
			check("members, later", r.membersLater, len(slices.Concat(members...)), 1, err)
		})
	}
}

func TestTheOtherPathOfGroups(t *testing.T) {
	t.Parallel()
	good := linked(say(array(groupJSON("g1"))), toPage("groups", "t"))
	rows := []struct {
		name   string
		answer http.HandlerFunc
		falls  bool
		code   codes.Code
	}{
		{"400", reply(400, `{"message":"bad id"}`), true, 0},
		{"403", reply(403, `{}`), true, 0},
		{"404", reply(404, `{}`), true, 0},
		{"405", reply(405, `{}`), true, 0},
		{"one group", say(groupJSON("usergroups")), true, 0},
		{"login page", say("<!doctype html><title>Guru</title>"), true, 0},
		{"no content", reply(204, ""), true, 0},
		{"null", say("null"), true, 0},
		{"406", reply(406, `{}`), true, 0},
		{"410", reply(410, `{}`), true, 0},
		{"422", reply(422, `{}`), true, 0},
		{"302", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example.com/", http.StatusFound)
		}, true, 0},
		{"408", reply(408, `{}`), false, codes.DeadlineExceeded},
		{"429", reply(429, `{}`), false, codes.Unavailable},
		{"500", reply(500, `{}`), false, codes.Unavailable},
		{"a row without id", say(`[{"name":"x"}]`), false, codes.Internal},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, answers{"groups/usergroups": r.answer, "groups": good, "groups?token=t": say(array(groupJSON("g2")))})
			pages, err := v.source(t, rest.Options{}).groupsOf(t)
			want := []string{"groups/usergroups", "groups", "groups?token=t"}
			if r.falls {
				if err != nil || len(pages) != 2 {
					t.Fatalf("%d pages, %v", len(pages), err)
				}
			} else {
				wantError(t, err, r.code)
				want = want[:1]
			}
			if asked := v.requests(); !slices.Equal(asked, want) {
				t.Errorf("asked for %q, want %q", asked, want)
			}

			// If neither path works, the error names both.
			v = newVendor(t, answers{"groups/usergroups": r.answer, "groups": reply(403, `{"message":"Forbidden access to the resource"}`)})
			_, err = v.source(t, rest.Options{}).groupsOf(t)
			if r.falls {
				wantError(t, err, codes.PermissionDenied, prefix+"/groups:", prefix+"/groups/usergroups:", "administrative role", "Forbidden access to the resource")
			} else {
				wantError(t, err, r.code)
			}
		})
	}
}

// TestARefusalOfOnePathIsJudgedByTheOther: Guru was seen to answer 401 to paths
// that it does not know.
func TestARefusalOfOnePathIsJudgedByTheOther(t *testing.T) {
	t.Parallel()
	unauthorized, forbidden, fault := reply(401, ``), reply(403, `{}`), reply(500, `{}`)
	list := say(array(groupJSON("g1")))
	for name, r := range map[string]struct {
		a    answers
		code codes.Code
	}{
		"401, members are read":       {answers{"groups/usergroups": unauthorized, "groups": list, "members": say(array(memberJSON("a@example.com")))}, codes.OK},
		"401, members are not":        {answers{"groups/usergroups": unauthorized, "groups": list, "members": unauthorized}, codes.Unauthenticated},
		"403 and 404":                 {answers{"groups/usergroups": forbidden}, codes.PermissionDenied},
		"404 and 403":                 {answers{"groups": forbidden}, codes.PermissionDenied},
		"a fault the first time":      {answers{"groups/usergroups": fault, "groups": list}, codes.Unavailable},
		"a fault, and nothing beside": {answers{"groups/usergroups": fault}, codes.Unavailable},
	} {
		s := newVendor(t, r.a).source(t, rest.Options{})
		_, err := s.groupsOf(t)
		if status.Code(err) != r.code {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a fault the first time" {
			if _, err := s.groupsOf(t); err != nil {
				t.Errorf("%s, the second time: %v", name, err)
			}
		}
	}
}

// TestGroupsThatOnlyTheOtherPathLists: a group that is missing from a list
// revokes its members' access. Groups that Guru maintains are not the team's
// own.
func TestGroupsThatOnlyTheOtherPathLists(t *testing.T) {
	t.Parallel()
	own := []string{
		`{"id":"everyone","groupIdentifier":"team","modifiable":false,"numberOfMembers":0}`, `{"id":"one","singleUser":true,"groupIdentifier":"a"}`,
	}
	once := func(first, then http.HandlerFunc) http.HandlerFunc {
		var asked atomic.Bool
		return func(w http.ResponseWriter, r *http.Request) {
			if asked.Swap(true) {
				then(w, r)
				return
			}
			first(w, r)
		}
	}
	both := array(groupJSON("g3"), groupJSON("g1"), groupJSON("g2"), own[0], own[1])
	for name, row := range map[string]struct {
		groups http.HandlerFunc
		second http.HandlerFunc // the second page of groups
		want   []string
		tries  int
		code   codes.Code
		warns  string
	}{
		"the same":             {groups: say(array(groupJSON("g2"), groupJSON("g1"))), want: []string{"g1", "g2"}},
		"more of Guru's own":   {groups: say(array(groupJSON("g1"), groupJSON("g2"), own[0], own[1])), want: []string{"g1", "g2"}},
		"fewer":                {groups: say(array(groupJSON("g2"))), want: []string{"g1", "g2"}},
		"more":                 {groups: say(both), want: []string{"g1", "g2", "g3"}, warns: "the sync has both"},
		"more on a later page": {groups: linked(say(array(groupJSON("g1"))), toPage("groups", "t")), second: say(both), want: []string{"g1", "g2", "g3"}, warns: "the sync has both"},
		"401":                  {groups: reply(401, `{}`), want: []string{"g1", "g2"}},
		"403":                  {groups: reply(403, `{}`), want: []string{"g1", "g2"}},
		"404":                  {groups: reply(404, `{}`), want: []string{"g1", "g2"}},
		"no list":              {groups: say(`{}`), want: []string{"g1", "g2"}},
		"an empty list":        {groups: say(`[]`), want: []string{"g1", "g2"}},
		"a login page":         {groups: say(`<html>`), want: []string{"g1", "g2"}},
		"403 on a later page":  {groups: linked(say(array(groupJSON("g3"))), toPage("groups", "t")), second: reply(403, `{}`), code: codes.PermissionDenied},
		"500 once":             {groups: once(reply(500, `{}`), say(both)), want: []string{"g1", "g2", "g3"}, tries: 1, warns: "the sync has both"},
		"500 always":           {groups: reply(500, `{}`), code: codes.Unavailable},
		"429":                  {groups: reply(429, `{}`), code: codes.Unavailable},
		"a row without an id":  {groups: say(`[{"name":"x"}]`), code: codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := answers{
				"groups/usergroups":         linked(say(array(groupJSON("g1"))), toPage("groups", "t")),
				"groups/usergroups?token=t": say(array(groupJSON("g2"))),
				"groups":                    row.groups,
			}
			if row.second != nil {
				a["groups?token=t"] = row.second
			}
			core, logs := observer.New(zapcore.WarnLevel)
			ctx := ctxzap.ToContext(context.Background(), zap.New(core))
			source := newVendor(t, a).source(t, rest.Options{})
			var got []string
			tries := 0
			for at := ""; ; {
				page, err := source.Groups(ctx, at)
				if row.code != codes.OK && status.Code(err) == row.code {
					return
				}
				if err != nil {
					if tries++; tries > row.tries {
						t.Fatal(err)
					}
					continue
				}
				for _, g := range page.Rows {
					got = append(got, g.ID)
				}
				if at = page.Next; at == "" {
					break
				}
			}
			if slices.Sort(got); !slices.Equal(got, row.want) || row.code != codes.OK {
				t.Errorf("%q, want %q", got, row.want)
			}
			if said := fmt.Sprint(logs.All()); (logs.Len() > 0) != (row.warns != "") || !strings.Contains(said, row.warns) {
				t.Errorf("warned: %s", said)
			}
		})
	}
}

// TestTheGroupsAreOfBothPathsInAnyProcess: on AWS Lambda, a process may read
// the last page without knowing the first.
func TestTheGroupsAreOfBothPathsInAnyProcess(t *testing.T) {
	t.Parallel()
	v := newVendor(t, answers{
		"groups/usergroups":         linked(say(array(groupJSON("g1"))), toPage("groups", "t")),
		"groups/usergroups?token=t": say(array(groupJSON("g2"))),
		"groups":                    say(array(groupJSON("g1"), groupJSON("g2"), groupJSON("g3"))),
	})
	got := map[string]bool{}
	for at := ""; ; {
		page, err := v.source(t, rest.Options{}).Groups(context.Background(), at)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.Rows {
			got[g.ID] = true
		}
		if at = page.Next; at == "" {
			break
		}
	}
	if len(got) != 3 {
		t.Errorf("%v", got)
	}
}

// TestAnAnnouncedPageThatIsEmptyOnce: its rows have been deleted since, and a
// second reading has the others.
func TestAnAnnouncedPageThatIsEmptyOnce(t *testing.T) {
	t.Parallel()
	v := newVendor(t, nil)
	v.set(answers{
		"members": linked(say(array(memberJSON("a@example.com"))), toPage("members", "2")),
		"members?token=2": func(w http.ResponseWriter, r *http.Request) {
			v.set(answers{"members": say(array(memberJSON("a@example.com")))})
			reply(http.StatusNoContent, "")(w, r)
		},
	})
	users, err := v.source(t, rest.Options{}).usersOf(t)
	if err != nil || len(slices.Concat(users...)) != 2 {
		t.Errorf("%v, %v", users, err)
	}
}

// TestAnAnnouncedPageThatNeverComes: if a second reading of a list brings fewer
// rows than the first, the list is not whole, even if it says so.
func TestAnAnnouncedPageThatNeverComes(t *testing.T) {
	t.Parallel()
	for name, none := range map[string]http.HandlerFunc{"204": reply(http.StatusNoContent, ""), "[]": say("[]")} {
		for _, again := range []bool{false, true} {
			v := newVendor(t, nil)
			v.set(answers{
				"groups/g1/members": linked(say(array(groupMemberJSON("a@example.com"))), toPage("groups/g1/members", "2")),
				"groups/g1/members?token=2": func(w http.ResponseWriter, r *http.Request) {
					if again { // the first page is empty by then
						v.set(answers{"groups/g1/members": none})
					}
					none(w, r)
				},
			})
			_, err := v.source(t, rest.Options{}).membersOf(t, "g1")
			t.Log(name, again)
			wantError(t, err, codes.FailedPrecondition, "has no rows although the list announced more")
		}
	}
}

func TestMembersThatAreNotFound(t *testing.T) {
	t.Parallel()
	missing := reply(404, `{"message":"Resource could not be found"}`)
	others := say(array(groupJSON("g2")))
	rows := []struct {
		name  string
		a     answers
		code  codes.Code
		words []string
	}{
		{"the group was deleted", answers{"groups/usergroups": others}, codes.OK, nil},
		{"the group was deleted, other path", answers{"groups": others}, codes.OK, nil},
		{"gone", answers{"groups/g1/members": reply(410, ``), "groups/g1": reply(410, ``), "groups/usergroups": others}, codes.OK, nil},
		{"the group is there", answers{"groups/g1": say(groupJSON("g1")), "groups/usergroups": others}, codes.FailedPrecondition, []string{"group that exists", "/groups/g1/members"}},
		{"the group is still listed", answers{"groups/usergroups": say(array(groupJSON("g1")))}, codes.FailedPrecondition, []string{"group that exists"}},
		{"the group is still listed, on a later page", answers{
			"groups/usergroups":         linked(others, toPage("groups/usergroups", "u")),
			"groups/usergroups?token=u": say(array(groupJSON("g1"))),
		}, codes.FailedPrecondition, []string{"group that exists"}},
		{"the group was deleted, two pages", answers{
			"groups/usergroups":         linked(others, toPage("groups/usergroups", "u")),
			"groups/usergroups?token=u": say(array(groupJSON("g3"))),
		}, codes.OK, nil},
		{"it is the group of all members", answers{"groups/g1": say(`{"id":"g1","groupIdentifier":"team","modifiable":false}`)}, codes.FailedPrecondition, []string{"404", "All Members", "--sync-resource-types user"}},
		{"all members are refused", answers{"groups/g1/members": reply(403, `{}`), "groups/g1": say(`{"id":"g1","groupIdentifier":"team","modifiable":false}`)}, codes.PermissionDenied, []string{"403", "All Members", "--sync-resource-types user"}},
		{"a group is refused", answers{"groups/g1/members": reply(403, `{}`), "groups/g1": say(groupJSON("g1"))}, codes.PermissionDenied, []string{"403", "may not read the team's members or groups"}},
		{"a group is refused, and so is all else", answers{"groups/g1/members": reply(403, `{}`), "groups/g1": reply(403, `{}`)}, codes.PermissionDenied, []string{"/groups/g1/members: 403"}},
		{"nothing is there", answers{}, codes.FailedPrecondition, []string{"/api/v1"}},
		{"the credential was revoked", answers{"groups/g1": reply(401, `{}`)}, codes.Unauthenticated, nil},
		{"a fault", answers{"groups/g1": reply(500, `{}`)}, codes.Unavailable, nil},
		{"another server answers", answers{"groups/g1": say(`{"id":"g7"}`)}, codes.FailedPrecondition, []string{"not the group"}},
		{"a login page", answers{"groups/g1": say(`<html>`)}, codes.FailedPrecondition, []string{"not a group"}},
	}
	for _, r := range rows {
		for _, at := range []string{"first", "later"} {
			t.Run(r.name+"/"+at, func(t *testing.T) {
				t.Parallel()
				v := newVendor(t, answers{"groups/g1/members": missing})
				v.set(r.a)
				want := 0
				if at == "later" {
					v.set(answers{
						"groups/g1/members?token=t": v.answers["groups/g1/members"],
						"groups/g1/members":         linked(say(array(groupMemberJSON("ann@example.com"))), toPage("groups/g1/members", "t")),
					})
					want = 1
				}
				pages, err := v.source(t, rest.Options{}).membersOf(t, "g1")
				if r.code != codes.OK {
					wantError(t, err, r.code, r.words...)
					return
				}
				if err != nil || len(slices.Concat(pages...)) != want {
					t.Errorf("%v, %v", pages, err)
				}
			})
		}
	}
}

// A targeted sync would seal a result without the group.
func TestAGroupThatIsListedIsNotGone(t *testing.T) {
	t.Parallel()
	others := say(array(groupJSON("g2")))
	for name, row := range map[string]struct {
		a    answers
		code codes.Code
	}{
		"not listed":             {answers{"groups/usergroups": others}, codes.NotFound},
		"listed":                 {answers{"groups/usergroups": say(array(groupJSON("g1")))}, codes.FailedPrecondition},
		"listed on a later page": {answers{"groups/usergroups": linked(others, toPage("groups/usergroups", "u")), "groups/usergroups?token=u": say(array(groupJSON("g1")))}, codes.FailedPrecondition},
		"nothing is listed":      {answers{}, codes.FailedPrecondition},
	} {
		_, err := newVendor(t, row.a).source(t, rest.Options{}).Group(context.Background(), "g1")
		if status.Code(err) != row.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBothListsKeyAUserAlike(t *testing.T) {
	t.Parallel()
	const uuid = "7f6b1a52-1111-4222-8333-444455556666"
	rows := []struct{ name, team, group string }{
		{"as documented", `{"id":"ann@example.com","user":{"id":"` + uuid + `","email":"ann@example.com"}}`, `{"id":"ann@example.com","user":{"email":"ann@example.com"}}`},
		{"letter case", `{"id":"Ann@Example.com","user":{"email":"Ann@Example.com"}}`, `{"id":"ann@example.COM ","user":{"email":"ann@example.COM"}}`},
		{"bare team", `{"id":"` + uuid + `","email":"Ann@example.com","status":"ACTIVE"}`, `{"id":"ann@example.com","user":{"id":"` + uuid + `","email":"ann@example.com"}}`},
		{"bare group", `{"id":"ann@example.com","user":{"email":"ann@example.com"}}`, `{"id":"` + uuid + `","email":"ANN@example.com"}`},
		{"null beside bare fields", `{"id":"` + uuid + `","user":null,"email":"ann@example.com"}`, `{"id":"ann@example.com","user":null}`},
		{"no row id", `{"user":{"email":"ann@example.com"}}`, `{"id":null,"user":{"id":"` + uuid + `","email":"Ann@example.com"}}`},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := newVendor(t, answers{"members": say(array(r.team)), "groups/g1/members": say(array(r.group))}).source(t, rest.Options{})
			users, err := s.usersOf(t)
			if err != nil {
				t.Fatal(err)
			}
			members, err := s.membersOf(t, "g1")
			if err != nil {
				t.Fatal(err)
			}
			if users[0][0].ID != "ann@example.com" || members[0][0].ID != "ann@example.com" {
				t.Errorf("user %q, member %q: the grant dangles", users[0][0].ID, members[0][0].ID)
			}
		})
	}
}

func TestWalksThatDoNotEnd(t *testing.T) {
	t.Parallel()
	for length := 1; length <= 7; length++ {
		t.Run(fmt.Sprint("circle of ", length), func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, nil)
			for i := range length {
				answer := linked(say(array(groupMemberJSON(fmt.Sprintf("u%d@example.com", i)))), toPage("x", fmt.Sprint((i+1)%length)))
				v.set(answers{fmt.Sprint("groups/g1/members?token=", i): answer})
				if i == 0 {
					v.set(answers{"groups/g1/members": answer})
				}
			}
			_, err := v.source(t, rest.Options{}).membersOf(t, "g1")
			wantError(t, err, codes.FailedPrecondition, "does not end")
			if n := len(v.requests()); n > 4*length+4 {
				t.Errorf("%d requests", n)
			}
		})
	}
	t.Run("fresh tokens, same rows", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		v := newVendor(t, nil)
		var again http.HandlerFunc
		again = func(w http.ResponseWriter, r *http.Request) {
			token := fmt.Sprint("t", n.Add(1))
			v.set(answers{"members?token=" + token: again})
			linked(say(array(memberJSON("a@example.com"), memberJSON("b@example.com"))), toPage("members", token))(w, r)
		}
		v.set(answers{"members": again})
		_, err := v.source(t, rest.Options{}).usersOf(t)
		wantError(t, err, codes.FailedPrecondition, "same rows")
		if n := len(v.requests()); n > 10 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("fresh tokens, fresh rows", func(t *testing.T) {
		t.Parallel()
		at := cursor{Page: maxPages, Token: []byte("t")}
		if _, err := at.advance("u", "rows"); err == nil {
			t.Error("the walk goes on")
		}
	})
}

func TestAPageServedTwiceIsNoHarm(t *testing.T) {
	t.Parallel()
	page := array(memberJSON("a@example.com"))
	v := newVendor(t, answers{
		"members":         linked(say(page), toPage("members", "2")),
		"members?token=2": linked(say(page), toPage("members", "3")),
		"members?token=3": say(array(memberJSON("b@example.com"))),
	})
	pages, err := v.source(t, rest.Options{}).usersOf(t)
	if err != nil || len(slices.Concat(pages...)) != 3 {
		t.Errorf("%v, %v", pages, err)
	}
}

func TestAForgottenTokenStartsTheListOver(t *testing.T) {
	t.Parallel()
	refuse := reply(400, `{"message":"Unable to decode paging token."}`)
	v := newVendor(t, answers{
		"members":         linked(say(array(memberJSON("a@example.com"))), toPage("members", "2")),
		"members?token=2": refuse,
	})
	s := v.source(t, rest.Options{})
	first, err := s.Users(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	// Guru forgot the token, and hands out another one now.
	v.set(answers{
		"members":         linked(say(array(memberJSON("a@example.com"))), toPage("members", "3")),
		"members?token=3": say(array(memberJSON("b@example.com"))),
	})
	over, err := s.Users(context.Background(), first.Next)
	if err != nil || len(over.Rows) != 0 || over.Next == "" {
		t.Fatalf("%+v, %v", over, err)
	}
	rest1, err := s.Users(context.Background(), over.Next)
	if err != nil || len(rest1.Rows) != 1 {
		t.Fatalf("%+v, %v", rest1, err)
	}
	if last, err := s.Users(context.Background(), rest1.Next); err != nil || last.Rows[0].ID != "b@example.com" {
		t.Fatalf("%+v, %v", last, err)
	}
	// Only once: a vendor that refuses every token is at fault.
	v.set(answers{"members?token=3": refuse})
	_, err = s.Users(context.Background(), rest1.Next)
	wantError(t, err, codes.InvalidArgument, "paging token")
}

func TestEachPageIsAskedForOnce(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		v := newVendor(t, answers{
			"members":                   linked(say(array(memberJSON("a@example.com"))), toPage("members", "2")),
			"members?token=2":           linked(say(array(memberJSON("b@example.com"))), toPage("members", "3")),
			"members?token=3":           say(array(memberJSON("c@example.com"))),
			"groups/g1/members":         linked(say(array(groupMemberJSON("a@example.com"))), toPage("groups/g1/members", "2")),
			"groups/g1/members?token=2": say(array(groupMemberJSON("b@example.com"))),
		})
		s := v.source(t, rest.Options{Prefetch: early})
		if users, err := s.usersOf(t); err != nil || len(users) != 3 {
			t.Fatal(users, err)
		}
		if members, err := s.membersOf(t, "g1"); err != nil || len(members) != 2 {
			t.Fatal(members, err)
		}
		want := []string{"members", "members?token=2", "members?token=3", "groups/g1/members", "groups/g1/members?token=2"}
		if asked := v.requests(); !slices.Equal(asked, want) {
			t.Errorf("asked for %q", asked)
		}
	}
}

func TestTheNextPageIsAskedForAhead(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	v := newVendor(t, answers{
		"members": linked(say(array(memberJSON("a@example.com"))), toPage("members", "2")),
		"members?token=2": func(w http.ResponseWriter, r *http.Request) {
			close(asked)
			say(array(memberJSON("b@example.com")))(w, r)
		},
	})
	s := v.source(t, rest.Options{Prefetch: true})
	first, err := s.Users(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	<-asked // before a call to the source requests it
	if next, err := s.Users(context.Background(), first.Next); err != nil || len(next.Rows) != 1 {
		t.Error(next, err)
	}
}

// TestPagesAreAskedForWhileOneIsStored checks that Guru's pages are prefetched
// one after the other while no caller reads them, each once.
func TestPagesAreAskedForWhileOneIsStored(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	v := newVendor(t, answers{
		"members":         linked(say(array(memberJSON("a@example.com"))), toPage("members", "2")),
		"members?token=2": linked(say(array(memberJSON("b@example.com"))), toPage("members", "3")),
		"members?token=3": linked(say(array(memberJSON("c@example.com"))), toPage("members", "4")),
		"members?token=4": func(w http.ResponseWriter, r *http.Request) {
			close(asked)
			say(array(memberJSON("d@example.com")))(w, r)
		},
	})
	s := v.source(t, rest.Options{Prefetch: true})
	page, err := s.Users(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	<-asked // with one page read
	read := len(page.Rows)
	for page.Next != "" {
		if page, err = s.Users(context.Background(), page.Next); err != nil {
			t.Fatal(err)
		}
		read += len(page.Rows)
	}
	if read != 4 {
		t.Errorf("%d users were read, not 4", read)
	}
	if got := v.requests(); len(got) != 4 {
		t.Errorf("asked for %q", got)
	}
}

// TestLargePagesWaitToBeRead checks that answers far above Guru's page sizes do
// not pile up in memory.
func TestLargePagesWaitToBeRead(t *testing.T) {
	t.Parallel()
	large := array(memberJSON("b@example.com"), strings.Repeat(" ", maxPrefetchBody)+memberJSON("c@example.com"))
	var third atomic.Int32
	v := newVendor(t, answers{
		"members":         linked(say(array(memberJSON("a@example.com"))), toPage("members", "2")),
		"members?token=2": linked(say(large), toPage("members", "3")),
		"members?token=3": func(w http.ResponseWriter, r *http.Request) {
			if third.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			say(array(memberJSON("d@example.com")))(w, r)
		},
	})
	s := v.source(t, rest.Options{Prefetch: true})
	first, err := s.Users(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	// Read the page first: any prefetch that follows from it has then begun.
	at, err := s.users.parse(first.Next)
	if err != nil {
		t.Fatal(err)
	}
	rows, next, err := s.users.fetch(context.Background(), s.client, at)
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	// If the third page had been prefetched, this would be its second request.
	if _, _, err := s.users.fetch(context.Background(), s.client, next); status.Code(err) != codes.Unavailable {
		t.Errorf("the third page was asked for before: %v", err)
	}
}

func TestTheCredentialStaysAtTheBaseURL(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("arrived elsewhere: %s", r.URL) }))
	t.Cleanup(other.Close)
	v := newVendor(t, answers{
		"members":         linked(say(array(memberJSON("a@example.com"))), fmt.Sprintf(`<%s/api/v1/members?token=2&maxResults=9>; rel="next"`, other.URL)),
		"members?token=2": say(array(memberJSON("b@example.com"))),
	})
	if users, err := v.source(t, rest.Options{}).usersOf(t); err != nil || len(users) != 2 {
		t.Error(users, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	me := say(`{"user":{"id":"1","email":"admin@example.com"},"tokenType":"API","team":{"id":"t","name":"T"}}`)
	users, groups := say(array(memberJSON("a@example.com"))), say(array(groupJSON("g1")))
	rows := []struct {
		name  string
		a     answers
		code  codes.Code
		words []string
	}{
		{"good", answers{"whoami": me}, codes.OK, nil},
		{"unknown kind of token", answers{"whoami": say(`{"user":{},"tokenType":"SHINY"}`)}, codes.OK, nil},
		{"no whoami", answers{}, codes.OK, nil},
		{"whoami is a right of its own", answers{"whoami": reply(403, `{"message":"Forbidden access to the resource"}`)}, codes.OK, nil},
		{"nothing may be read", answers{"whoami": reply(403, `{}`), "members": reply(403, `{}`)}, codes.PermissionDenied, []string{"/members", "collection token"}},
		{"collection token", answers{"whoami": say(`{"tokenType":"COLLECTION","collection":{"id":"c"},"team":{}}`)}, codes.PermissionDenied, []string{"a collection token cannot read the team's members and groups", "use the API token of a user"}},
		{"collection token with a user", answers{"whoami": say(`{"tokenType":"collection","user":{}}`)}, codes.PermissionDenied, []string{"collection token"}},
		{"no user", answers{"whoami": say(`{"tokenType":"API","user":null}`)}, codes.PermissionDenied, []string{"does not belong to a user"}},
		{"whoami is a login page", answers{"whoami": say(`<html>`)}, codes.FailedPrecondition, []string{"/whoami", "base URL"}},
		{"whoami is an error", answers{"whoami": say(`{"error":"boom"}`)}, codes.FailedPrecondition, []string{"boom"}},
		{"refused", answers{"whoami": reply(401, `{}`)}, codes.Unauthenticated, []string{"e-mail and API token"}},
		{"members refused", answers{"whoami": me, "members": reply(403, `{"message":"Forbidden access to team"}`)}, codes.PermissionDenied, []string{"administrative role", "Forbidden access to team"}},
		{"no members", answers{"whoami": me, "members": say(`[]`)}, codes.FailedPrecondition, []string{"empty"}},
		{"groups refused", answers{"whoami": me, "groups/usergroups": reply(403, `{}`)}, codes.PermissionDenied, []string{"administrative role"}},
		{"nothing served", answers{"members": nil, "groups/usergroups": nil}, codes.FailedPrecondition, []string{"/api/v1"}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, answers{"members": linked(users, toPage("members", "2")), "groups/usergroups": linked(groups, toPage("groups", "2")), "groups": reply(403, `{}`)})
			v.set(r.a)
			err := v.source(t, rest.Options{Prefetch: true}).Check(context.Background())
			if r.code != codes.OK {
				wantError(t, err, r.code, r.words...)
				return
			}
			if err != nil {
				t.Error(err)
			}
			if asked := v.requests(); !slices.Equal(asked, []string{"whoami", "members", "groups/usergroups"}) {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}

func TestALimitOnEveryThirdRequestDoesNotBlockTheCheck(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	limited := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%3 == 0 {
				w.Header().Set("Retry-After", "1")
				answer = reply(http.StatusTooManyRequests, `{}`)
			}
			answer(w, r)
		}
	}
	v := newVendor(t, nil)
	for path, body := range map[string]string{
		"whoami": `{"user":{},"tokenType":"API"}`, "members": array(memberJSON("a@example.com")), "groups/usergroups": array(groupJSON("g1")),
	} {
		v.set(answers{path: func(w http.ResponseWriter, r *http.Request) { limited(say(body))(w, r) }})
	}
	now := time.Unix(1_000_000, 0)
	s := v.source(t, rest.Options{Now: func() time.Time { return now }})
	wantError(t, s.Check(context.Background()), codes.Unavailable, "/groups/usergroups")
	now = now.Add(time.Minute)
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	// A later check starts over, and so does one long after a failure.
	v.requests()
	wantError(t, s.Check(context.Background()), codes.Unavailable, "/members")
	now = now.Add(maxCheckAge + time.Second)
	n.Store(0)
	wantError(t, s.Check(context.Background()), codes.Unavailable, "/groups/usergroups")
	if asked := v.requests(); !slices.Equal(asked, []string{"whoami", "members", "whoami", "members", "groups/usergroups"}) {
		t.Errorf("asked for %q", asked)
	}
}

func TestConfigurationFaultsNameTheirField(t *testing.T) {
	t.Parallel()
	good := config.Guru{UserEmail: " admin@example.com\n", ApiToken: testToken + "\r\n", BaseUrl: "", OutageMinutes: 15}
	rows := []struct {
		name   string
		change func(*config.Guru)
		field  string
	}{
		{"good", func(*config.Guru) {}, ""},
		{"no e-mail", func(c *config.Guru) { c.UserEmail = " " }, "BATON_USER_EMAIL"},
		{"a name", func(c *config.Guru) { c.UserEmail = "Ann <ann@example.com>" }, "--user-email"},
		{"no token", func(c *config.Guru) { c.ApiToken = "\n" }, "--api-token"},
		{"broken token", func(c *config.Guru) { c.ApiToken = testToken + "\nx" }, "BATON_API_TOKEN"},
		{"http", func(c *config.Guru) { c.BaseUrl = "http://api.example.com/api/v1" }, "--base-url"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			r.change(&cfg)
			_, err := New(context.Background(), &cfg, rest.Options{})
			switch {
			case r.field == "" && err != nil:
				t.Error(err)
			case r.field != "" && (err == nil || !strings.Contains(err.Error(), r.field) || strings.Contains(err.Error(), testToken)):
				t.Errorf("%v does not name %s", err, r.field)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	rows := make([]string, 760)
	for i := range rows {
		rows[i] = groupMemberJSON(fmt.Sprintf("user%d@example.com", i))
	}
	v := newVendor(t, answers{})
	for g := range 8 {
		path := fmt.Sprintf("groups/g%d/members", g)
		v.set(answers{path: linked(say(array(rows...)), toPage(path, "2")), path + "?token=2": say(array(groupMemberJSON("last@example.com")))})
	}
	s := v.source(t, rest.Options{Prefetch: true})
	var wait sync.WaitGroup
	for g := range 8 {
		for range 2 {
			wait.Go(func() {
				pages, err := s.membersOf(t, fmt.Sprint("g", g))
				if err != nil || len(slices.Concat(pages...)) != len(rows)+1 {
					t.Errorf("%d rows, %v", len(slices.Concat(pages...)), err)
				}
			})
		}
	}
	wait.Wait()
}

func BenchmarkUsersPage(b *testing.B) {
	rows := make([]string, 50)
	for i := range rows {
		rows[i] = memberJSON(fmt.Sprintf("user%d@example.com", i))
	}
	body := []byte(array(rows...))
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		decoded, err := decodeUsers(&rest.Answer{Status: 200, Body: body}, 1)
		if err != nil {
			b.Fatal(err)
		}
		for i := range decoded {
			_ = decoded[i].user()
		}
	}
}

func BenchmarkMembersPage(b *testing.B) {
	rows := make([]string, 100)
	for i := range rows {
		rows[i] = groupMemberJSON(fmt.Sprintf("user%d@example.com", i))
	}
	body := []byte(array(rows...))
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := decodeMembers(&rest.Answer{Status: 200, Body: body}, 1); err != nil {
			b.Fatal(err)
		}
	}
}
