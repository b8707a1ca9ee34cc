package rudderstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// A list costs one request for each 95 rows and one more. No row is missing or
// comes twice.
func TestAListCostsARequestForEach95Rows(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 6, 99, 100, 101, 195, 196, 300, 1000, 2345} {
		for _, prefetched := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d users, prefetch %t", n, prefetched), func(t *testing.T) {
				t.Parallel()
				server := &scim{users: ids("u", n)}
				source := server.start(t)
				if !prefetched {
					source = server.start(t, noPrefetch)
				}
				got, err := walkUsers(t, source)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, server.users) {
					t.Errorf("%d of %d users", len(got), n)
				}
				if want := requestsFor(n); server.requests("/Users") != want {
					t.Errorf("%d requests, want %d: %v", server.requests("/Users"), want, server.asked)
				}
			})
		}
	}
}

func TestEveryDeviationOfPagingEndsRightOrFails(t *testing.T) {
	standard := func(rest string) func(ask) answer {
		return func(a ask) answer {
			out := a.standard()
			out.rest = strings.ReplaceAll(rest, "TOTAL", strconv.Itoa(len(a.all)))
			out.rest = strings.ReplaceAll(out.rest, "HALF", strconv.Itoa(len(a.all)/2))
			out.rest = strings.ReplaceAll(out.rest, "COUNT", strconv.Itoa(a.count))
			out.rest = strings.ReplaceAll(out.rest, "ROWS", strconv.Itoa(len(out.ids)))
			out.rest = strings.ReplaceAll(out.rest, "START", strconv.Itoa(a.start))
			return out
		}
	}
	window := func(f func(a ask) []string, rest string) func(ask) answer {
		return func(a ask) answer {
			out := answer{ids: f(a)}
			out.rest = strings.ReplaceAll(rest, "TOTAL", strconv.Itoa(len(a.all)))
			out.rest = strings.ReplaceAll(out.rest, "ROWS", strconv.Itoa(len(out.ids)))
			return out
		}
	}
	capped := func(limit int) func(a ask) []string {
		return func(a ask) []string { return a.window(a.start, min(a.count, limit)) }
	}
	const total = `"totalResults":TOTAL`
	const paged = `"totalResults":ROWS`
	const none = ``
	failed := codes.FailedPrecondition
	shuffled := func(a ask) []string {
		all := slices.Clone(a.all)
		rand.New(rand.NewPCG(7, uint64(a.nth))).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) //nolint:gosec // a count
		a.all = all
		return a.window(a.start, a.count)
	}
	pageAligned := func(size int) func(a ask) []string {
		return func(a ask) []string {
			count := a.count
			if size > 0 {
				count = size
			}
			return a.window((a.start-1)/count*count+1, count)
		}
	}
	wrapping := func(a ask) []string {
		if a.start > len(a.all) {
			a.start = 1
		}
		return a.window(a.start, a.count)
	}
	for _, test := range []struct {
		name string
		n    []int
		list func(ask) answer
		// code is OK if the walk must list all users in the end.
		code codes.Code
		most int // requests
	}{
		{"itemsPerPage echoes count", []int{1, 99, 250}, standard(`"totalResults":TOTAL,"itemsPerPage":COUNT,"startIndex":START`), 0, 4},
		{"itemsPerPage zero", []int{250}, standard(`"totalResults":TOTAL,"itemsPerPage":0`), 0, 4},
		{"itemsPerPage null", []int{250}, standard(`"totalResults":TOTAL,"itemsPerPage":null,"startIndex":null`), 0, 4},
		{"itemsPerPage a text", []int{250}, standard(`"totalResults":TOTAL,"itemsPerPage":"many"`), 0, 4},
		{"startIndex counts from zero", []int{250}, standard(`"totalResults":TOTAL,"startIndex":0`), 0, 4},
		{"totalResults a string", []int{1, 250}, standard(`"totalResults":"TOTAL"`), 0, 4},
		{"totalResults with a fraction", []int{250}, standard(`"totalResults":TOTAL.0`), 0, 4},
		{"totalResults in lower case", []int{250}, standard(`"totalresults":TOTAL`), 0, 4},
		{"totalResults not a number", []int{250}, standard(`"totalResults":"lots"`), failed, 1},
		{"totalResults missing", []int{1, 5, 99, 100, 101, 250, 300}, standard(none), 0, 5},
		{"totalResults null", []int{250}, standard(`"totalResults":null`), 0, 4},
		{"totalResults negative", []int{250}, standard(`"totalResults":-1`), 0, 4},
		{"totalResults of the page", []int{1, 37, 99, 100, 101, 200, 250, 300, 301}, standard(paged), 0, 5},
		{"totalResults too high", []int{37, 100, 250, 300}, standard(`"totalResults":1TOTAL`), failed, 10},
		{"totalResults half of what there is", []int{37, 100, 150, 250, 300}, standard(`"totalResults":HALF`), 0, 5},
		{"totalResults zero beside rows", []int{37}, standard(`"totalResults":0`), failed, 1},
		{"a silent limit of 50", []int{1, 50, 51, 99, 100, 149, 250}, window(capped(50), total), 0, 7},
		{"a silent limit of 100", []int{100, 101, 199, 200, 250}, window(capped(100), total), 0, 4},
		{"a silent limit of 1", []int{5}, window(capped(1), total), failed, 7},
		{"a silent limit of 3", []int{7}, window(capped(3), total), failed, 8},
		{"a silent limit of 4", []int{4, 7, 40}, window(capped(4), total), 0, 25},
		{"a limit of 50 and totals of the page", []int{50, 51, 100, 150, 175}, window(capped(50), paged), 0, 6},
		{"a limit of 20 and totals of the page", []int{20, 40, 75}, window(capped(20), paged), 0, 6},
		{"a limit of 50 and no totals", []int{50, 100, 149, 175}, window(capped(50), none), 0, 6},
		{"no paging: everything always", []int{1, 37, 99, 101, 250, 999, 1001, 3456}, window(func(a ask) []string { return a.all }, total), 0, 6},
		{"no paging, and as many rows as a limit would let through", []int{50, 100, 200, 500, 1000}, window(func(a ask) []string { return a.all }, total), failed, 3},
		{"startIndex and count ignored, totals of the page", []int{1200}, window(func(a ask) []string { return a.window(1, 200) }, paged), failed, 3},
		{"startIndex and count ignored, no totals", []int{1200}, window(func(a ask) []string { return a.window(1, 1000) }, none), failed, 3},
		{"startIndex ignored", []int{102, 250, 300, 2000}, window(func(a ask) []string { return a.window(1, a.count) }, total), failed, 6},
		{"startIndex ignored, totals of the page", []int{100, 250, 300}, window(func(a ask) []string { return a.window(1, a.count) }, paged), failed, 6},
		{"startIndex ignored by a short list", []int{1, 20, 37, 99}, window(func(a ask) []string { return a.window(1, a.count) }, none), 0, 3},
		{"startIndex ignored beyond a limit", []int{250}, window(func(a ask) []string { return a.window(1, min(a.count, 100)) }, total), failed, 6},
		{"startIndex ignored, no totals", []int{101, 250}, window(func(a ask) []string { return a.window(1, min(a.count, 100)) }, none), failed, 6},
		{"past the end comes page one", []int{1, 37, 99, 100, 101, 250, 300}, window(wrapping, total), 0, 5},
		{"past the end comes page one, no totals", []int{37, 101, 250, 300}, window(wrapping, none), 0, 5},
		{"indexes modulo the length, no totals", []int{250}, window(func(a ask) []string {
			out := make([]string, a.count)
			for i := range out {
				out[i] = a.all[(a.start-1+i)%len(a.all)]
			}
			return out
		}, none), failed, 1000},
		{"windows that begin at whole pages", []int{101, 200, 250, 1050}, window(pageAligned(0), total), failed, 6},
		{"windows that begin at whole pages, of which there is one", []int{5, 99}, window(pageAligned(0), total), 0, 3},
		{"windows of 20 that begin at whole pages", []int{20, 21, 45, 250}, window(pageAligned(20), total), failed, 6},
		{"windows of 20 that begin at whole pages, totals of the page", []int{21, 45, 250}, window(pageAligned(20), paged), failed, 6},
		{"windows of 20 that begin at whole pages, no totals", []int{45, 250}, window(pageAligned(20), none), failed, 6},
		{"windows that overlap by five", []int{101, 250, 1000}, window(func(a ask) []string { return a.window(max(1, a.start-5), a.count) }, total), 0, 13},
		{"windows from index zero", []int{101, 250}, window(func(a ask) []string { return a.window(max(1, a.start), a.count+1) }, total), 0, 4},
		{"every row twice", []int{250}, window(func(a ask) []string {
			double := make([]string, 0, 2*len(a.all))
			for _, id := range a.all {
				double = append(double, id, id)
			}
			a.all = double
			return a.window(a.start, a.count)
		}, none), 0, 8},
		{"no order at all", []int{150, 250, 1000}, window(shuffled, total), codes.Aborted, 60},
		{"an empty page before the total", []int{250}, window(func(a ask) []string {
			if a.start > 1 {
				return nil
			}
			return a.window(a.start, a.count)
		}, total), failed, 6},
		{"an empty page one with a total", []int{250}, window(func(ask) []string { return nil }, total), failed, 1},
	} {
		for _, n := range test.n {
			t.Run(fmt.Sprintf("%s, %d users", test.name, n), func(t *testing.T) {
				t.Parallel()
				server := &scim{users: ids("u", n), list: test.list}
				got, err := walkUsers(t, server.start(t, noPrefetch))
				if codeOf(err) != test.code {
					t.Fatalf("code %s, want %s: %v", codeOf(err), test.code, err)
				}
				if asked := server.requests("/Users"); asked > test.most {
					t.Errorf("%d requests, want at most %d", asked, test.most)
				}
				if test.code != codes.OK {
					if !strings.HasPrefix(err.Error(), "GET "+server.url+"/Users: ") || strings.Contains(err.Error(), "\n") {
						t.Errorf("the error does not say where in one line: %v", err)
					}
					return
				}
				if got = sorted(got); !slices.Equal(got, server.users) {
					t.Errorf("%d of %d users", len(got), n)
				}
			})
		}
	}
}

// Every user that existed throughout is in the result, whatever came and went
// between two pages. A walk may fail now and then. The test bounds the failures
// only if the requests come one after the other: with prefetch, the number of
// changes between two pages depends on how the machine schedules them.
func TestRowsThatShiftWhileTheyAreReadAreNotLost(t *testing.T) {
	deviations := map[string]func(a ask) answer{
		"standard": nil,
		"limit of 50": func(a ask) answer {
			a.count = min(a.count, 50)
			return a.standard()
		},
		"no totals": func(a ask) answer { return answer{ids: a.standard().ids} },
		"past the end comes page one": func(a ask) answer {
			if a.start > len(a.all) {
				a.start = 1
			}
			return a.standard()
		},
		"totals of the page": func(a ask) answer {
			out := a.standard()
			out.rest = fmt.Sprintf(`"totalResults":%d`, len(out.ids))
			return out
		},
	}
	for name, list := range deviations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := 0
			const rounds = 60
			for seed := range uint64(rounds) {
				random := rand.New(rand.NewPCG(seed, 1))
				server := &scim{users: ids("u", 1+random.IntN(900)), list: list}
				lasting := map[string]bool{}
				for _, id := range server.users {
					lasting[id] = true
				}
				rate, joined := random.IntN(3), 0
				server.before = func(_ string, _ url.Values) {
					for range random.IntN(rate + 1) {
						if random.IntN(2) == 0 && len(server.users) > 1 {
							// Now and then many rows change at one position, as
							// when a team is removed.
							at, n := random.IntN(len(server.users)), 1
							if random.IntN(10) == 0 {
								n = random.IntN(40)
							}
							n = min(n, len(server.users)-at)
							for _, id := range server.users[at : at+n] {
								delete(lasting, id)
							}
							server.users = slices.Delete(slices.Clone(server.users), at, at+n)
						} else {
							joined++
							server.users = slices.Insert(slices.Clone(server.users), random.IntN(len(server.users)+1), fmt.Sprintf("new%d", joined))
						}
					}
				}
				oneByOne := seed%2 == 0
				source := server.start(t)
				if oneByOne {
					source = server.start(t, noPrefetch)
				}
				got, err := walkUsers(t, source)
				if err != nil {
					if code := codeOf(err); code != codes.Aborted && code != codes.FailedPrecondition {
						t.Errorf("seed %d: %v", seed, err)
					}
					t.Logf("seed %d: %v", seed, err)
					if oneByOne {
						failed++
					}
					continue
				}
				have := map[string]bool{}
				for _, id := range got {
					have[id] = true
				}
				server.mu.Lock() // a prefetched page may be in progress
				for id := range lasting {
					if !have[id] {
						t.Errorf("seed %d: %s is lost", seed, id)
					}
				}
				server.mu.Unlock()
			}
			if most := rounds / 2 / 6; failed > most {
				t.Errorf("%d of %d walks failed, want at most %d", failed, rounds/2, most)
			}
		})
	}
}

// If a list grows as fast as it is read, the walk must still end.
func TestAListWithoutEndIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name  string
		total func(start int) int
		most  int
	}{
		{"total grows", func(start int) int { return start + 1000 }, 220},
		{"no total", func(int) int { return -1 }, maxRows/(pageRows-overlapRows) + 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWalk()
			ids := make([]uint64, pageRows)
			for pages := 0; ; pages++ {
				if pages > test.most {
					t.Fatal("no end")
				}
				page := ids[:pageRows]
				for i := range page {
					page[i] = uint64(w.Start + i) //nolint:gosec // an index
				}
				m, err := w.advance(page, test.total(w.Start))
				if err != nil {
					break
				}
				w = m.next
			}
		})
	}
}

// One row is deleted between every two pages, the simplest case.
func TestADeletedRowCostsAStepBackAndLosesNobody(t *testing.T) {
	server := &scim{users: ids("u", 1000)}
	gone := map[string]bool{}
	n := 0
	server.before = func(_ string, query url.Values) {
		if query.Get("startIndex") != "1" && n < 5 {
			n++
			gone[server.users[0]] = true
			server.users = server.users[1:]
		}
	}
	got, err := walkUsers(t, server.start(t, noPrefetch))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids("u", 1000) {
		if !gone[id] && !slices.Contains(got, id) {
			t.Errorf("%s is lost", id)
		}
	}
	if asked := server.requests("/Users"); asked > requestsFor(1000)+2*5 {
		t.Errorf("%d requests for 5 deletions", asked)
	}
}

// A total that stops counting at 1,000, or counts only some rows, is no reason
// to give up a list that has an end.
func TestATotalThatCountsLessIsNoReasonToGiveUp(t *testing.T) {
	t.Parallel()
	for total, n := range map[int]int{1000: 9000, 900: 15_000} {
		server := &scim{users: ids("u", n), list: func(a ask) answer {
			return answer{a.window(a.start, min(a.count, 101)), fmt.Sprintf(`"totalResults":%d`, total)}
		}}
		got, err := walkUsers(t, server.start(t))
		if err != nil || len(sorted(got)) != n {
			t.Errorf("a total of %d: %d of %d users, %v", total, len(sorted(got)), n, err)
		}
	}
}

// Rows that are counted but never listed are no change of the directory, so a
// retry would not help.
func TestATotalThatCountsHiddenRowsIsNamed(t *testing.T) {
	t.Parallel()
	server := &scim{users: ids("u", 250), list: func(a ask) answer {
		var shown []string
		for _, id := range a.window(a.start, a.count) {
			if id != "u00007" && id != "u00030" && id != "u00031" {
				shown = append(shown, id)
			}
		}
		return answer{shown, `"totalResults":250`}
	}}
	got, err := walkUsers(t, server.start(t))
	if codeOf(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "ends after 247 rows but states totalResults 250") {
		t.Errorf("%d users, %v", len(sorted(got)), err)
	}
}

// An empty list is a truth only if the server states it.
func TestNoRowsAreNoneOnlyWhereTheTotalSaysSo(t *testing.T) {
	t.Parallel()
	for rest, code := range map[string]codes.Code{
		`"totalResults":0`:  codes.OK,
		`"totalResults":-1`: codes.FailedPrecondition,
		`"totalResults":7`:  codes.FailedPrecondition,
		``:                  codes.FailedPrecondition,
	} {
		server := &scim{list: func(ask) answer { return answer{rest: rest} }}
		source := server.start(t)
		if _, err := walkUsers(t, source); codeOf(err) != code {
			t.Errorf("users, %s: %v", rest, err)
		}
		if _, err := walkGroups(t, source); codeOf(err) != code {
			t.Errorf("groups, %s: %v", rest, err)
		}
		if _, err := walkMemberships(t, source); codeOf(err) != code {
			t.Errorf("memberships, %s: %v", rest, err)
		}
	}
}

// A server that answers every request with the same 100 rows may have exactly
// that many, but most likely it hides the others.
func TestTheSameUsualNumberOfRowsForEverIsRefusedInWordsThatHelp(t *testing.T) {
	for _, n := range []int{50, 100} {
		server := &scim{users: ids("u", n), list: func(a ask) answer {
			return answer{a.all, fmt.Sprintf(`"totalResults":%d`, len(a.all))}
		}}
		_, err := walkUsers(t, server.start(t))
		if codeOf(err) != codes.FailedPrecondition || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("every answer is the same %d rows", n)) ||
			!strings.Contains(fmt.Sprint(err), "the sync works again with one more") {
			t.Errorf("%v", err)
		}
		server.users = append(server.users, "one more")
		if got, err := walkUsers(t, server.start(t)); err != nil || len(sorted(got)) != n+1 {
			t.Errorf("%d users: %v", len(got), err)
		}
	}
}

// The process that fetches a page may not be the one that made its cursor.
func TestAWalkGoesOnInAnotherProcess(t *testing.T) {
	server := &scim{users: ids("u", 345)}
	cursor, got := "", []string{}
	for {
		page, err := server.start(t).Users(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Rows {
			got = append(got, row.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, server.users) {
		t.Errorf("%d users", len(got))
	}
}

func TestBackIsBounded(t *testing.T) {
	w := newWalk()
	w.Start, w.Seen, w.Recent, w.Full = 90_000, 90_000, []uint64{1, 2, 3}, pageRows
	steps := 0
	for {
		m, err := w.advance([]uint64{100, 101, 102}, 100_000)
		if err != nil {
			var lost *walkError
			if !errors.As(err, &lost) || lost.code != codes.Aborted {
				t.Error(err)
			}
			break
		}
		w = m.next
		if steps++; steps > 1000 {
			t.Fatal("no end of stepping back")
		}
	}
}

// If a server refuses a parameter, the walk omits it from then on. Frameworks
// refuse with 422 where SCIM says 400.
func TestARefusedParameterIsDoneWithout(t *testing.T) {
	for _, refusal := range []int{400, 422} {
		server := &scim{users: ids("u", 3), groups: ids("g", 450)}
		refused := 0
		server.other = func(w http.ResponseWriter, r *http.Request) bool {
			if !r.URL.Query().Has("excludedAttributes") {
				return false
			}
			refused++
			w.WriteHeader(refusal)
			return true
		}
		source := server.start(t, noPrefetch)
		got, err := walkGroups(t, source)
		if err != nil || !slices.Equal(got, server.groups) || refused != 1 {
			t.Errorf("%d groups, %d refusals: %v", len(got), refused, err)
		}
		if err := source.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := source.Group(t.Context(), "g00001"); err != nil {
			t.Error(err)
		}
	}
}

// RFC 9865's cursors are refused: they may be indexes that lose rows, or never
// end, and RudderStack is documented to page by index.
func TestAServerThatPagesByCursorIsRefused(t *testing.T) {
	for _, next := range []string{`"after-100"`, "7", `{"a":1}`} {
		server := &scim{users: ids("u", 250), list: func(a ask) answer {
			out := a.standard()
			out.rest += `,"nextCursor":` + next
			return out
		}}
		got, err := walkUsers(t, server.start(t))
		if codeOf(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "nextCursor") || len(got) > 0 || server.requests("/Users") != 1 {
			t.Errorf("%s: %d users, %v", next, len(got), err)
		}
	}
	server := &scim{users: ids("u", 5), list: func(a ask) answer {
		out := a.standard()
		out.rest += `,"nextCursor":null`
		return out
	}}
	if got, err := walkUsers(t, server.start(t)); err != nil || len(got) != 5 {
		t.Errorf("%d users, %v", len(got), err)
	}
}
