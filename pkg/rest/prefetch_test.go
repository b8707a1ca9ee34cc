package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

// inProcess is a vendor without a network, for tests in a bubble.
type inProcess struct{ handler http.HandlerFunc }

func (v inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	v.handler(recorder, r)
	answer := recorder.Result()
	answer.ContentLength = int64(recorder.Body.Len())
	return answer, nil
}

// bubbleClient makes a client of a vendor without a network, in a bubble.
func bubbleClient(t *testing.T, handler http.HandlerFunc, change ...func(*Vendor, *Options)) *Client {
	t.Helper()
	return client(t, "https://api.example.com", append(change, func(_ *Vendor, o *Options) { o.Transport = inProcess{handler} })...)
}

func members(group int) Request {
	return Request{Path: []string{"groups", fmt.Sprint(group), "members"}}
}

func page(n int) Request {
	return Request{Path: []string{"Users"}, Query: url.Values{"startIndex": {fmt.Sprint(n)}}}
}

func read(c *Client, r Request) (string, error) {
	return Get(context.Background(), c, r, func(a *Answer) (string, error) { return string(a.Body), nil })
}

// expectRead fails the test unless a request brings a body.
func expectRead(t *testing.T, c *Client, r Request, want string) {
	t.Helper()
	if got, err := read(c, r); err != nil || got != want {
		t.Errorf("%v brings %q, not %q (%v)", r, got, want, err)
	}
}

// numbered answers each request with its number.
func numbered(sent *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, sent.Add(1)) }
}

// TestPrefetchAsksOnce checks that a prefetched answer is used once and costs
// no second request, and that an old one is not used.
func TestPrefetchAsksOnce(t *testing.T) {
	t.Parallel()
	for name, prefetch := range map[string]func(*Client, Request){
		"next": func(c *Client, r Request) { c.Prefetch(context.Background(), r) },
		"idle": func(c *Client, r Request) { c.PrefetchWhenIdle(context.Background(), r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sent atomic.Int32
				c := bubbleClient(t, numbered(&sent))
				for range 3 {
					prefetch(c, page(1))
				}
				synctest.Wait()
				expectRead(t, c, page(1), "1")
				expectRead(t, c, page(1), "2")
				prefetch(c, page(2))
				synctest.Wait()
				time.Sleep(maxIdleAge + time.Second)
				expectRead(t, c, page(2), "4")

				off := bubbleClient(t, numbered(&sent), func(_ *Vendor, o *Options) { o.Prefetch = false })
				prefetch(off, page(1))
				synctest.Wait()
				if n := sent.Load(); n != 4 {
					t.Errorf("%d requests were sent: one where the options forbid it", n)
				}
			})
		})
	}
}

// TestASyncReadsNothingOlderThanItself checks that the second sync of a daemon
// gets fresh answers, even if the first ended before it had taken everything
// that was prefetched: finished answers, answers in progress and queued
// requests.
func TestASyncReadsNothingOlderThanItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		sync, asked := 1, map[string]int{}
		c := bubbleClient(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			now := sync
			asked[r.URL.Path]++
			mu.Unlock()
			if strings.Contains(r.URL.Path, "slow") {
				time.Sleep(time.Minute)
			}
			fmt.Fprintf(w, "of sync %d", now)
		})
		never := func(a *Answer) { t.Errorf("something follows on an answer %s", a.Body) }
		slow := Request{Path: []string{"slow"}}
		c.Prefetch(context.Background(), page(1))
		synctest.Wait()
		c.Prefetch(context.Background(), slow, never)
		for i := range 2 * maxIdleInFlight {
			c.PrefetchWhenIdle(context.Background(), Request{Path: []string{"slow", fmt.Sprint(i)}}, never)
		}
		synctest.Wait()

		c.DropPrefetched()
		mu.Lock()
		sync = 2
		mu.Unlock()
		for _, r := range []Request{page(1), slow, {Path: []string{"slow", "0"}}, {Path: []string{"slow", fmt.Sprint(2*maxIdleInFlight - 1)}}} {
			expectRead(t, c, r, "of sync 2")
		}
		time.Sleep(time.Hour)
		expectRead(t, c, page(1), "of sync 2")
		mu.Lock()
		defer mu.Unlock()
		if n := asked[fmt.Sprint("/slow/", 2*maxIdleInFlight-2)]; n != 0 {
			t.Error("a request that waited was sent after all")
		}
	})
}

// TestPrefetchGoesOn checks that an answer can prefetch the next one before it
// is read, and that a failed one prefetches nothing more and does no harm.
func TestPrefetchGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := bubbleClient(t, func(w http.ResponseWriter, r *http.Request) {
			if sent.Add(1) == 4 {
				w.WriteHeader(500)
			}
			fmt.Fprint(w, r.URL.Query().Get("startIndex"))
		})
		c.Prefetch(context.Background(), page(1), func(*Answer) {
			c.Prefetch(context.Background(), page(2))
			c.PrefetchWhenIdle(context.Background(), page(3))
		})
		synctest.Wait()
		if n := sent.Load(); n != 3 {
			t.Errorf("%d requests were sent", n)
		}
		for i := range 3 {
			expectRead(t, c, page(i+1), fmt.Sprint(i+1))
		}
		c.Prefetch(context.Background(), page(4), func(*Answer) { t.Error("something follows on a failure") })
		synctest.Wait()
		expectRead(t, c, page(4), "4")
		if n := sent.Load(); n != 5 || c.Stats().Retries() != 0 {
			t.Errorf("%d requests were sent, %d retries counted", n, c.Stats().Retries())
		}
	})
}

// TestWhatFollowsIsAskedForBeforeTheAnswerIsRead checks that a Get that waits
// for an answer returns only after the next prefetch has started. Otherwise the
// caller would send the same request, and one of the two answers would never be
// taken.
func TestWhatFollowsIsAskedForBeforeTheAnswerIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := bubbleClient(t, func(_ http.ResponseWriter, _ *http.Request) {
			sent.Add(1)
			time.Sleep(20 * time.Millisecond)
		})
		c.PrefetchWhenIdle(context.Background(), members(1), func(*Answer) {
			time.Sleep(time.Second)
			c.PrefetchWhenIdle(context.Background(), members(2))
		})
		expectRead(t, c, members(1), "")
		expectRead(t, c, members(2), "")
		synctest.Wait()
		time.Sleep(time.Minute)
		if n := sent.Load(); n != 2 {
			t.Errorf("%d requests were sent, not 2", n)
		}
	})
}

// TestAnswersThatNobodyTakesDoNotBlockPrefetch checks that answers that are too old
// make room: otherwise a list that was left early would end prefetch for the others.
func TestAnswersThatNobodyTakesDoNotBlockPrefetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := bubbleClient(t, func(http.ResponseWriter, *http.Request) { sent.Add(1) })
		for i := range maxNext + 1 {
			c.Prefetch(context.Background(), page(i))
		}
		synctest.Wait()
		if n := sent.Load(); n != maxNext {
			t.Fatalf("%d requests were sent, not %d", n, maxNext)
		}
		time.Sleep(maxNextAge + time.Second)
		c.Prefetch(context.Background(), page(maxNext))
		synctest.Wait()
		if n := sent.Load(); n != maxNext+1 {
			t.Errorf("%d requests were sent, not %d", n, maxNext+1)
		}
	})
}

// TestIdlePrefetchYields checks that PrefetchWhenIdle starts nothing while as
// many requests are in flight as a sync has workers, starts at most that many,
// and does not delay the sync's requests.
func TestIdlePrefetchYields(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most, idle atomic.Int32
		c := bubbleClient(t, func(_ http.ResponseWriter, r *http.Request) {
			defer inFlight.Add(-1)
			if n := inFlight.Add(1); n > most.Load() {
				most.Store(n)
			}
			if strings.HasPrefix(r.URL.Path, "/groups") {
				idle.Add(1)
			}
			time.Sleep(20 * time.Millisecond)
		})
		var all sync.WaitGroup
		for worker := range maxIdleInFlight {
			all.Add(1)
			go func() {
				defer all.Done()
				for i := range 10 {
					expectRead(t, c, page(100*worker+i), "")
				}
			}()
		}
		synctest.Wait()
		for i := range 50 {
			c.PrefetchWhenIdle(context.Background(), members(i))
		}
		synctest.Wait()
		if n := idle.Load(); n != 0 {
			t.Errorf("%d requests were sent in the background while all workers were busy", n)
		}
		all.Wait()
		synctest.Wait()
		time.Sleep(time.Second)
		if idle.Load() != 50 || most.Load() > 2*maxIdleInFlight {
			t.Errorf("%d requests were sent in the background, at most %d at a time in all", idle.Load(), most.Load())
		}
		begun := time.Now()
		for i := range 50 {
			expectRead(t, c, members(i), "")
		}
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("prefetched answers took %s", waited)
		}
	})
}

// TestIdlePrefetchIsBounded checks that the memory for waiting answers does not
// grow with the directory, that each answer is read once in the end, and that
// an answer larger than all the room does no harm.
func TestIdlePrefetchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const groups = 5000
		body := strings.Repeat("m", 70_000) // 200 members
		var sent atomic.Int32
		c := bubbleClient(t, func(w http.ResponseWriter, r *http.Request) {
			sent.Add(1)
			if r.URL.Path == "/groups/0/members" {
				fmt.Fprint(w, strings.Repeat("m", maxIdleBytes+1))
				return
			}
			fmt.Fprint(w, body)
		})
		for i := range groups {
			c.PrefetchWhenIdle(context.Background(), members(i))
		}
		synctest.Wait()
		checkHeld := func() {
			c.prefetch.mu.Lock()
			defer c.prefetch.mu.Unlock()
			var sum int64
			for _, e := range c.prefetch.answers {
				if e.answer != nil {
					sum += int64(cap(e.answer.Body))
				}
			}
			if sum > maxIdleBytes || sum > c.prefetch.idle {
				t.Errorf("%d bytes are held, %d counted, at most %d allowed", sum, c.prefetch.idle, maxIdleBytes)
			}
		}
		checkHeld()
		for i := range groups {
			if _, err := read(c, members(groups-1-i)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			checkHeld()
		}
		if n := sent.Load(); n > groups+1 {
			t.Errorf("%d requests were sent for %d groups", n, groups)
		}
		c.prefetch.mu.Lock()
		defer c.prefetch.mu.Unlock()
		if c.prefetch.idle != 0 || c.prefetch.next != 0 || len(c.prefetch.answers)+len(c.prefetch.waiting) != 0 {
			t.Errorf("%d bytes, %d pages, %d answers and %d requests are left", c.prefetch.idle, c.prefetch.next, len(c.prefetch.answers), len(c.prefetch.waiting))
		}
	})
}

// TestPrefetchOfPagesIsBounded checks how many pages may wait.
func TestPrefetchOfPagesIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := bubbleClient(t, numbered(&sent))
		for i := range 3 * maxNext {
			c.Prefetch(context.Background(), page(i))
		}
		synctest.Wait()
		if n := sent.Load(); n != maxNext {
			t.Errorf("%d requests were sent, not %d", n, maxNext)
		}
	})
}

// TestIdlePrefetchStopsAtAFailure checks that after a failure the rest of the
// queue is not sent until the vendor has answered.
func TestIdlePrefetchStopsAtAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		var bad atomic.Bool
		bad.Store(true)
		c := bubbleClient(t, func(w http.ResponseWriter, _ *http.Request) {
			sent.Add(1)
			time.Sleep(time.Millisecond)
			if bad.Load() {
				w.WriteHeader(401)
			}
		})
		for i := range 50 {
			c.PrefetchWhenIdle(context.Background(), members(i))
		}
		time.Sleep(time.Second)
		if n := sent.Load(); n != maxIdleInFlight {
			t.Errorf("%d requests were sent, not %d", n, maxIdleInFlight)
		}
		_, err := read(c, page(1))
		check(t, err, codes.Unauthenticated)
		time.Sleep(time.Second)
		if n := sent.Load(); n != maxIdleInFlight+1 {
			t.Errorf("%d requests were sent, not %d", n, maxIdleInFlight+1)
		}
		bad.Store(false)
		expectRead(t, c, page(1), "")
		time.Sleep(time.Second)
		if n := sent.Load(); n != 52 {
			t.Errorf("%d requests were sent, not 52", n)
		}
	})
}

// TestPrefetchWaitsForALimit checks that nothing is sent in the background
// while the vendor limits requests.
func TestPrefetchWaitsForALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		c := bubbleClient(t, func(w http.ResponseWriter, _ *http.Request) {
			if sent.Add(1) == 1 {
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(429)
			}
		})
		_, err := read(c, page(1))
		check(t, err, codes.Unavailable)
		c.Prefetch(context.Background(), page(1))
		c.PrefetchWhenIdle(context.Background(), members(1))
		synctest.Wait()
		if n := sent.Load(); n != 1 {
			t.Errorf("%d requests were sent during the pause", n-1)
		}
		time.Sleep(30 * time.Second)
		expectRead(t, c, page(1), "")
		synctest.Wait()
		if n := sent.Load(); n != 3 {
			t.Errorf("%d requests were sent, not 3", n)
		}
	})
}
