package rudderstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

var errWalk = errors.New("the walk does not end")

// drive walks over a server that is a function, without HTTP. It returns the
// ids in the order of arrival and the number of requests.
func drive(server func(start, count int) (rows []string, total int)) (got []string, requests int, err error) {
	for w := newWalk(); ; {
		if requests++; requests > 200_000 {
			return got, requests, errWalk
		}
		rows, total := server(w.Start, w.count())
		prints := make([]uint64, len(rows))
		for i := range rows {
			prints[i] = directory.Fingerprint(rows[i])
		}
		m, err := w.advance(prints, total, "")
		if err != nil {
			return got, requests, err
		}
		if !m.done && !m.next.valid() {
			return got, requests, fmt.Errorf("an invalid walk: %+v", m.next)
		}
		got = append(got, rows[m.from:m.to]...)
		if w = m.next; m.done {
			return got, requests, nil
		}
	}
}

// window is what RFC 7644, section 3.4.2.4, says of startIndex and count.
func window(all []string, start, count int) []string {
	from := min(max(start, 1)-1, len(all))
	return all[from:min(from+max(count, 0), len(all))]
}

// modelSizes are those at which pages begin and end.
var modelSizes = []int{0, 1, 2, 8, 49, 50, 51, 99, 100, 101, 102, 199, 200, 201, 299, 300, 1000, 1001, 10_000}

// A server that keeps to RFC 7644 is read right, whatever its maximum and the
// length of the list, and in as few requests as can be.
func TestAServerThatKeepsToTheStandardNeverFails(t *testing.T) {
	for _, n := range modelSizes {
		for _, limit := range []int{2, 7, 50, 99, 100, 101, 102, 200, 1000} {
			t.Run(fmt.Sprintf("%d rows, at most %d a page", n, limit), func(t *testing.T) {
				t.Parallel()
				all := ids("u", n)
				got, requests, err := drive(func(start, count int) ([]string, int) {
					return window(all, start, min(count, limit)), len(all)
				})
				if err != nil || !slices.Equal(got, all) {
					t.Fatalf("%d rows of %d: %v", len(got), n, err)
				}
				most := 1
				if n > 1 {
					// The first page, the others with one row of overlap, and one
					// more where the last page is not the shortest.
					most = 2 + n/(min(limit, 101)-1)
				}
				if requests > most {
					t.Errorf("%d requests, want at most %d", requests, most)
				}
			})
		}
	}
}

// RFC 7644 allows fewer rows than asked for, on any page.
func TestPagesOfAnyLengthLoseNobody(t *testing.T) {
	for _, n := range modelSizes {
		for seed := range uint64(20) {
			all := ids("u", n)
			random := rand.New(rand.NewPCG(seed, 3))
			got, _, err := drive(func(start, count int) ([]string, int) {
				return window(all, start, 1+random.IntN(count)), len(all)
			})
			if err != nil || !slices.Equal(got, all) {
				t.Errorf("seed %d: %d rows of %d: %v", seed, len(got), n, err)
			}
		}
	}
}

// Search engines count no further than to a round number. Where that falls on
// the end of a page, the list seems to be complete.
func TestATotalThatStopsCountingEndsNoWalk(t *testing.T) {
	for _, most := range []int{100, 200, 500, 1000, 10_000} {
		for _, limit := range []int{50, 100, 101, 1000} {
			all := ids("u", most+250)
			got, _, err := drive(func(start, count int) ([]string, int) {
				return window(all, start, min(count, limit)), min(len(all), most)
			})
			if err != nil || !slices.Equal(got, all) {
				t.Errorf("a total of at most %d, pages of at most %d: %d rows of %d: %v", most, limit, len(got), len(all), err)
			}
		}
	}
}

// The same where pages cannot overlap.
func TestATotalThatStopsCountingEndsNoWalkOfWholePages(t *testing.T) {
	for _, most := range []int{500, 1000} {
		all := ids("u", most+250)
		got, _, err := drive(func(start, count int) ([]string, int) {
			return window(all, (start-1)/count*count+1, count), most
		})
		if err != nil || !slices.Equal(sorted(got), all) {
			t.Errorf("a total of at most %d: %d rows of %d: %v", most, len(sorted(got)), len(all), err)
		}
	}
}

// A total that has been passed says nothing any more, even if a short page
// follows.
func TestATotalThatIsPassedEndsNoWalk(t *testing.T) {
	all, asked := ids("u", 400), 0
	got, _, err := drive(func(start, _ int) ([]string, int) {
		asked++
		return window(all, start, []int{60, 40}[asked%2]), 5
	})
	if err != nil || !slices.Equal(got, all) {
		t.Errorf("%d rows of %d: %v", len(got), len(all), err)
	}
}

// Where pages cannot overlap, a total that shrinks tells that rows have moved.
func TestRowsThatGoWhilePagesCannotOverlapLoseNobody(t *testing.T) {
	right := 0
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 5))
		all, gone := ids("u", 300+random.IntN(500)), map[string]bool{}
		whole, asked := slices.Clone(all), 0
		got, _, err := drive(func(start, count int) ([]string, int) {
			if asked++; asked%4 == 3 && asked < 20 {
				at := random.IntN(len(all))
				gone[all[at]] = true
				all = slices.Delete(slices.Clone(all), at, at+1)
			}
			return window(all, (start-1)/count*count+1, count), len(all)
		})
		if err != nil {
			continue
		}
		right++
		for _, id := range whole {
			if !gone[id] && !slices.Contains(got, id) {
				t.Errorf("seed %d: %s is lost", seed, id)
			}
		}
	}
	if right < 50 {
		t.Errorf("%d of 100 walks ended", right)
	}
}

// A list by date of change moves a row that is touched to its end, also one of
// those that the walk goes by.
func TestRowsThatMoveToTheEndMisleadNobody(t *testing.T) {
	right := 0
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 6))
		all, gone := ids("u", 101+random.IntN(150)), map[string]bool{}
		whole := slices.Clone(all)
		got, _, err := drive(func(start, count int) ([]string, int) {
			if start > 1 && random.IntN(2) == 0 {
				// One of the rows received last is touched, others go.
				at := min(max(0, start-1-random.IntN(8)), len(all)-1)
				all = append(slices.Delete(slices.Clone(all), at, at+1), all[at])
				for range random.IntN(12) {
					at := random.IntN(min(start, len(all)-1))
					gone[all[at]] = true
					all = slices.Delete(slices.Clone(all), at, at+1)
				}
			}
			return window(all, start, count), len(all)
		})
		if err != nil {
			continue
		}
		right++
		for _, id := range whole {
			if !gone[id] && !slices.Contains(got, id) {
				t.Errorf("seed %d: %s is lost", seed, id)
			}
		}
	}
	if right < 350 {
		t.Errorf("%d of 400 walks ended", right)
	}
}

// A total that counts the page must not end the walk, wherever the server cuts
// its pages off.
func TestATotalOfThePageEndsNoWalk(t *testing.T) {
	for _, n := range modelSizes {
		for _, limit := range []int{2, 7, 16, 20, 25, 32, 33, 50, 64, 99, 100, 101, 128, 1000} {
			all := ids("u", n)
			got, _, err := drive(func(start, count int) ([]string, int) {
				rows := window(all, start, min(count, limit))
				return rows, len(rows)
			})
			if err != nil || !slices.Equal(got, all) {
				t.Errorf("pages of at most %d: %d rows of %d: %v", limit, len(got), n, err)
			}
		}
	}
}

// Rows come and go between any two requests, one at a time or a team at once.
// Whoever was there all along is in the result, or the walk fails, which it may
// do now and then only.
func TestRowsThatComeAndGoLoseNobody(t *testing.T) {
	for _, limit := range []int{50, 100, 101, 1000} {
		for _, stated := range []string{"all", "page", "none"} {
			t.Run(fmt.Sprintf("at most %d a page, total: %s", limit, stated), func(t *testing.T) {
				t.Parallel()
				failed := 0
				const rounds = 150
				for seed := range uint64(rounds) {
					random := rand.New(rand.NewPCG(seed, 4))
					all := ids("u", modelSizes[random.IntN(len(modelSizes)-1)])
					lasting := map[string]bool{}
					for _, id := range all {
						lasting[id] = true
					}
					came := 0
					got, _, err := drive(func(start, count int) ([]string, int) {
						for range random.IntN(3) {
							at, many := random.IntN(len(all)+1), 1
							if random.IntN(12) == 0 {
								many = 1 + random.IntN(150)
							}
							if random.IntN(2) == 0 {
								many = min(many, len(all)-at)
								for _, id := range all[at : at+many] {
									delete(lasting, id)
								}
								all = slices.Delete(slices.Clone(all), at, at+many)
								continue
							}
							for range many {
								came++
								all = slices.Insert(slices.Clone(all), at, fmt.Sprint("new", came))
							}
						}
						rows := window(all, start, min(count, limit))
						return rows, map[string]int{"all": len(all), "page": len(rows), "none": -1}[stated]
					})
					if err != nil {
						failed++
						t.Logf("seed %d: %v", seed, err)
						if errors.Is(err, errWalk) {
							t.Fatal(err)
						}
						continue
					}
					have := map[string]bool{}
					for _, id := range got {
						have[id] = true
					}
					for id := range lasting {
						if !have[id] {
							t.Errorf("seed %d: %s is lost", seed, id)
						}
					}
				}
				t.Logf("%d of %d walks failed", failed, rounds)
				if failed > rounds/6 {
					t.Errorf("%d of %d walks failed", failed, rounds)
				}
			})
		}
	}
}
