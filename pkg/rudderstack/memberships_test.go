package rudderstack

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
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

// fresh reads a page in another process than the one that made its cursor.
func fresh(t *testing.T, server *scim, cursor string) directory.Page[directory.Membership] {
	t.Helper()
	page, err := server.start(t, noReadAhead).Memberships(t.Context(), cursor)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestMembershipsCostARequestForEach100Groups(t *testing.T) {
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
	if server.requests("/Groups?") != 4 || server.requests("/Groups/") != 0 {
		t.Errorf("%v", server.asked)
	}
	for row, n := range got {
		if n != 1 {
			t.Fatalf("%v came %d times", row, n)
		}
	}
}

// Both ways to the members tell the same truth, whatever a member looks like.
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
		{`{"value":"g00002"}`, true, true},
		{`{"value":"g00002","$ref":"urn:x:g00002"}`, true, true},
		{`"m"`, false, true},
		{`"g00002"`, true, true},
		{`{"value":9007199254740993,"type":"User"}`, false, false},
	} {
		t.Run(test.member, func(t *testing.T) {
			t.Parallel()
			server := &scim{groups: ids("g", 3), members: map[string][]string{"g00001": {test.member}, "g00002": {}, "g00003": {}}}
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

// A number or a text where the members belong may count or describe them. Taken
// for a member, it would take all the others away.
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
	if server.requests("/Groups?") != 2 || server.requests("/Groups/") != 129 {
		t.Errorf("%d list and %d single requests", server.requests("/Groups?"), server.requests("/Groups/"))
	}
}

// 60,000 members come in one body and must leave in pages that the SDK can
// take, and cost one request.
func TestAHugeGroupIsServedInSlices(t *testing.T) {
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
	if n := len(source.kept.list); n != 0 {
		t.Errorf("%d remainders are kept after the last was served", n)
	}
}

// Between two slices another process reads the group again, and it has
// changed: nobody who is in both is lost.
func TestAChangeBetweenTwoSlicesLosesNobody(t *testing.T) {
	server := &scim{groups: ids("g", 3), members: map[string][]string{"g00001": values("u", 3500), "g00002": values("v", 700), "g00003": {}}}
	n := 0
	server.before = func(string, url.Values) {
		n++
		list := server.members["g00001"]
		server.members["g00001"] = append([]string{member(fmt.Sprint("new", n))}, list[:len(list)-100]...)
	}
	got := map[directory.Membership]bool{}
	cursor, slices := "", 0
	for {
		page := fresh(t, server, cursor)
		if slices++; len(page.Rows) > directory.MaxRows || slices > 20 {
			t.Fatal("the slices are too large or too many")
		}
		for _, row := range page.Rows {
			got[row] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for _, id := range ids("u", 3500-100*n) {
		if !got[directory.Membership{GroupID: "g00001", Member: directory.Member{ID: id}}] {
			t.Errorf("%s is lost", id)
		}
	}
	for _, id := range ids("v", 700) {
		if !got[directory.Membership{GroupID: "g00002", Member: directory.Member{ID: id}}] {
			t.Errorf("%s is lost", id)
		}
	}
}

// Groups move onto the page between two slices: their members rank before the
// slice as well as after it.
func TestOtherGroupsOnThePageBetweenTwoSlicesAreServedWhole(t *testing.T) {
	server := &scim{groups: ids("g", 100), members: map[string][]string{}}
	for name := 'a'; name < 'k'; name++ {
		server.groups = append(server.groups, string(name)+"-joined-later") // of ranks far apart
	}
	for _, id := range server.groups {
		server.members[id] = values(id+"-", 15)
	}
	first := fresh(t, server, "")
	server.groups = server.groups[10:] // those are now on page one
	got := map[directory.Membership]bool{}
	for cursor := first.Next; cursor != ""; {
		page := fresh(t, server, cursor)
		for _, row := range page.Rows {
			got[row] = true
		}
		cursor = page.Next
	}
	for _, group := range server.groups[90:] {
		for _, id := range ids(group+"-", 15) {
			if !got[directory.Membership{GroupID: group, Member: directory.Member{ID: id}}] {
				t.Errorf("%s is lost", id)
			}
		}
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

// What is left of an answer serves the sync that it was read for, and only
// for a short time.
func TestARemainderIsShortLivedAndBounded(t *testing.T) {
	clock := time.Unix(1_700_000_000, 0)
	kept := remainders{now: func() time.Time { return clock }}
	for i := range 20 {
		kept.put(fmt.Sprint(i), remainder{next: fmt.Sprint(i)})
		clock = clock.Add(time.Second)
	}
	if len(kept.list) != maxKept {
		t.Errorf("%d are kept", len(kept.list))
	}
	if left, ok := kept.take("19"); !ok || left.next != "19" {
		t.Error("the newest is gone")
	}
	if _, ok := kept.take("19"); ok {
		t.Error("it is served twice")
	}
	clock = clock.Add(maxKeptAge + time.Second)
	if _, ok := kept.take("18"); ok {
		t.Error("it is served when it is old")
	}
	kept.put("x", remainder{})
	if len(kept.list) != 1 {
		t.Errorf("%d are kept, old ones among them", len(kept.list))
	}
}

// A group that is gone has no members; one that is listed and cannot be read
// has members that nobody knows.
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
	// The lists without members lead to the same question.
	if _, err = walkMemberships(t, source); codeOf(err) != codes.FailedPrecondition {
		t.Errorf("%v", err)
	}
}

// A group that came after the set was loaded is seen by the next sync.
func TestASyncClassifiesByItsOwnListOfGroups(t *testing.T) {
	server := &scim{groups: ids("g", 2), members: map[string][]string{"g00001": {`{"value":"late"}`}, "g00002": {}, "late": {}}}
	source := server.start(t)
	for _, nested := range []bool{false, true} {
		if _, err := walkGroups(t, source); err != nil {
			t.Fatal(err)
		}
		got, err := walkMemberships(t, source)
		if err != nil || got[directory.Membership{GroupID: "g00001", Member: directory.Member{ID: "late", IsGroup: nested}}] != 1 {
			t.Errorf("%v, %v", got, err)
		}
		server.mu.Lock()
		server.groups = append(ids("g", 2), "late")
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
	source := &Source{kept: remainders{now: time.Now}}
	benchmarkDecode(b, rows, groupMembers, func(p page[membersRow]) {
		whole, err := source.flatten(b.Context(), p.rows)
		if err != nil {
			b.Fatal(err)
		}
		begin := newWalk()
		c := cursor{List: ofMemberships, Walk: &begin}
		left, rows := newRemainder(whole, nil, ""), 0
		for ok := true; ok; {
			served := source.serve(c, left)
			rows += len(served.Rows)
			left, ok = source.kept.take(served.Next)
		}
		if rows != len(whole) {
			b.Fatalf("%d of %d rows", rows, len(whole))
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

// Ids can be made to have one fingerprint. That must not end the process, nor
// lose anybody.
func TestMembersOfOneFingerprintAreServedTogether(t *testing.T) {
	t.Parallel()
	left := remainder{}
	for i := range 2*directory.MaxRows + 1 {
		left.many = append(left.many, ranked{rank{1, 0, 2}, directory.Membership{GroupID: "g", Member: directory.Member{ID: fmt.Sprint(i)}}})
	}
	left.many = append(left.many, ranked{rank{3, 0, 4}, directory.Membership{GroupID: "h", Member: directory.Member{ID: "last"}}})
	s := &Source{kept: remainders{now: time.Now}}
	page := s.serve(cursor{}, left)
	if len(page.Rows) != 2*directory.MaxRows+1 || page.Next == "" {
		t.Fatalf("served %d rows, then %q", len(page.Rows), page.Next)
	}
	rest, ok := s.kept.take(page.Next)
	if !ok || len(rest.many) != 1 {
		t.Errorf("kept %v", rest.many)
	}
}

// A vendor that refuses every third request, or answers slowly, must not keep
// a sync for ever at telling users from groups.
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
	source := server.start(t, noReadAhead, func(o *rest.Options) { o.Now = func() time.Time { return now } })
	for tries := 1; ; tries++ {
		found, err := source.isGroup(t.Context(), "g00950")
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
		if found, err := source.isGroup(t.Context(), "u00001"); err != nil || found {
			t.Errorf("a user is taken for a group: %t, %v", found, err)
		}
	}
	if most := (950/100 + 1) * 3 / 2; asked > most {
		t.Errorf("%d requests, want at most %d", asked, most)
	}
}
