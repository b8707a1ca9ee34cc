package rudderstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// model is a SCIM server without HTTP: a list of rows, and how it pages them.
type model struct {
	// rows are fingerprints of ids in the order of the server.
	rows []uint64
	// key is the server's sort key. Rows with the same key are in another order
	// at each request. nil means that the order is always the same.
	key map[uint64]int
	// windows names the way in which the server reads startIndex; see windows.
	windows string
	// limit is the longest page.
	limit int
	// total names what totalResults counts: the list ("right"), the rows of the
	// page ("page"), or nothing ("none").
	total string
	// before is called ahead of each request with its number from 1.
	before func(m *model, request int)

	random   *rand.Rand
	requests int
}

// windows are ways to read startIndex.
var windows = map[string]func(start, count, rows int) int{
	"plain":   func(start, _, _ int) int { return start },
	"early":   func(start, _, _ int) int { return max(1, start-1) },
	"late":    func(start, _, _ int) int { return start + min(1, start-1) },
	"clamped": func(start, count, rows int) int { return min(start, max(1, rows-count+1)) },
	"wrapped": func(start, _, rows int) int {
		if start > rows {
			return 1
		}
		return start
	},
	// The server rounds down to whole pages, and changes hide rows there.
	"aligned": func(start, count, _ int) int { return (start-1)/count*count + 1 },
}

var windowNames = []string{"plain", "early", "late", "clamped", "wrapped", "aligned"}

func (m *model) answer(start, count int) (ids []uint64, total int) {
	m.requests++
	if m.before != nil {
		m.before(m, m.requests)
	}
	rows := m.rows
	if m.key != nil {
		rows = slices.Clone(rows)
		for i := 0; i < len(rows); {
			j := i + 1
			for j < len(rows) && m.key[rows[j]] == m.key[rows[i]] {
				j++
			}
			tied := rows[i:j]
			m.random.Shuffle(len(tied), func(a, b int) { tied[a], tied[b] = tied[b], tied[a] })
			i = j
		}
	}
	count = min(count, m.limit)
	from := min(windows[m.windows](start, count, len(rows))-1, len(rows))
	ids = rows[from:min(from+count, len(rows))]
	switch m.total {
	case "right":
		return ids, len(rows)
	case "page":
		return ids, len(ids)
	}
	return ids, -1
}

func (m *model) remove(at int) { m.rows = slices.Delete(slices.Clone(m.rows), at, at+1) }

// insert adds a row, which sorts like the one before it.
func (m *model) insert(at int, id uint64) {
	if m.key != nil && len(m.rows) > 0 {
		m.key[id] = m.key[m.rows[max(0, at-1)]]
	}
	m.rows = slices.Insert(slices.Clone(m.rows), at, id)
}

// tie gives neighbouring rows the same key, at most so many.
func (m *model) tie(most int) {
	m.key = map[uint64]int{}
	for i, key := 0, 0; i < len(m.rows); key++ {
		for n := 1 + m.random.IntN(most); n > 0 && i < len(m.rows); n-- {
			m.key[m.rows[i]] = key
			i++
		}
	}
}

// verdict counts how walks ended.
type verdict struct{ right, refused, wrong int }

func (v *verdict) add(o verdict) {
	v.right, v.refused, v.wrong = v.right+o.right, v.refused+o.refused, v.wrong+o.wrong
}

func (v verdict) refusedPercent() float64 {
	return 100 * float64(v.refused) / float64(max(1, v.right+v.refused+v.wrong))
}

func (v verdict) String() string {
	return fmt.Sprintf("right %6d, refused %6d (%5.2f %%), wrong %d", v.right, v.refused, v.refusedPercent(), v.wrong)
}

var errEndless = errors.New("the walk does not end")

// walk reads the list as the source does. Every row that existed throughout
// must be in the result.
func (m *model) walk(t *testing.T) verdict {
	t.Helper()
	missing := map[uint64]bool{}
	for _, id := range m.rows {
		missing[id] = true
	}
	err := m.read(func(ids []uint64) {
		for _, id := range ids {
			delete(missing, id)
		}
	})
	if errors.Is(err, errEndless) {
		t.Errorf("%v: %s windows of %d, total %s, %d rows", err, m.windows, m.limit, m.total, len(m.rows))
	}
	if err != nil {
		return verdict{refused: 1}
	}
	for _, id := range m.rows {
		if missing[id] {
			return verdict{wrong: 1}
		}
	}
	return verdict{right: 1}
}

func (m *model) read(use func(ids []uint64)) error {
	for w := newWalk(); ; {
		if m.requests > 5000 {
			return errEndless
		}
		ids, total := m.answer(w.Start, pageRows)
		step, err := w.advance(ids, total)
		if err != nil {
			return err
		}
		if !step.done && !step.next.valid() {
			return fmt.Errorf("%w: an invalid walk: %+v", errEndless, step.next)
		}
		use(ids[step.from:])
		if w = step.next; step.done {
			return nil
		}
	}
}

func numbers(n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i+1) * 0x9e3779b97f4a7c15
	}
	return out
}

// mostRefused returns the largest percentage of walks that may be refused.
func mostRefused(windows, total string) float64 {
	switch {
	case windows == "aligned":
		return 100 // every list longer than a page must be refused
	case windows == "late":
		return 60 // a short list cannot be told from one that has changed
	case windows == "clamped":
		return 8 // a list of exactly 50 or 100 rows looks cut off at a limit
	case total == "none":
		return 5 // an empty list looks like a failure there
	default:
		return 1
	}
}

// Up to two changes at every position and every time, in short lists with short
// pages.
func TestEveryChangeOfAShortList(t *testing.T) {
	for _, name := range windowNames {
		for _, total := range []string{"right", "page", "none"} {
			var sum verdict
			for _, limit := range []int{4, 5, 6, 7, 10} {
				for n := range 19 {
					walk := func(changes ...func(m *model, request int)) {
						m := &model{rows: numbers(n), windows: name, total: total, limit: limit}
						m.before = func(m *model, request int) {
							for _, change := range changes {
								change(m, request)
							}
						}
						v := m.walk(t)
						sum.add(v)
					}
					walk()
					for request := 2; request <= 9; request++ {
						for at := range n + 1 {
							walk(removal(request, at))
							walk(insertion(request, at, 1))
						}
					}
					if limit != 4 && limit != 6 || n > 10 {
						continue
					}
					for request := 2; request <= 4; request++ {
						for second := request; second <= 5; second++ {
							for at := range n + 1 {
								for at2 := range n + 1 {
									walk(removal(request, at), removal(second, at2))
									walk(removal(request, at), insertion(second, at2, 2))
									walk(insertion(request, at, 1), removal(second, at2))
									walk(insertion(request, at, 1), insertion(second, at2, 2))
								}
							}
						}
					}
				}
			}
			judge(t, name, total, "", sum)
		}
	}
}

func removal(request, at int) func(m *model, now int) {
	return func(m *model, now int) {
		if now == request && at < len(m.rows) {
			m.remove(at)
		}
	}
}

func insertion(request, at int, id uint64) func(m *model, now int) {
	return func(m *model, now int) {
		if now == request {
			m.insert(min(at, len(m.rows)), id)
		}
	}
}

func judge(t *testing.T, windows, total, of string, sum verdict) {
	t.Helper()
	t.Logf("%-7s windows, total %-5s %s: %v", windows, total, of, sum)
	if sum.wrong > 0 {
		t.Errorf("%s windows, total %s%s: %d walks lost rows in silence", windows, total, of, sum.wrong)
	}
	if sum.refusedPercent() > mostRefused(windows, total) {
		t.Errorf("%s windows, total %s%s: %.2f %% of the walks are refused", windows, total, of, sum.refusedPercent())
	}
}

// Up to four changes in lists of real sizes, also of rows that sort alike.
func TestChangesOfARealListAndRowsThatSortAlike(t *testing.T) {
	sizes := []int{1, 2, 5, 6, 8, 20, 49, 50, 51, 95, 99, 100, 101, 102, 150, 195, 196, 200, 201, 250, 300, 500, 1000}
	limits := []int{4, 7, 20, 50, 99, 100, 101, 1000}
	for _, name := range windowNames {
		for _, total := range []string{"right", "page", "none"} {
			for _, ties := range []int{1, 2, 3, 5} {
				var sum verdict
				for changes := range 5 {
					for seed := range uint64(60) {
						random := rand.New(rand.NewPCG(seed, uint64(10*ties+changes))) //nolint:gosec // small numbers
						n, limit := sizes[random.IntN(len(sizes))], limits[random.IntN(len(limits))]
						m := &model{rows: numbers(n), windows: name, total: total, limit: limit, random: random}
						if m.limit/2 < overlapRows {
							n = min(n, 100)
							m.rows = m.rows[:n]
						}
						if m.tie(min(ties, limit/2)); ties == 1 {
							m.key = nil
						}
						when := map[int]int{}
						for range changes {
							when[2+random.IntN(3+n/min(limit, pageRows))]++
						}
						m.before = func(m *model, request int) {
							for ; when[request] > 0; when[request]-- {
								if len(m.rows) > 0 && random.IntN(2) == 0 {
									m.remove(random.IntN(len(m.rows)))
								} else {
									m.insert(random.IntN(len(m.rows)+1), random.Uint64())
								}
							}
						}
						sum.add(m.walk(t))
					}
				}
				judge(t, name, total, fmt.Sprintf(", up to %d alike", ties), sum)
			}
		}
	}
}

// The walk reads a server that follows RFC 7644 correctly, with any maximum and
// any length of the list, in ⌈(n-5)/95⌉+1 requests for pages of 100.
func TestAServerThatKeepsToTheStandardNeverFails(t *testing.T) {
	for _, n := range []int{0, 1, 2, 4, 5, 6, 49, 50, 51, 99, 100, 101, 102, 195, 196, 299, 300, 1000, 1001, 10_000} {
		for _, limit := range []int{4, 7, 50, 99, 100, 101, 1000} {
			m := &model{rows: numbers(n), windows: "plain", total: "right", limit: limit}
			var got []uint64
			if err := m.read(func(ids []uint64) { got = append(got, ids...) }); err != nil || !slices.Equal(got, m.rows) {
				t.Errorf("%d rows, at most %d a page: %d rows, %v", n, limit, len(got), err)
			}
			if limit >= 100 && m.requests != requestsFor(n) {
				t.Errorf("%d rows: %d requests, want %d", n, m.requests, requestsFor(n))
			}
		}
	}
}

// requestsFor returns the number of requests for a list of n rows.
func requestsFor(n int) int {
	if n == 0 {
		return 1
	}
	return max(2, (n-5+94)/95+1)
}

// RFC 7644 allows fewer rows than requested, on any page.
func TestPagesOfAnyLengthLoseNobody(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		m := &model{rows: numbers(random.IntN(2000)), windows: "plain", total: []string{"right", "page", "none"}[seed%3]}
		m.before = func(m *model, _ int) { m.limit = 10 + random.IntN(90) }
		var got []uint64
		if err := m.read(func(ids []uint64) { got = append(got, ids...) }); err != nil || !slices.Equal(got, m.rows) {
			t.Errorf("seed %d: %d rows of %d: %v", seed, len(got), len(m.rows), err)
		}
	}
}

// Rows come and go between any two requests, one at a time or a team at once.
func TestManyChangesLoseNobody(t *testing.T) {
	for _, total := range []string{"right", "page", "none"} {
		var sum verdict
		for seed := range uint64(300) {
			random := rand.New(rand.NewPCG(seed, 4))
			m := &model{rows: numbers(random.IntN(1500)), windows: "plain", total: total, limit: []int{50, 100, 1000}[random.IntN(3)]}
			m.before = func(m *model, _ int) {
				for range random.IntN(3) {
					at, many := random.IntN(len(m.rows)+1), 1
					if random.IntN(12) == 0 {
						many = 1 + random.IntN(150)
					}
					if random.IntN(2) == 0 {
						m.rows = slices.Delete(slices.Clone(m.rows), at, min(at+many, len(m.rows)))
						continue
					}
					for range many {
						m.insert(at, random.Uint64())
					}
				}
			}
			sum.add(m.walk(t))
		}
		if t.Logf("total %-5s %v", total, sum); sum.wrong > 0 || sum.refusedPercent() > 10 {
			t.Errorf("total %s: %v", total, sum)
		}
	}
}

// A list sorted by date of change moves a changed row to its end, even a row
// that the walk uses to find its position.
func TestRowsThatMoveToTheEndMisleadNobody(t *testing.T) {
	var sum verdict
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 6))
		m := &model{rows: numbers(101 + random.IntN(400)), windows: "plain", total: "right", limit: 1000}
		m.before = func(m *model, request int) {
			if request == 1 || random.IntN(2) == 0 {
				return
			}
			at := min(random.IntN(8)+95*(request-1), len(m.rows)-1)
			touched := m.rows[at]
			m.remove(at)
			for range random.IntN(12) {
				m.remove(random.IntN(len(m.rows)))
			}
			m.rows = append(m.rows, touched)
		}
		sum.add(m.walk(t))
	}
	if t.Log(sum); sum.wrong > 0 || sum.refusedPercent() > 5 {
		t.Error(sum)
	}
}

// A server without a stable order cannot be read, but now and then it seems to
// be stable. The total then shows the fault.
func TestAnOrderThatChangesNeverLosesRowsInSilence(t *testing.T) {
	for name, order := range map[string]func(random *rand.Rand, rows []uint64){
		"turned": func(random *rand.Rand, rows []uint64) {
			at := random.IntN(len(rows))
			copy(rows, slices.Concat(rows[at:], rows[:at]))
		},
		"turned a little": func(random *rand.Rand, rows []uint64) {
			at := random.IntN(10)
			copy(rows, slices.Concat(rows[at:], rows[:at]))
		},
		"two orders": func(random *rand.Rand, rows []uint64) {
			if random.IntN(2) == 0 {
				slices.Reverse(rows)
			}
		},
		"shuffled": func(random *rand.Rand, rows []uint64) {
			random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		},
	} {
		var sum verdict
		for seed := range uint64(500) {
			random := rand.New(rand.NewPCG(seed, 2))
			all := numbers(101 + random.IntN(600))
			m := &model{rows: all, windows: "plain", total: "right", limit: 1000}
			m.before = func(m *model, _ int) {
				m.rows = slices.Clone(all)
				order(random, m.rows)
			}
			sum.add(m.walk(t))
		}
		if t.Logf("%-15s %v", name, sum); sum.wrong > 0 {
			t.Errorf("%s: %v", name, sum)
		}
	}
}

// Search engines stop counting at a round number, and some servers count other
// rows. If that number falls on the end of a page, the list seems to be
// complete.
func TestATotalEndsNoWalk(t *testing.T) {
	for _, total := range []int{1, 5, 95, 100, 200, 500, 1000} {
		for _, limit := range []int{50, 100, 1000} {
			all := numbers(total + 250)
			got := 0
			for w := newWalk(); ; {
				m := &model{rows: all, windows: "plain", limit: limit}
				ids, _ := m.answer(w.Start, pageRows)
				step, err := w.advance(ids, total)
				if err != nil {
					t.Fatalf("a total of %d, pages of %d: %v", total, limit, err)
				}
				if got += len(ids) - step.from; step.done {
					break
				}
				w = step.next
			}
			if got != len(all) {
				t.Errorf("a total of %d, pages of %d: %d rows of %d", total, limit, got, len(all))
			}
		}
	}
}

// If there are always fewer rows than stated, some are hidden.
func TestFewerRowsThanStatedFail(t *testing.T) {
	for _, hidden := range []int{1, 50, 200} {
		m := &model{rows: numbers(250), windows: "plain", total: "right", limit: 1000}
		var err error
		for w := newWalk(); err == nil; {
			ids, total := m.answer(w.Start, pageRows)
			var step step
			if step, err = w.advance(ids, total+hidden); step.done {
				break
			}
			w = step.next
		}
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the list ends after 250 rows but states totalResults %d", 250+hidden)) {
			t.Errorf("%d hidden: %v", hidden, err)
		}
		if m.requests > 2*requestsFor(250) {
			t.Errorf("%d hidden: %d requests", hidden, m.requests)
		}
	}
}
