package simulator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// faultSize gives several pages of users, groups and members.
var faultSize = Size{Users: 330, GroupSizes: []int{0, 3, 230, 1, 0, 120, 2}}

// transcript records a server's answers to the same requests. It sends them
// four times to catch faults that strike now and then.
func transcript(t *testing.T, s any) []string {
	t.Helper()
	c := newWalker(s)
	c.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer c.client.CloseIdleConnections()
	var paths []string
	var server *Server
	switch s := s.(type) {
	case *RudderStack:
		server = s.Server
		paths = []string{
			"/Users?startIndex=1&count=100", "/Users?startIndex=150&count=100", "/Users?startIndex=301&count=100", "/Users?startIndex=1000&count=100",
			"/Users?startIndex=1&count=101",
			"/Groups?startIndex=1&count=100&excludedAttributes=members", "/Groups?startIndex=1&count=100", "/ResourceTypes",
			"/Groups/" + url.PathEscape(server.vendor.groupID(1)),
		}
	case *Guru:
		server = s.Server
		token := server.vendor.(*guru).makeToken("/members", 100)
		last := server.vendor.(*guru).makeToken("/members", 329)
		paths = []string{"/whoami", "/members", "/members?token=" + url.QueryEscape(token), "/members?token=" + url.QueryEscape(last), "/groups", "/groups/usergroups"}
		paths = append(paths, "/groups/"+server.vendor.(*guru).everyone().ID+"/members")
		for i := range faultSize.GroupSizes {
			id := server.vendor.groupID(i)
			list := "/groups/" + id + "/members"
			paths = append(paths, "/groups/"+id, list, list+"?token="+url.QueryEscape(server.vendor.(*guru).makeToken(list, 1)))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var lines []string
	for range 4 {
		for _, path := range paths {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.auth(req)
			resp, err := c.client.Do(req)
			if err != nil {
				lines = append(lines, path+" breaks: "+strings.ReplaceAll(err.Error(), c.base, ""))
				continue
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
			_ = resp.Body.Close()
			resp.Header.Del("Date")
			line := fmt.Sprintf("%s: %d %v %v %v %s", path, resp.StatusCode, resp.Close, resp.Uncompressed, resp.Header, body)
			if err != nil {
				line += " breaks off: " + err.Error()
			}
			lines = append(lines, strings.ReplaceAll(line, strings.TrimPrefix(strings.TrimSuffix(c.base, server.vendor.prefix()), "http://"), "HOST"))
		}
	}
	// net/http repeats a GET if a kept connection breaks.
	return append(lines, fmt.Sprint(len(server.Requests()), " requests"))
}

// untold are faults of time. A transcript does not show them.
var untold = []string{"slow-body", "one-byte-a-second", "hang", "two-at-a-time", "three-at-a-time"}

// A fault without effect would prove nothing about the connectors.
func TestEachFaultShows(t *testing.T) {
	t.Parallel()
	clean := map[string][]string{
		"rudderstack": transcript(t, NewRudderStack(faultSize).Start(t)),
		"guru":        transcript(t, NewGuru(faultSize).Start(t)),
	}
	names := map[string]bool{}
	for _, f := range Faults() {
		if f.What == "" || names[f.Name] || !slices.Contains([]string{Right, Fails, Either}, f.Outcome) {
			t.Errorf("%q is not described, or twice", f.Name)
		}
		names[f.Name] = true
		if slices.Contains(untold, f.Name) {
			continue
		}
		for vendor, before := range clean {
			if f.Vendor != "both" && f.Vendor != vendor {
				continue
			}
			t.Run(f.Name+"/"+vendor, func(t *testing.T) {
				t.Parallel()
				option := WithFault(f.Name)
				if slices.Contains([]string{"huge-header", "huge-body", "gzip-bomb"}, f.Name) {
					option = WithFault(f.Name, When{From: 3, To: 3}) // once is enough
				}
				var after []string
				var got Truth
				var err error
				var server *Server
				if vendor == "guru" {
					after = transcript(t, NewGuru(faultSize, option).Start(t))
					if f.Outcome == Fails {
						s := NewGuru(faultSize, option).Start(t)
						server = s.Server
						bound(s.Server)
						got, err = newWalker(s).guru()
					}
				} else {
					after = transcript(t, NewRudderStack(faultSize, option).Start(t))
					if f.Outcome == Fails {
						s := NewRudderStack(faultSize, option).Start(t)
						server = s.Server
						bound(s.Server)
						got, err = newWalker(s).rudderStack()
					}
				}
				if slices.Equal(before, after) {
					t.Error("every answer is as without the fault")
				}
				if f.Outcome == Fails && err == nil && len(server.Truth().Difference(got)) == 0 && f.Name != "long-id" && !strings.HasPrefix(f.Name, "usergroups") {
					t.Error("a naive client reads the truth")
				}
			})
		}
	}
	for _, name := range untold {
		if !names[name] {
			t.Errorf("there is no fault %s", name)
		}
	}
}

// bound ends walks that would not end by themselves.
func bound(s *Server) {
	s.OnRequest(func(n int, _ *http.Request) {
		if n > 60 {
			panic(http.ErrAbortHandler)
		}
	})
}

// writes counts the writes to an answer.
type writes struct {
	*httptest.ResponseRecorder
	n int
}

func (w *writes) Write(b []byte) (int, error) {
	w.n++
	return w.ResponseRecorder.Write(b)
}

func TestFaultsOfTimeShow(t *testing.T) {
	t.Parallel()
	ask := func(ctx context.Context, fault string) *writes {
		s := NewGuru(faultSize, WithFault(fault, When{}))
		r := httptest.NewRequest(http.MethodGet, "http://guru.example.com/gateway/api/v1/members", nil).WithContext(ctx) //nolint:noctx // it gets one here
		r.SetBasicAuth(s.Email(), s.Token())
		w := &writes{ResponseRecorder: httptest.NewRecorder()}
		s.ServeHTTP(w, r)
		return w
	}
	if w := ask(t.Context(), "slow-body"); w.n != 8 {
		t.Errorf("slow-body comes in %d parts", w.n)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if w := ask(gone, "one-byte-a-second"); w.Body.Len() != 1 {
		t.Errorf("one-byte-a-second sends %d bytes before the first pause", w.Body.Len())
	}
	if w := ask(gone, "hang"); w.n != 0 {
		t.Error("hang answers")
	}
}

// If a benchmark got other bytes than a test, it would measure something else.
func TestFastAnswersAreTheSameBytes(t *testing.T) {
	t.Parallel()
	plain, fast := NewRudderStack(faultSize).Start(t), NewRudderStack(faultSize, WithFast()).Start(t)
	change := func(s *RudderStack) {
		ids, groups := s.UserIDs(), s.GroupIDs()
		s.Disable(ids[0])
		s.DeleteUser(ids[1])
		s.AddUser("new@example.com")
		s.RemoveMember(groups[1], s.Truth().member(groups[1]))
		s.AddMember(groups[0], ids[7])
		s.Nest(groups[0], groups[1])
		s.DeleteGroup(groups[3])
		s.AddGroup("New")
	}
	for round := range 2 {
		one, other := transcript(t, plain), transcript(t, fast)
		for i := range one {
			if one[i] != other[i] {
				t.Errorf("round %d:\n%.300s\n%.300s", round, one[i], other[i])
			}
		}
		change(plain)
		change(fast)
	}
}

func (t Truth) member(group string) string {
	least := ""
	for g := range t.Grants {
		if g.Group == group && (least == "" || g.Principal < least) {
			least = g.Principal
		}
	}
	return least
}

func TestWhenSaysWhichRequests(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		when When
		want []int
	}{
		{When{}, []int{1, 2, 3, 4, 5, 6}},
		{When{From: 3}, []int{3, 4, 5, 6}},
		{When{From: 2, To: 3}, []int{2, 3}},
		{When{Every: 3}, []int{3, 6}},
	} {
		var got []int
		for n := 1; n <= 6; n++ {
			if row.when.hits(n, 0) {
				got = append(got, n)
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%+v strikes %v, not %v", row.when, got, row.want)
		}
	}
	hits := 0
	for n := range 10_000 {
		if (When{Share: 0.05}).hits(n, 1) {
			hits++
		}
	}
	if hits < 400 || hits > 600 {
		t.Errorf("a share of 5%% strikes %d of 10,000", hits)
	}
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	if _, option, err := ParseFault("server-error,every=20,path=/Users,share=0.5,from=2,to=9"); err != nil {
		t.Error(err)
	} else {
		var o options
		option(&o)
		if want := (When{Path: "/Users", Every: 20, Share: 0.5, From: 2, To: 9}); o.faults[0].when != want {
			t.Errorf("%+v, not %+v", o.faults[0].when, want)
		}
	}
	for _, text := range []string{"no-such", "reset,every=x", "reset,what=1", "reset,path=["} {
		if _, _, err := ParseFault(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestServersGuardThemselves(t *testing.T) {
	t.Parallel()
	for _, s := range []*Server{NewRudderStack(Size{Users: 3}).Start(nil).Server, NewGuru(Size{Users: 3}).Start(nil).Server} {
		t.Cleanup(s.Close)
		send := func(method, target string, auth func(*http.Request)) *http.Response {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(nil))
			if err != nil {
				t.Fatal(err)
			}
			auth(req)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp
		}
		_, isGuru := s.vendor.(*guru)
		list, good := "/Users", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+rudderStackToken) }
		if isGuru {
			list, good = "/members", func(r *http.Request) { r.SetBasicAuth(guruEmail, guruToken) }
		}
		bad := func(r *http.Request) { r.SetBasicAuth(guruEmail, "x") }
		for i, row := range []struct {
			method, target string
			auth           func(*http.Request)
			want           int
		}{
			{"GET", s.URL() + list, good, 200},
			{"GET", s.URL() + list, bad, 401},
			{"GET", s.URL() + list, func(*http.Request) {}, 401},
			{"GET", strings.TrimSuffix(s.URL(), s.vendor.prefix()) + list, good, 404},
			{"POST", s.URL() + list, good, 405},
			{"DELETE", s.URL() + list + "/1", good, 405},
		} {
			if resp := send(row.method, row.target, row.auth); resp.StatusCode != row.want {
				t.Errorf("%s %s: %d, not %d", row.method, row.target, resp.StatusCode, row.want)
			}
			seen := s.Requests()
			if len(seen) != i+1 || seen[i].Method != row.method || seen[i].Authorized != (i == 0 || i > 2) {
				t.Errorf("recorded %+v", seen)
			}
		}
		if v := s.Violations(); len(v) != 2 || !strings.HasPrefix(v[0], "POST ") {
			t.Errorf("violations: %v", v)
		}
		s.RevokeCredential()
		if resp := send("GET", s.URL()+list, good); resp.StatusCode != 401 {
			t.Errorf("a revoked credential is answered with %d", resp.StatusCode)
		}
	}
}

// Tests that change the directory need the truth to follow, and need rows that
// came or went to be optional.
func TestTruthFollowsChanges(t *testing.T) {
	t.Parallel()
	s := NewGuru(faultSize).Start(t)
	ids, groups := s.UserIDs(), s.GroupIDs()
	before := s.Truth()
	s.OnRequest(func(n int, _ *http.Request) {
		switch n {
		case 2:
			s.DeleteUser(ids[3])
		case 3:
			s.AddUser("New@Example.com")
		case 4:
			s.AddMember(groups[2], "new@example.com")
		case 11:
			s.DeleteGroup(groups[4])
		}
	})
	_, err := newWalker(s).guru()
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Fatalf("a deleted group's members: %v", err)
	}
	s.OnRequest(nil)
	after := s.Truth()
	if _, known := after.Users["new@example.com"]; !known || !after.Passing[ids[3]] || !after.Passing[groups[4]] {
		t.Error("the truth has not followed")
	}
	got, err := newWalker(s).guru()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range after.Difference(got) {
		t.Error(line)
	}
	after.Passing, after.PassingGrants = nil, nil
	if len(before.Difference(got)) == 0 || len(after.Difference(before)) == 0 {
		t.Error("a difference is not seen")
	}
	if s.Truth().Users[ids[1]].Disabled {
		t.Fatal("the second user is disabled")
	}
	s.Disable(ids[1])
	if !s.Truth().Users[ids[1]].Disabled {
		t.Error("a user who was disabled is not")
	}
}

func TestSameSizeSameDirectory(t *testing.T) {
	t.Parallel()
	one, other := NewGuru(faultSize).Truth(), NewGuru(faultSize).Truth()
	for _, line := range one.Difference(other) {
		t.Error(line)
	}
}
