package rudderstack

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

func values(prefix string, n int) []string {
	out := ids(prefix, n)
	for i := range out {
		out[i] = member(out[i])
	}
	return out
}

func TestMembershipsCostARequestForEach95Groups(t *testing.T) {
	server := &scim{groups: ids("g", 345), members: map[string][]string{}}
	want := 0
	for i, id := range server.groups {
		server.members[id] = values("u", i%50)
		want += i % 50
	}
	source := server.start(t)
	got, err := walkMemberships(t, source)
	if err != nil || len(got) != want {
		t.Fatalf("%d of %d memberships: %v", len(got), want, err)
	}
	if server.requests("/Groups?") != requestsFor(345) || server.requests("/Groups/") > limitProbes {
		t.Errorf("%v", server.asked)
	}
	for row, n := range got {
		if n != 1 {
			t.Fatalf("%v came %d times", row, n)
		}
	}
}

// Both ways to the members must give the same result for every form of a
// member.
func TestAMemberIsClassifiedTheSameOnBothWays(t *testing.T) {
	for _, test := range []struct {
		member string
		group  bool
		sets   bool // needs the list of groups
	}{
		{`{"value":"m","type":"User"}`, false, false},
		{`{"value":"m","type":"uSER","$ref":"/Groups/m"}`, false, false},
		{`{"value":"m","type":"Group"}`, true, false},
		{`{"VALUE":"m","TYPE":"GROUP"}`, true, false},
		{`{"value":"m","$ref":"https://scim.example.com/scim/v2/Users/m"}`, false, false},
		{`{"value":"m","$ref":"https://scim.example.com/scim/v2/GROUPS/m?x=/Users/y"}`, true, false},
		{`{"value":"m","$REF":"../groups/m/"}`, true, false},
		{`{"value":"m","$ref":"Groups/m","type":null}`, true, false},
		{`{"value":"m"}`, false, true},
		{`{"value":"g00002-0123456789"}`, true, true},
		{`{"value":"g00002-0123456789","$ref":"urn:x:g00002"}`, true, true},
		{`"m"`, false, true},
		{`"g00002-0123456789"`, true, true},
		{`{"value":9007199254740993,"type":"User"}`, false, false},
		{`{"value":"m","type":"direct","$ref":"../Users/m"}`, false, false},
		{`{"value":"m","type":"direct","$ref":"https://scim.example.com/scim/v2/Groups/m"}`, true, false},
	} {
		t.Run(test.member, func(t *testing.T) {
			t.Parallel()
			server := &scim{groups: []string{"g00001", "g00002-0123456789", "g00003"}, members: map[string][]string{"g00001": {test.member}, "g00002-0123456789": {}, "g00003": {}}}
			source := server.start(t)
			all, err := walkMemberships(t, source)
			if err != nil {
				t.Fatal(err)
			}
			one, err := walkMembers(t, source, "g00001")
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 1 || !maps.Equal(all, one) {
				t.Fatalf("%v and %v", all, one)
			}
			for row := range all {
				if row.Member.IsGroup != test.group || row.Member.ID == "" || strings.Contains(row.Member.ID, "e+") {
					t.Errorf("%+v", row)
				}
			}
			// The set is loaded once and kept for the second way.
			want := requestsFor(3)
			if test.sets {
				want *= 2
			}
			if got := server.requests("/Groups?"); got != want {
				t.Errorf("%d list requests, want %d", got, want)
			}
		})
	}
}

func TestAMemberThatCannotBeUnderstoodIsAnError(t *testing.T) {
	for _, test := range []struct{ member, words string }{
		{`{"type":"User"}`, `the member at index 1 of group "g00001" has no id`},
		{`{"value":"","type":"User"}`, "has no id"},
		{`{"value":{"a":1}}`, "has no id"},
		{`null`, "has no id"},
		{`{"value":"m","type":"Robot"}`, `the type "Robot"`},
	} {
		t.Run(test.member, func(t *testing.T) {
			t.Parallel()
			server := &scim{groups: ids("g", 1), members: map[string][]string{"g00001": {member("a"), test.member}}}
			source := server.start(t)
			_, err := walkMemberships(t, source)
			_, err2 := walkMembers(t, source, "g00001")
			for _, err := range []error{err, err2} {
				if codeOf(err) != codes.Internal || !strings.Contains(err.Error(), test.words) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// A number or a text in the place of the members may count or describe them. If
// it passed for a member, it would remove all the others.
func TestMembersThatAreNoListAreAnError(t *testing.T) {
	for _, members := range []string{"7", `"seven"`, "true", `{"value":"u1"}`} {
		t.Run(members, func(t *testing.T) {
			t.Parallel()
			server := &scim{groups: ids("g", 1), other: func(w http.ResponseWriter, r *http.Request) bool {
				group := `{"id":"g00001","members":` + members + `}`
				if strings.HasSuffix(r.URL.Path, "/Groups") {
					group = listOpen + group + "]}"
				}
				fmt.Fprint(w, group)
				return true
			}}
			source := server.start(t)
			_, err := walkMemberships(t, source)
			_, err2 := walkMembers(t, source, "g00001")
			for _, err := range []error{err, err2} {
				if codeOf(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "members is a JSON") {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

func TestGroupsListedWithoutMembersAreAskedForByID(t *testing.T) {
	server := &scim{groups: ids("g", 130), members: map[string][]string{"g00001": values("u", 3), "byid:g00130": values("u", 1200)}}
	got, err := walkMemberships(t, server.start(t))
	if err != nil || len(got) != 1203 {
		t.Fatalf("%d memberships: %v", len(got), err)
	}
	if server.requests("/Groups?") != requestsFor(130) || server.requests("/Groups/") != 129 {
		t.Errorf("%d list and %d single requests", server.requests("/Groups?"), server.requests("/Groups/"))
	}
}

// 60,000 members come in one body and cost one request.
func TestAHugeGroupCostsOneRequest(t *testing.T) {
	server := &scim{groups: ids("g", 2), members: map[string][]string{"g00001": values("u", 60_000), "g00002": values("v", 1)}}
	source := server.start(t)
	got, err := walkMemberships(t, source)
	if err != nil || len(got) != 60_001 {
		t.Fatalf("%d memberships: %v", len(got), err)
	}
	if server.requests("/Groups?") != requestsFor(2) {
		t.Errorf("%d requests", server.requests("/Groups?"))
	}
	if got, err = walkMembers(t, source, "g00001"); err != nil || len(got) != 60_000 || server.requests("/Groups/") != 1 {
		t.Errorf("%d members, %d requests: %v", len(got), server.requests("/Groups/"), err)
	}
}

func TestTwoSyncsMayOverlap(t *testing.T) {
	server := &scim{groups: ids("g", 130), members: map[string][]string{}}
	for _, id := range server.groups {
		server.members[id] = values("u", 40)
	}
	source := server.start(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if got, err := walkMemberships(t, source); err != nil || len(got) != 130*40 {
				t.Errorf("%d memberships: %v", len(got), err)
			}
		})
	}
	both.Wait()
}

// A deleted group has no members. A listed group that cannot be read has
// unknown members.
func TestAGroupThatIsNotFoundMustBeGoneFromTheList(t *testing.T) {
	server := &scim{groups: ids("g", 3), members: map[string][]string{}}
	source := server.start(t)
	if got, err := walkMembers(t, source, "gone"); err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
	server.other = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/Groups/") {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	}
	_, err := walkMembers(t, source, "g00002")
	if codeOf(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "listed but cannot be read") {
		t.Errorf("%v", err)
	}
	// Lists without members must end in the same check.
	if _, err = walkMemberships(t, source); codeOf(err) != codes.FailedPrecondition {
		t.Errorf("%v", err)
	}
}

// The next sync sees a group that was added after the set was loaded.
func TestASyncClassifiesByItsOwnListOfGroups(t *testing.T) {
	server := &scim{groups: ids("g", 2), members: map[string][]string{"g00001": {`{"value":"late-0123456789abc"}`}, "g00002": {}, "late-0123456789abc": {}}}
	source := server.start(t)
	for _, nested := range []bool{false, true} {
		if _, err := walkGroups(t, source); err != nil {
			t.Fatal(err)
		}
		got, err := walkMemberships(t, source)
		if err != nil || got[directory.Membership{GroupID: "g00001", Member: directory.Member{ID: "late-0123456789abc", IsGroup: nested}}] != 1 {
			t.Errorf("%v, %v", got, err)
		}
		server.mu.Lock()
		server.groups = append(ids("g", 2), "late-0123456789abc")
		server.mu.Unlock()
	}
}

func BenchmarkDecodeUsers(b *testing.B) {
	rows := make([]string, 100)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"2bXk%023d","userName":"user%d@example.com","displayName":"User %d","name":{"givenName":"Ann","familyName":"Lee"},"active":true,"emails":[{"value":"user%d@example.com","type":"work","primary":true}],"meta":{"resourceType":"User","created":"2024-02-03T04:05:06Z","lastModified":"2024-02-03T04:05:06Z","location":"https://scim.example.com/scim/v2/Users/%d"}}`, i, i, i, i, i)
	}
	benchmarkDecode(b, rows, users, func(p page[userRow]) {
		for i := range p.rows {
			sink = p.rows[i].user()
		}
	})
}

func BenchmarkDecodeUsersOfADeviatingServer(b *testing.B) {
	rows := make([]string, 100)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"id":%d,"userName":"user%d@example.com","active":"True","emails":["user%d@example.com"]}`, i+1, i, i)
	}
	benchmarkDecode(b, rows, users, func(p page[userRow]) {
		for i := range p.rows {
			sink = p.rows[i].user()
		}
	})
}

func BenchmarkDecodeMemberships(b *testing.B) {
	rows := make([]string, 100)
	for i := range rows {
		members := make([]string, 200)
		for j := range members {
			members[j] = fmt.Sprintf(`{"value":"2bXk%023d","display":"user%d@example.com","type":"User"}`, j, j)
		}
		rows[i] = fmt.Sprintf(`{"id":"2bXg%023d","displayName":"Group %d","members":[%s]}`, i, i, strings.Join(members, ","))
	}
	source := &Source{}
	benchmarkDecode(b, rows, groupMembers, func(p page[membersRow]) {
		var out []directory.Membership
		for i := range p.rows {
			var err error
			if out, err = source.members(b.Context(), out, p.rows[i].ID.Value, p.rows[i].Members); err != nil {
				b.Fatal(err)
			}
		}
		if len(out) != 100*200 {
			b.Fatalf("%d memberships", len(out))
		}
	})
}

var sink directory.User

func benchmarkDecode[T any](b *testing.B, rows []string, c *collection[T], use func(page[T])) {
	answer := answers(b)
	body := []byte(fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":%d,"Resources":[%s]}`, len(rows), strings.Join(rows, ",")))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		p, err := decodeList(answer(body), c, "the page")
		if err != nil {
			b.Fatal(err)
		}
		use(p)
	}
}

// At a vendor that refuses every third request, or answers slowly, a sync must
// still finish telling users from groups.
func TestTheSetOfGroupsIsLoadedInTheEnd(t *testing.T) {
	t.Parallel()
	now, asked, refused := time.Unix(1e9, 0), 0, false
	server := &scim{groups: ids("g", 950)}
	server.other = func(w http.ResponseWriter, _ *http.Request) bool {
		now = now.Add(time.Minute) // a load takes longer than a set may be old
		if asked++; asked%3 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
			refused = true
			return true
		}
		return false
	}
	source := server.start(t, noPrefetch, func(o *rest.Options) { o.Now = func() time.Time { return now } })
	for tries := 1; ; tries++ {
		found, err := source.known.has(t.Context(), source, "g00950", now.Add(-maxSetAge))
		if err == nil {
			if !found {
				t.Error("the last group is not in the set")
			}
			break
		}
		if codeOf(err) != codes.Unavailable || tries > 10 {
			t.Fatalf("try %d: %v", tries, err)
		}
	}
	if !refused {
		t.Error("nothing was refused: this shows nothing")
	}
	for range 2 {
		if found, err := source.known.has(t.Context(), source, "u00001", now.Add(-maxSetAge)); err != nil || found {
			t.Errorf("a user is taken for a group: %t, %v", found, err)
		}
	}
	if most := requestsFor(950)*3/2 + 1; asked > most {
		t.Errorf("%d requests, want at most %d", asked, most)
	}
}
