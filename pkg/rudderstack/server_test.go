package rudderstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

const token = "test-token-5d1f"

// scim is a SCIM server on loopback with deviations that a test sets.
type scim struct {
	mu sync.Mutex
	// users and groups are the ids listed.
	users, groups []string
	// members are the JSON values of a group's members. If a group has no key,
	// the list states no members.
	members map[string][]string
	// list changes the answer for a list; nil means the standard's answer.
	list func(ask ask) answer
	// before is called ahead of each answer.
	before func(path string, query url.Values)
	// other may answer a request itself; it reports whether it did.
	other func(w http.ResponseWriter, r *http.Request) bool

	asked []string
	url   string
}

// ask is a request for a list, with the whole list.
type ask struct {
	start, count int
	cursor       string
	all          []string
	nth          int
}

// answer is a list to write: the ids, and the JSON of the other attributes.
type answer struct {
	ids  []string
	rest string
}

func (a ask) window(start, count int) []string {
	from := min(max(start-1, 0), len(a.all))
	return a.all[from:min(from+max(count, 0), len(a.all))]
}

func (a ask) standard() answer {
	ids := a.window(a.start, a.count)
	return answer{ids, fmt.Sprintf(`"totalResults":%d,"itemsPerPage":%d,"startIndex":%d`, len(a.all), len(ids), a.start)}
}

func ids(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%05d", prefix, i+1)
	}
	return out
}

func (s *scim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/prefix/scim/v2")
	s.asked = append(s.asked, path+"?"+r.URL.RawQuery)
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+token || !strings.HasPrefix(r.Header.Get("Accept"), "application/scim+json") {
		http.Error(w, "bad request line or headers", http.StatusUnauthorized)
		return
	}
	if s.before != nil {
		s.before(path, r.URL.Query())
	}
	if s.other != nil && s.other(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/scim+json")
	query := r.URL.Query()
	a := ask{start: 1, count: 100, cursor: query.Get("cursor"), nth: len(s.asked)}
	if n, err := strconv.Atoi(query.Get("startIndex")); err == nil {
		a.start = n
	}
	if n, err := strconv.Atoi(query.Get("count")); err == nil {
		a.count = n
	}
	withMembers := query.Get("excludedAttributes") != "members"
	switch {
	case path == "/Users":
		a.all = s.users
	case path == "/Groups":
		a.all = s.groups
	case strings.HasPrefix(path, "/Groups/"):
		id := strings.TrimPrefix(path, "/Groups/")
		if !slices.Contains(s.groups, id) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404","detail":"no such group"}`)
			return
		}
		fmt.Fprint(w, s.group(id, true, withMembers))
		return
	default:
		http.NotFound(w, r)
		return
	}
	out := a.standard()
	if s.list != nil {
		out = s.list(a)
	}
	rows := make([]string, len(out.ids))
	for i, id := range out.ids {
		if path == "/Users" {
			rows[i] = fmt.Sprintf(`{"id":%q,"userName":"%s@example.com","active":true}`, id, id)
		} else {
			rows[i] = s.group(id, false, withMembers)
		}
	}
	rest := out.rest
	if rest != "" {
		rest += ","
	}
	fmt.Fprintf(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],%s"Resources":[%s]}`, rest, strings.Join(rows, ","))
}

func (s *scim) group(id string, byID, withMembers bool) string {
	members, stated := s.members[id]
	if !withMembers || !stated && !byID {
		return fmt.Sprintf(`{"id":%q,"displayName":"Group %s"}`, id, id)
	}
	if !stated {
		members = s.members["byid:"+id]
	}
	return fmt.Sprintf(`{"id":%q,"displayName":"Group %s","members":[%s]}`, id, id, strings.Join(members, ","))
}

func (s *scim) requests(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.asked {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// start serves s and returns a source that reads it.
func (s *scim) start(t testing.TB, opts ...func(*rest.Options)) *Source {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL + "/prefix/scim/v2"
	o := rest.Options{Name: "test", Version: "0", Prefetch: true, Timeout: time.Minute}
	for _, opt := range opts {
		opt(&o)
	}
	source, err := New(context.Background(), &config.Rudderstack{RudderstackScimBaseUrl: s.url, RudderstackScimToken: token}, o)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// codeOf returns the gRPC code of an error.
func codeOf(err error) codes.Code {
	if errors.Is(err, directory.ErrCursor) {
		return codes.InvalidArgument // pkg/connector gives this code
	}
	return status.Code(err)
}

func noPrefetch(o *rest.Options) { o.Prefetch = false }

// walkUsers lists all users as a syncer would and returns their ids in the
// order of arrival.
func walkUsers(t testing.TB, s *Source) ([]string, error) {
	t.Helper()
	var out []string
	cursor := ""
	for range 2000 {
		page, err := s.Users(t.Context(), cursor)
		if err != nil {
			return out, err
		}
		if len(page.Next) > 2048 {
			t.Fatalf("a cursor of %d bytes", len(page.Next))
		}
		for _, row := range page.Rows {
			out = append(out, row.ID)
		}
		if page.Next == "" {
			return out, nil
		}
		if page.Next == cursor {
			t.Fatal("the cursor does not change, which the SDK takes for a fault")
		}
		cursor = page.Next
	}
	t.Fatal("the walk does not end")
	return nil, nil
}

func walkGroups(t testing.TB, s *Source) ([]string, error) {
	t.Helper()
	var out []string
	cursor := ""
	for range 2000 {
		page, err := s.Groups(t.Context(), cursor)
		if err != nil {
			return out, err
		}
		for _, row := range page.Rows {
			out = append(out, row.ID)
		}
		if cursor = page.Next; cursor == "" {
			return out, nil
		}
	}
	t.Fatal("the walk does not end")
	return nil, nil
}

// walkMemberships lists all memberships, siblings included.
func walkMemberships(t testing.TB, s *Source) (map[directory.Membership]int, error) {
	t.Helper()
	out := map[directory.Membership]int{}
	pending := []string{""}
	for calls := 0; len(pending) > 0; calls++ {
		if calls > 5000 {
			t.Fatal("the walk does not end")
		}
		cursor := pending[0]
		pending = pending[1:]
		page, err := s.Memberships(t.Context(), cursor)
		if err != nil {
			return out, err
		}
		if len(page.Siblings) > directory.MaxSiblings {
			t.Fatalf("a page of %d siblings", len(page.Siblings))
		}
		for _, row := range page.Rows {
			out[row]++
		}
		if page.Next != "" {
			pending = append(pending, page.Next)
		}
		pending = append(pending, page.Siblings...)
	}
	return out, nil
}

func walkMembers(t testing.TB, s *Source, group string) (map[directory.Membership]int, error) {
	t.Helper()
	out := map[directory.Membership]int{}
	cursor := ""
	for range 2000 {
		page, err := s.Members(t.Context(), group, cursor)
		if err != nil {
			return out, err
		}
		for _, row := range page.Rows {
			out[directory.Membership{GroupID: group, Member: row}]++
		}
		if cursor = page.Next; cursor == "" {
			return out, nil
		}
	}
	t.Fatal("the walk does not end")
	return nil, nil
}

func member(value string) string {
	quoted, _ := json.Marshal(value)
	return `{"value":` + string(quoted) + `,"type":"User"}`
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
