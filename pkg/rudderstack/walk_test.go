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

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// requestsFor is what a list of n rows costs: one request for each 100 rows, and
// one more where the last page is as long as the longest before it.
func requestsFor(n int) int {
	pages := max(1, (n+99)/100)
	last, longest := n-100*(pages-1), 2
	if pages > 1 {
		last, longest = last+1, min(98+pages, 101)
	}
	if last >= longest {
		pages++
	}
	return pages
}

// A list costs one request for each 100 rows, and no row is missing or twice.
func TestAListCostsARequestForEach100Rows(t *testing.T) {
	for _, n := range []int{0, 1, 2, 8, 49, 50, 99, 100, 101, 198, 199, 200, 201, 299, 300, 1000, 2345} {
		for _, ahead := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d users, read-ahead %t", n, ahead), func(t *testing.T) {
				t.Parallel()
				server := &scim{users: ids("u", n)}
				source := server.start(t)
				if !ahead {
					source = server.start(t, noReadAhead)
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

// Exactly 100 of 100 may be a server that counts its page, so one more request
// makes sure.
func TestATotalAsLongAsAFullPageIsNotTrusted(t *testing.T) {
	server := &scim{users: ids("u", 100)}
	got, err := walkUsers(t, server.start(t))
	if err != nil || !slices.Equal(got, server.users) || server.requests("/Users") != 2 {
		t.Errorf("%d users, %d requests, %v", len(got), server.requests("/Users"), err)
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
		// code is OK for "all users, in the end".
		code codes.Code
		most int // requests
	}{
		{"itemsPerPage echoes count", []int{1, 99, 250}, standard(`"totalResults":TOTAL,"itemsPerPage":COUNT,"startIndex":START`), 0, 3},
		{"itemsPerPage zero", []int{250}, standard(`"totalResults":TOTAL,"itemsPerPage":0`), 0, 3},
		{"itemsPerPage null", []int{250}, standard(`"totalResults":TOTAL,"itemsPerPage":null,"startIndex":null`), 0, 3},
		{"itemsPerPage a text", []int{250}, standard(`"totalResults":TOTAL,"itemsPerPage":"many"`), 0, 3},
		{"startIndex counts from zero", []int{250}, standard(`"totalResults":TOTAL,"startIndex":0`), 0, 3},
		{"totalResults a string", []int{1, 250}, standard(`"totalResults":"TOTAL"`), 0, 3},
		{"totalResults with a fraction", []int{250}, standard(`"totalResults":TOTAL.0`), 0, 3},
		{"totalResults in lower case", []int{250}, standard(`"totalresults":TOTAL`), 0, 3},
		{"totalResults not a number", []int{250}, standard(`"totalResults":"lots"`), failed, 1},
		{"totalResults missing", []int{1, 5, 99, 100, 101, 250, 300}, standard(none), 0, 5},
		{"totalResults null", []int{250}, standard(`"totalResults":null`), 0, 4},
		{"totalResults negative", []int{250}, standard(`"totalResults":-1`), 0, 4},
		{"totalResults of the page", []int{1, 37, 99, 100, 101, 200, 250, 300, 301}, standard(paged), 0, 5},
		{"totalResults too high", []int{37, 100, 250, 300}, standard(`"totalResults":1TOTAL`), failed, 6},
		{"totalResults half of what there is", []int{37, 100, 150, 250, 300}, standard(`"totalResults":HALF`), 0, 5},
		{"totalResults zero beside rows", []int{37}, standard(`"totalResults":0`), failed, 1},
		{"a silent limit of 50", []int{1, 50, 51, 99, 100, 149, 250}, window(capped(50), total), 0, 6},
		{"a silent limit of 100", []int{100, 101, 199, 200, 250}, window(capped(100), total), 0, 4},
		{"a silent limit of 1", []int{5}, window(capped(1), total), 0, 7},
		{"a silent limit of 2", []int{7}, window(capped(2), total), 0, 8},
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
		{"past the end comes page one", []int{1, 37, 99, 100, 101, 250, 300}, window(wrapping, total), 0, 4},
		{"past the end comes page one, no totals", []int{37, 101, 250, 300}, window(wrapping, none), 0, 5},
		{"indexes modulo the length, no totals", []int{250}, window(func(a ask) []string {
			out := make([]string, a.count)
			for i := range out {
				out[i] = a.all[(a.start-1+i)%len(a.all)]
			}
			return out
		}, none), failed, 1000},
		{"windows that begin at whole pages", []int{99, 101, 200, 250, 300, 1050}, window(pageAligned(0), total), 0, 14},
		{"windows of 20 that begin at whole pages", []int{5, 20, 21, 45, 250}, window(pageAligned(20), total), 0, 15},
		{"windows of 20 that begin at whole pages, no totals", []int{45, 250}, window(pageAligned(20), none), 0, 16},
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
				got, err := walkUsers(t, server.start(t, noReadAhead))
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

// Whoever was in the directory all the time is in the result, whatever came
// and went between two pages. A walk may fail now and then. How many do is
// held to a bound only where the requests come one after the other: with
// read-ahead, how often the directory changes between two pages depends on how
// the machine schedules them.
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
							// Now and then many at a place, as when a team is removed.
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
					source = server.start(t, noReadAhead)
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
				server.mu.Lock() // a page that was asked for ahead may be under way
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

// A server without an order of its rows cannot be read, but now and then it
// can seem so.
func TestAnOrderThatTurnsNeverLosesRowsInSilence(t *testing.T) {
	orders := map[string]func(random *rand.Rand, all []string){
		"turned": func(random *rand.Rand, all []string) {
			at := random.IntN(len(all))
			copy(all, append(slices.Clone(all[at:]), all[:at]...))
		},
		"turned a little": func(random *rand.Rand, all []string) {
			at := random.IntN(min(10, len(all)))
			copy(all, append(slices.Clone(all[at:]), all[:at]...))
		},
		"two orders": func(random *rand.Rand, all []string) {
			if random.IntN(2) == 0 {
				slices.Reverse(all)
			}
		},
		"shuffled": func(random *rand.Rand, all []string) {
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right, lost := 0, 0
			for seed := range uint64(300) {
				random := rand.New(rand.NewPCG(seed, 2))
				users := ids("u", 101+random.IntN(600))
				got := map[string]bool{}
				w := newWalk()
				for {
					all := slices.Clone(users)
					order(random, all)
					from := min(w.Start-1, len(all))
					rows := all[from:min(from+w.count(), len(all))]
					prints := make([]uint64, len(rows))
					for i := range rows {
						prints[i] = directory.Fingerprint(rows[i])
					}
					m, err := w.advance(prints, len(all), "")
					if err != nil {
						break
					}
					for _, id := range rows[m.from:m.to] {
						got[id] = true
					}
					if w = m.next; m.done {
						if right++; len(got) < len(users) {
							lost++
							t.Logf("seed %d: %d of %d", seed, len(got), len(users))
						}
						break
					}
				}
			}
			t.Logf("%d walks ended", right)
			// One overlapping row cannot tell a list in no order at all from an
			// ordered one for certain.
			if lost > 3 || strings.HasPrefix(name, "turned") && lost > 0 {
				t.Errorf("%d of 300 walks lost rows in silence", lost)
			}
		})
	}
}

// A list that grows as fast as it is read must not be read for ever.
func TestAListWithoutEndIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name  string
		total func(start int) int
		most  int
	}{
		{"total grows", func(start int) int { return start + 1000 }, 220},
		{"no total", func(int) int { return -1 }, maxSeen/pageRows + 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWalk()
			ids := make([]uint64, pageRows+1)
			for pages := 0; ; pages++ {
				if pages > test.most {
					t.Fatal("no end")
				}
				page := ids[:w.count()]
				for i := range page {
					page[i] = uint64(w.Start + i) //nolint:gosec // an index
				}
				m, err := w.advance(page, test.total(w.Start), "")
				if err != nil {
					break
				}
				w = m.next
			}
		})
	}
}

// One row goes between every two pages, the simplest case of all.
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
	got, err := walkUsers(t, server.start(t, noReadAhead))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids("u", 1000) {
		if !gone[id] && !slices.Contains(got, id) {
			t.Errorf("%s is lost", id)
		}
	}
	if asked := server.requests("/Users"); asked > 10+2*5 {
		t.Errorf("%d requests for 5 deletions", asked)
	}
}

func TestARefusedParameterIsDoneWithout(t *testing.T) {
	for _, test := range []struct {
		name    string
		refuse  func(url.Values) bool
		refused int
	}{
		{"count above 100", func(q url.Values) bool { return q.Get("count") == "101" }, 1},
		{"excludedAttributes", func(q url.Values) bool { return q.Has("excludedAttributes") }, 1},
		{"both", func(q url.Values) bool { return q.Has("excludedAttributes") || q.Get("count") == "101" }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &scim{groups: ids("g", 450)}
			refused := 0
			server.other = func(w http.ResponseWriter, r *http.Request) bool {
				if !test.refuse(r.URL.Query()) {
					return false
				}
				refused++
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"status":400,"scimType":"tooMany"}`)
				return true
			}
			got, err := walkGroups(t, server.start(t, noReadAhead))
			if err != nil || !slices.Equal(got, server.groups) {
				t.Fatalf("%d groups, %v", len(got), err)
			}
			if refused != test.refused {
				t.Errorf("%d refusals, want %d: the walk must remember", refused, test.refused)
			}
		})
	}
}

// paged answers as RFC 9865 says, with cursors made from an index.
func paged(size int, rest string) func(a ask) answer {
	return func(a ask) answer {
		at, _ := strconv.Atoi(strings.TrimPrefix(a.cursor, "after-"))
		end := min(at+min(size, a.count), len(a.all))
		out := answer{ids: a.all[at:end], rest: strings.ReplaceAll(rest, "TOTAL", strconv.Itoa(len(a.all)))}
		if end < len(a.all) {
			out.rest = strings.TrimPrefix(out.rest+fmt.Sprintf(`,"nextCursor":"after-%d"`, end), ",")
		}
		return out
	}
}

func TestCursorsOfTheVendor(t *testing.T) {
	cycle := func(next ...string) func(a ask) answer {
		return func(a ask) answer {
			at := slices.Index(next, a.cursor) + 1
			return answer{ids: a.window(1+at*10, 10), rest: fmt.Sprintf(`"nextCursor":%q`, next[at%len(next)])}
		}
	}
	long := make([]string, 37)
	for i := range long {
		long[i] = fmt.Sprint("c", i)
	}
	for _, test := range []struct {
		name string
		n    int
		list func(ask) answer
		code codes.Code
		most int
	}{
		{"without totals", 250, paged(100, ``), 0, 3},
		{"with totals", 250, paged(100, `"totalResults":TOTAL`), 0, 3},
		{"pages of one", 20, paged(1, ``), 0, 20},
		{"one page", 20, paged(100, ``), 0, 3},
		{"the end before the total", 250, paged(100, `"totalResults":1TOTAL`), codes.FailedPrecondition, 3},
		{"the same cursor for ever", 250, cycle("a"), codes.FailedPrecondition, 4},
		{"a cycle of two", 250, cycle("a", "b"), codes.FailedPrecondition, 10},
		{"a cycle of 37", 2500, cycle(long...), codes.FailedPrecondition, 150},
		{"empty pages without end", 1, func(a ask) answer { return answer{rest: fmt.Sprintf(`"nextCursor":"c%d"`, a.nth)} }, codes.FailedPrecondition, 101},
		{"a cursor of absurd length", 1, func(a ask) answer {
			return answer{ids: a.all, rest: fmt.Sprintf(`"nextCursor":%q`, strings.Repeat("x", 5000))}
		}, codes.FailedPrecondition, 1},
		{"a page of 2,500 rows", 5000, func(a ask) answer {
			a.count = 2500
			return paged(2500, ``)(a)
		}, 0, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := &scim{users: ids("u", test.n), list: test.list}
			got, err := walkUsers(t, server.start(t))
			if codeOf(err) != test.code {
				t.Fatalf("code %s, want %s: %v", codeOf(err), test.code, err)
			}
			if err == nil && !slices.Equal(sorted(got), server.users) {
				t.Errorf("%d of %d users", len(sorted(got)), test.n)
			}
			if asked := server.requests("/Users"); asked > test.most {
				t.Errorf("%d requests, want at most %d", asked, test.most)
			}
			for _, line := range server.asked {
				if strings.Contains(line, "cursor=") && strings.Contains(line, "startIndex") {
					t.Errorf("a cursor and a startIndex in one request: %s", line)
				}
			}
		})
	}
}

// A server that pages by cursors alone refuses a startIndex beyond the first
// page. What it lists in one page is complete without a nextCursor.
func TestAServerOfCursorsAloneMayRefuseIndexes(t *testing.T) {
	for _, test := range []struct {
		rest string
		n    []int
	}{
		{`"totalResults":TOTAL`, []int{0, 1, 2, 49, 50, 51, 99, 100, 101, 250}},
		{``, []int{1, 2, 49, 51, 99, 101, 250}},
	} {
		for _, n := range test.n {
			t.Run(fmt.Sprintf("%d users, %q", n, test.rest), func(t *testing.T) {
				t.Parallel()
				server := &scim{users: ids("u", n), list: paged(100, test.rest)}
				server.other = func(w http.ResponseWriter, r *http.Request) bool {
					if start := r.URL.Query().Get("startIndex"); start == "" || start == "1" {
						return false
					}
					w.WriteHeader(http.StatusBadRequest)
					return true
				}
				got, err := walkUsers(t, server.start(t))
				if err != nil || !slices.Equal(got, server.users) {
					t.Errorf("%d of %d users: %v", len(got), n, err)
				}
			})
		}
	}
}

// Where totalResults counts the page, a refusal of the second one looks like
// that of a server of cursors, and would be taken for the end.
func TestARefusedPageIsNotTheEnd(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{100, 50, 33} {
		for _, total := range []string{`"totalResults":%d`, ``} {
			if limit == 33 && total == "" {
				continue // no client can tell this from a list of 33 rows
			}
			server := &scim{users: ids("u", 150), list: func(a ask) answer {
				rows := a.window(a.start, min(a.count, limit))
				if total == "" {
					return answer{rows, ""}
				}
				return answer{rows, fmt.Sprintf(total, len(rows))}
			}}
			server.other = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("startIndex") == "1" {
					return false
				}
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			got, err := walkUsers(t, server.start(t))
			if codeOf(err) != codes.InvalidArgument {
				t.Errorf("pages of %d, total %q: %d of 150 users, %v", limit, total, len(got), err)
			}
		}
	}
}

// A total that counts no further than to 1,000, or some of the rows alone, is
// no reason to give up a list that has an end.
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

// Rows that are counted and never listed are no change of the directory, for
// which to run again.
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

// A nextCursor may stand for an index: where a row goes, others move up past
// it, and the total says so.
func TestACursorThatIsAnIndexLosesNobodyWhenARowGoes(t *testing.T) {
	t.Parallel()
	for _, gone := range []int{0, 1, 50, 99} {
		server := &scim{users: ids("u", 350), list: paged(100, `"totalResults":TOTAL`)}
		asked := 0
		server.before = func(string, url.Values) {
			if asked++; asked == 2 {
				server.users = slices.Delete(slices.Clone(server.users), gone, gone+1)
			}
		}
		got, err := walkUsers(t, server.start(t))
		have := map[string]bool{}
		for _, id := range got {
			have[id] = true
		}
		for _, id := range server.users {
			if !have[id] {
				t.Errorf("%d gone: %s is lost, %v", gone, id, err)
			}
		}
		if err != nil {
			t.Errorf("%d gone: %v", gone, err)
		}
	}
}

// Frameworks refuse a parameter with 422 where SCIM says 400.
func TestACountThatIsRefusedWith422IsMadeSmaller(t *testing.T) {
	t.Parallel()
	server := &scim{users: ids("u", 250), groups: ids("g", 3), members: map[string][]string{}}
	server.other = func(w http.ResponseWriter, r *http.Request) bool {
		if count := r.URL.Query().Get("count"); count != "101" && !r.URL.Query().Has("excludedAttributes") {
			return false
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		return true
	}
	source := server.start(t)
	if err := source.Check(t.Context()); err != nil {
		t.Error(err)
	}
	got, err := walkUsers(t, source)
	if err != nil || len(sorted(got)) != 250 {
		t.Errorf("%d of 250 users, %v", len(sorted(got)), err)
	}
	groups, err := walkGroups(t, source)
	if err != nil || len(groups) != 3 {
		t.Errorf("%d of 3 groups, %v", len(groups), err)
	}
	if _, err := source.Group(t.Context(), "g00001"); err != nil {
		t.Error(err)
	}
}

// Nothing at all is a truth only where the server states it.
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

// A server that answers everything with the same 100 rows may have exactly so
// many, but most likely it hides the others.
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
		if got, err := walkUsers(t, server.start(t)); err != nil || len(got) != n+1 {
			t.Errorf("%d users: %v", len(got), err)
		}
	}
}

// A vendor's cursor that expired while a checkpoint lay must not stop every
// later run from it.
func TestAnExpiredCursorOfTheVendorBeginsAnew(t *testing.T) {
	server := &scim{users: ids("u", 250), list: paged(100, ``)}
	refused := 0
	server.other = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("cursor") != "after-200" || refused > 0 {
			return false
		}
		refused++
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"status":"400","scimType":"expiredCursor"}`)
		return true
	}
	got, err := walkUsers(t, server.start(t))
	if err != nil || !slices.Equal(sorted(got), server.users) {
		t.Errorf("%d users, %v", len(got), err)
	}
}

// A page is fetched by another process than the one that made its cursor.
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

// One of the rows received last may have been moved to where it is found, so it
// does not tell the place of the page unless it is the very row expected.
func TestOneRowAloneDoesNotTellThePlace(t *testing.T) {
	w := newWalk()
	w.Seen, w.Start, w.Near = 8, 8, []uint64{1, 2, 3, 4, 5, 6, 7, 8}
	for _, test := range []struct {
		ids  []uint64
		want match
	}{
		{[]uint64{8, 20, 21}, aligned},
		{[]uint64{20, 4, 21}, absent},
		{[]uint64{20, 8, 21}, absent},
		{[]uint64{7, 8, 21}, absent},
		{[]uint64{6, 7, 8, 21}, aligned},
		{[]uint64{20, 6, 21, 7, 8}, aligned},
		{[]uint64{8, 7, 6}, aligned},
		{[]uint64{7, 8, 6}, scattered},
		{[]uint64{6, 20, 21, 22, 8}, scattered},
		{[]uint64{20, 21}, absent},
		{nil, absent},
	} {
		if how, _, _ := w.find(test.ids); how != test.want {
			t.Errorf("%v: %d, want %d", test.ids, how, test.want)
		}
	}
}

func TestBackIsBounded(t *testing.T) {
	w := newWalk()
	w.Start, w.Seen, w.Near, w.Total = 90_000, 90_000, []uint64{1, 2, 3}, 100_000
	steps := 0
	for {
		m, err := w.advance([]uint64{100, 101, 102}, 100_000, "")
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
