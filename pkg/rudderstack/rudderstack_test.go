package rudderstack

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

func TestAFaultOfTheConfigurationNamesItsFlagAndHidesTheValue(t *testing.T) {
	good := config.Rudderstack{RudderstackScimBaseUrl: " https://scim.example.com/scim/v2/\n", RudderstackScimToken: " abc\n"}
	if _, err := New(context.Background(), &good, rest.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*config.Rudderstack)
		flag   string
	}{
		"no base URL":    {func(c *config.Rudderstack) { c.RudderstackScimBaseUrl = " " }, "--rudderstack-scim-base-url (BATON_RUDDERSTACK_SCIM_BASE_URL)"},
		"a relative one": {func(c *config.Rudderstack) { c.RudderstackScimBaseUrl = "/hidden/v2" }, "--rudderstack-scim-base-url"},
		"http":           {func(c *config.Rudderstack) { c.RudderstackScimBaseUrl = "http://hidden.example.com/scim/v2" }, "--rudderstack-scim-base-url"},
		"a blank token":  {func(c *config.Rudderstack) { c.RudderstackScimToken = " \n" }, "--rudderstack-scim-token (BATON_RUDDERSTACK_SCIM_TOKEN)"},
		"a torn token":   {func(c *config.Rudderstack) { c.RudderstackScimToken = "hidden\nhidden" }, "--rudderstack-scim-token"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			_, err := New(context.Background(), &cfg, rest.Options{})
			if err == nil || !strings.Contains(err.Error(), test.flag) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	for _, test := range []struct {
		status int
		code   codes.Code
		words  string
	}{
		{401, codes.Unauthenticated, "RudderStack refused the token"},
		{403, codes.PermissionDenied, "create an organization-level Service Access Token or ask RudderStack support to enable SCIM"},
		{404, codes.FailedPrecondition, "check the base URL"},
		{410, codes.FailedPrecondition, "check the base URL"},
		{501, codes.Unimplemented, "does not offer this SCIM operation"},
		{503, codes.Unavailable, "the sync asks again"},
	} {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			server := &scim{other: func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(test.status)
				return true
			}}
			source := server.start(t)
			_, listed := source.Users(t.Context(), "")
			for _, err := range []error{listed, source.Check(t.Context())} {
				if codeOf(err) != test.code || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), token) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	server := &scim{}
	server.start(t)
	source, err := New(context.Background(), &config.Rudderstack{RudderstackScimBaseUrl: strings.TrimSuffix(server.url, "/scim/v2"), RudderstackScimToken: token}, rest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = source.Users(t.Context(), ""); !strings.Contains(fmt.Sprint(err), "lacks the suffix /scim/v2") {
		t.Errorf("%v", err)
	}
}

func TestCheckReadsUsersAndGroupsInTwoRequests(t *testing.T) {
	server := &scim{users: ids("u", 300), groups: ids("g", 300)}
	if err := server.start(t).Check(t.Context()); err != nil || len(server.asked) != 2 {
		t.Errorf("%v: %v", server.asked, err)
	}
}

// A sync without groups revokes every membership, so it needs evidence.
func TestGroupsAreAbsentByEvidenceOnly(t *testing.T) {
	const list = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":%d,"Resources":[%s]}`
	const user, group = `{"id":"User","name":"User","endpoint":"/Users"}`, `{"name":"Group","endpoint":"/Groups"}`
	alone := `"Sync users only" (--sync-users-only)`
	for _, test := range []struct {
		name         string
		groups       int
		types        string
		absent       bool
		code         codes.Code
		words        string
		outageStatus int
	}{
		{"501", 501, "", true, 0, "", 0},
		{"404 and types without Group", 404, fmt.Sprintf(list, 1, user), true, 0, "", 0},
		{"404 and types with Group", 404, fmt.Sprintf(list, 2, user+","+group), false, codes.FailedPrecondition, alone, 0},
		{"404 and a part of the types", 404, fmt.Sprintf(list, 2, user), false, codes.FailedPrecondition, alone, 0},
		{"404 and no types", 404, fmt.Sprintf(list, 0, ""), false, codes.FailedPrecondition, alone, 0},
		{"404 and types that are not SCIM", 404, `{"hello":"world"}`, false, codes.FailedPrecondition, alone, 0},
		{"404 twice", 404, "", false, codes.FailedPrecondition, alone, 0},
		{"404 while the types cannot be read", 404, "", false, codes.Unavailable, "", 503},
		{"410", 410, fmt.Sprintf(list, 1, user), false, codes.FailedPrecondition, alone, 0},
		{"403", 403, fmt.Sprintf(list, 1, user), false, codes.PermissionDenied, alone, 0},
		{"401", 401, "", false, codes.Unauthenticated, "", 0},
		{"500", 500, "", false, codes.Unavailable, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := &scim{users: ids("u", 3), other: func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case strings.HasSuffix(r.URL.Path, "/Groups"):
					w.WriteHeader(test.groups)
				case strings.HasSuffix(r.URL.Path, "/ResourceTypes") && test.outageStatus != 0:
					w.WriteHeader(test.outageStatus)
				case strings.HasSuffix(r.URL.Path, "/ResourceTypes") && test.types != "":
					fmt.Fprint(w, test.types)
				default:
					return false
				}
				return true
			}}
			source := server.start(t)
			groups, err := walkGroups(t, source)
			memberships, err2 := walkMemberships(t, source)
			for _, err := range []error{err, err2, source.Check(t.Context())} {
				if (err == nil) != test.absent || codeOf(err) != test.code || !strings.Contains(fmt.Sprint(err), test.words) {
					t.Errorf("code %s: %v", codeOf(err), err)
				}
			}
			if len(groups) > 0 || len(memberships) > 0 {
				t.Error("groups out of nothing")
			}
		})
	}
}

// In the middle of the list neither 501 nor 404 can mean that there are no
// groups.
func TestGroupsThatVanishMidwayAreAnError(t *testing.T) {
	for _, httpStatus := range []int{404, 501} {
		server := &scim{groups: ids("g", 150)}
		server.other = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("startIndex") != "96" {
				return false
			}
			w.WriteHeader(httpStatus)
			return true
		}
		source := server.start(t, noPrefetch)
		_, err := walkGroups(t, source)
		_, err2 := walkMemberships(t, source)
		if err == nil || err2 == nil || codeOf(err) == codes.NotFound {
			t.Errorf("%d: %v, %v", httpStatus, err, err2)
		}
	}
}

// Groups that keep their names but silently lose all members would revoke the
// members' access.
func TestMembershipsThatAreNotServedAreAnError(t *testing.T) {
	t.Parallel()
	excluded := func(r *http.Request) bool { return r.URL.Query().Has("excludedAttributes") }
	const types = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1,"Resources":[{"id":"User","endpoint":"/Users"}]}`
	const none = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"Resources":[]}`
	for _, test := range []struct {
		name   string
		groups int
		other  func(w http.ResponseWriter, r *http.Request) bool
		code   codes.Code
	}{
		{"501 to the list with members", 3, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/prefix/scim/v2/Groups" || excluded(r) {
				return false
			}
			w.WriteHeader(http.StatusNotImplemented)
			return true
		}, codes.FailedPrecondition},
		{"404 to it, and no Group among the types", 3, func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasSuffix(r.URL.Path, "/ResourceTypes"):
				fmt.Fprint(w, types)
			case r.URL.Path == "/prefix/scim/v2/Groups" && !excluded(r):
				w.WriteHeader(http.StatusNotFound)
			default:
				return false
			}
			return true
		}, codes.FailedPrecondition},
		{"an empty list with members", 3, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/prefix/scim/v2/Groups" || excluded(r) {
				return false
			}
			fmt.Fprint(w, none)
			return true
		}, codes.FailedPrecondition},
		{"no groups at all", 0, nil, codes.OK},
		{"501 to the parameter alone", 3, func(w http.ResponseWriter, r *http.Request) bool {
			if !excluded(r) {
				return false
			}
			w.WriteHeader(http.StatusNotImplemented)
			return true
		}, codes.OK},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := &scim{groups: ids("g", test.groups), members: map[string][]string{}, other: test.other}
			for _, id := range server.groups {
				server.members[id] = []string{member("u1")}
			}
			source := server.start(t)
			groups, err := walkGroups(t, source)
			if err != nil || len(groups) != test.groups {
				t.Fatalf("%d groups, %v", len(groups), err)
			}
			got, err := walkMemberships(t, source)
			if codeOf(err) != test.code || err == nil && len(got) != test.groups {
				t.Errorf("code %s, %d memberships: %v", codeOf(err), len(got), err)
			}
		})
	}
}

// A member without a stated kind may have the id of both a user and a group, if
// each table has its own numbers. A wrong guess would revoke one access and
// grant others.
func TestAShortIDOfAGroupIsNotGuessed(t *testing.T) {
	const long = "2bXkPqR8s7TuVwXyZ0123456789"
	for _, test := range []struct {
		member  string
		code    codes.Code
		id      string
		isGroup bool
	}{
		{`{"value":"2"}`, codes.FailedPrecondition, "2", false},
		{`{"value":"2","type":"User"}`, codes.OK, "2", false},
		{`{"value":"2","type":"Group"}`, codes.OK, "2", true},
		{`{"value":"7"}`, codes.OK, "7", false},
		{`{"value":"` + long + `"}`, codes.OK, long, true},
	} {
		server := &scim{groups: []string{"1", "2", "3", long}, members: map[string][]string{"1": {}, "2": {}, long: {}, "3": {test.member}}}
		source := server.start(t)
		for _, read := range []func() (map[directory.Membership]int, error){
			func() (map[directory.Membership]int, error) { return walkMemberships(t, source) },
			func() (map[directory.Membership]int, error) { return walkMembers(t, source, "3") },
		} {
			got, err := read()
			if codeOf(err) != test.code {
				t.Fatalf("%s: code %s, want %s: %v", test.member, codeOf(err), test.code, err)
			}
			want := directory.Membership{GroupID: "3", Member: directory.Member{ID: test.id, IsGroup: test.isGroup}}
			if err == nil && (len(got) != 1 || got[want] == 0) {
				t.Errorf("%s: got %v", test.member, got)
			}
		}
		if n := server.requests("/Users"); n > 0 {
			t.Errorf("%d requests for users", n)
		}
	}
}

// A list may truncate a group's members at a limit; the group itself has all.
func TestMembersThatAListCutsOffAreAskedFor(t *testing.T) {
	for _, limit := range []int{10, 37, 100, 1000, 10_000} {
		sizes := map[string]int{"small": 3, "exact": limit, "more": limit + 1, "many": 2 * limit}
		server := &scim{groups: []string{"exact", "small", "more", "many"}, members: map[string][]string{}}
		want := 0
		for id, n := range sizes {
			server.members[id] = values("u", n)[:min(n, limit)]
			want += n
		}
		server.other = func(w http.ResponseWriter, r *http.Request) bool {
			id := path.Base(r.URL.Path)
			if path.Base(path.Dir(r.URL.Path)) != "Groups" || sizes[id] == 0 {
				return false
			}
			fmt.Fprintf(w, `{"id":%q,"members":[%s]}`, id, strings.Join(values("u", sizes[id]), ","))
			return true
		}
		got, err := walkMemberships(t, server.start(t))
		if err != nil || len(got) != want {
			t.Errorf("limit %d: %d of %d memberships, %v", limit, len(got), want, err)
		}
	}
}

// The proof that nothing is truncated costs at most three requests a sync,
// however many groups are as large as the largest.
func TestListsThatCutNothingOffCostFewRequests(t *testing.T) {
	for size, most := range map[int]int{9: 0, 10: limitProbes, 50: limitProbes, 10_001: 0} {
		n := 300
		if size > 1000 {
			n = 2
		}
		server := &scim{groups: ids("g", n), members: map[string][]string{}}
		for _, id := range server.groups {
			server.members[id] = values("u", size)
		}
		source := server.start(t)
		for range 2 { // a sync and the next
			if _, err := walkGroups(t, source); err != nil {
				t.Fatal(err)
			}
			before := server.requests("/Groups/")
			got, err := walkMemberships(t, source)
			if asked := server.requests("/Groups/") - before; err != nil || len(got) != n*size || asked != most {
				t.Errorf("groups of %d: %d memberships, %d requests by id, want %d: %v", size, len(got), asked, most, err)
			}
		}
	}
}

// A page may have a group twice, and there may be more groups to request than a
// page can have siblings.
func TestSiblingsAreFewAndHaveNoDuplicates(t *testing.T) {
	server := &scim{groups: ids("g", 3000), members: map[string][]string{}}
	for _, id := range server.groups {
		server.members["byid:"+id] = values(id, 1)
	}
	server.list = func(a ask) answer { // no paging
		return answer{append(slices.Clone(a.all), a.all[:5]...), fmt.Sprintf(`"totalResults":%d`, len(a.all))}
	}
	page, err := server.start(t, noPrefetch).Memberships(t.Context(), "")
	if err != nil || len(page.Siblings) > directory.MaxSiblings {
		t.Fatalf("%d siblings, %v", len(page.Siblings), err)
	}
	asked := map[string]bool{}
	for _, sibling := range page.Siblings {
		c, err := directory.DecodeCursor[membershipsCursor](memberships, sibling)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range c.Groups {
			if asked[id] {
				t.Errorf("%s twice", id)
			}
			asked[id] = true
		}
	}
	if len(asked) != 3000 {
		t.Errorf("%d groups are asked for", len(asked))
	}
	source := server.start(t, noPrefetch)
	if page, err = source.Memberships(t.Context(), page.Siblings[0]); err != nil || len(page.Rows) != 1 || page.Next == "" {
		t.Errorf("%+v, %v", page, err)
	}
	if page, err = source.Memberships(t.Context(), page.Next); err != nil || len(page.Rows) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

// attributes=members may be taken for "and nothing else".
func TestAGroupThatIsAskedForItsMembersMayLackAnID(t *testing.T) {
	t.Parallel()
	for answer, code := range map[string]codes.Code{
		`{"members":[{"value":"u1","type":"User"}]}`: codes.OK,
		`{"members":[]}`: codes.OK,
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]}`: codes.OK,
		`{"id":"g1"}`: codes.OK,
		`{}`:          codes.OK,
		`[]`:          codes.OK,
		`{"members":[{"value":"u1"},{"value":""}]}`: codes.Internal,
	} {
		server := &scim{groups: []string{"g1"}, members: map[string][]string{}, other: func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case !strings.HasSuffix(r.URL.Path, "/Groups/g1"):
				return false
			case r.URL.Query().Get("attributes") == "members":
				fmt.Fprint(w, answer)
			default:
				fmt.Fprint(w, `{"id":"g1","displayName":"One"}`)
			}
			return true
		}}
		got, err := walkMemberships(t, server.start(t))
		want := strings.Count(answer, "u1")
		if codeOf(err) != code || err == nil && len(got) != want {
			t.Errorf("%s: %d memberships, code %s, want %s: %v", answer, len(got), codeOf(err), code, err)
		}
	}
}

// A walk that must restart has seen groups, so 501 does not mean "no groups"
// there. The same holds when the ids of groups are requested, because some
// group needs them.
func TestGroupsThatVanishOnTheWayBackAreAnError(t *testing.T) {
	t.Parallel()
	again, err := (&walk{Start: 96, Seen: 100, Full: 100, Recent: []uint64{1}, Began: 150}).again(1)
	if err != nil || again.next.Start != 1 {
		t.Fatalf("%+v, %v", again.next, err)
	}
	server := &scim{groups: ids("g", 3), members: map[string][]string{"g00001": {`{"value":"g00002"}`}}}
	listed := false
	server.other = func(w http.ResponseWriter, _ *http.Request) bool {
		if listed {
			w.WriteHeader(http.StatusNotImplemented)
			return true
		}
		listed = true
		return false
	}
	source := server.start(t, noPrefetch)
	if _, err := source.Memberships(t.Context(), ""); err == nil {
		t.Error("a nested group of unknown kind is taken for a person")
	}
	server = &scim{other: func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusNotImplemented)
		return true
	}}
	source = server.start(t)
	if _, err = source.Groups(t.Context(), directory.EncodeCursor("groups", again.next)); err == nil {
		t.Error("groups: 501 after groups were seen is taken for none")
	}
	if _, err = source.Memberships(t.Context(), directory.EncodeCursor(memberships, membershipsCursor{Walk: &again.next})); err == nil {
		t.Error("memberships: 501 after groups were seen is taken for none")
	}
}

func TestOneGroupByItsID(t *testing.T) {
	server := &scim{groups: []string{"g 1/ä?"}}
	source := server.start(t)
	group, err := source.Group(t.Context(), "g 1/ä?")
	if err != nil || group.ID != "g 1/ä?" || group.Name != "Group g 1/ä?" || group.Profile["group_id"] != group.ID {
		t.Errorf("%+v, %v", group, err)
	}
	if _, err = source.Group(t.Context(), "other"); codeOf(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
	server.other = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/Groups") {
			return false
		}
		w.WriteHeader(http.StatusNotFound)
		return true
	}
	if _, err = source.Group(t.Context(), "g 1/ä?"); codeOf(err) != codes.FailedPrecondition {
		t.Errorf("a group that is listed is taken for gone: %v", err)
	}
	server.other = func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"id":"another"}`)
		return true
	}
	if _, err = source.Group(t.Context(), "other"); codeOf(err) != codes.FailedPrecondition {
		t.Errorf("%v", err)
	}
}

// TestOnlyNotFoundMeansDeleted: a group that is refused or out of reach is not
// gone, whether the list has it or not.
func TestOnlyNotFoundMeansDeleted(t *testing.T) {
	for httpStatus, code := range map[int]codes.Code{
		401: codes.Unauthenticated, 403: codes.PermissionDenied, 409: codes.AlreadyExists, 423: codes.FailedPrecondition, 500: codes.Unavailable,
	} {
		for _, id := range []string{"g00002", "unlisted"} {
			server := &scim{groups: ids("g", 3)}
			server.other = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/Groups") {
					return false
				}
				w.WriteHeader(httpStatus)
				return true
			}
			source := server.start(t)
			_, err := source.Group(t.Context(), id)
			_, err2 := source.Members(t.Context(), id, "")
			for _, err := range []error{err, err2} {
				if codeOf(err) != code || !strings.Contains(err.Error(), "/Groups/"+id+": "+strconv.Itoa(httpStatus)) {
					t.Errorf("%s at %d: %v", id, httpStatus, err)
				}
			}
		}
	}
}

// An organization without SCIM groups can be synced on purpose.
func TestUsersOnlyAsksForNoGroups(t *testing.T) {
	server := &scim{users: ids("u", 3), groups: ids("g", 3)}
	source := server.start(t)
	source.usersOnly = true
	got, err := walkUsers(t, source)
	if err != nil || len(got) != 3 {
		t.Errorf("%d users, %v", len(got), err)
	}
	groups, err := walkGroups(t, source)
	memberships, err2 := walkMemberships(t, source)
	members, err3 := walkMembers(t, source, "g00001")
	_, err4 := source.Group(t.Context(), "g00001")
	if len(groups)+len(memberships)+len(members) > 0 || err != nil || err2 != nil || err3 != nil || codeOf(err4) != codes.NotFound {
		t.Errorf("%d groups, %d memberships, %d members: %v, %v, %v, %v", len(groups), len(memberships), len(members), err, err2, err3, err4)
	}
	if err := source.Check(t.Context()); err != nil || server.requests("/Groups") > 0 {
		t.Errorf("%d requests for groups, %v", server.requests("/Groups"), err)
	}
}

// If /Users has just answered, neither the base URL nor the token can be the
// fault at /Groups.
func TestAnErrorOfGroupsBlamesWhatCanBeWrong(t *testing.T) {
	for httpStatus, words := range map[int][]string{
		404: {"/Users answers and this does not", "Sync users only"},
		410: {"/Users answers and this does not", "Sync users only"},
		401: {"/Users answers with the same token", "revoked", "Sync users only"},
		403: {"/Users answers with the same token", "Sync users only"},
	} {
		server := &scim{users: ids("u", 3), other: func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/Users") {
				return false
			}
			w.WriteHeader(httpStatus)
			return true
		}}
		source := server.start(t)
		checked := source.Check(t.Context())
		_, listed := walkGroups(t, source)
		for _, err := range []error{checked, listed} {
			for _, word := range words {
				if !strings.Contains(fmt.Sprint(err), word) {
					t.Errorf("%d: the error does not say %q: %v", httpStatus, word, err)
				}
			}
			if text := fmt.Sprint(err); strings.Contains(text, "base URL") || strings.Contains(text, "RudderStack refused the token") {
				t.Errorf("%d: %v", httpStatus, err)
			}
		}
	}
}
