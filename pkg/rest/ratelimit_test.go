package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/simulator"
)

// TestPauseHoldsAllRequestsBack checks that one 429 stops every worker until
// the time that the vendor named, and that the syncer gets that time.
func TestPauseHoldsAllRequestsBack(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if arrived.Add(1) == 1 {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(429)
		}
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	until := now.now().Add(30 * time.Second)
	for range 3 {
		_, err := get(c, "Users")
		check(t, err, codes.Unavailable)
		if got := waitTold(t, err); !got.Equal(until) {
			t.Errorf("told to wait until %s, not %s", got, until)
		}
		now.add(9 * time.Second)
	}
	c.Prefetch(context.Background(), Request{Path: []string{"Users"}})
	if arrived.Load() != 1 {
		t.Errorf("%d requests arrived during the pause", arrived.Load())
	}
	now.add(3 * time.Second)
	if _, err := get(c, "Users"); err != nil {
		t.Error(err)
	}
	if s := c.Stats(); s.Requests() != 2 || s.Retries() != 3 || s.Waited() != 30*time.Second {
		t.Errorf("counted %d requests, %d retries, %s", s.Requests(), s.Retries(), s.Waited())
	}
}

// TestAPauseIsLoggedOnce checks that workers whose requests are refused one
// after the other log one pause, not one each, and that the next pause is
// logged again.
func TestAPauseIsLoggedOnce(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var arrived sync.WaitGroup
	answer := make(chan struct{})
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		<-answer
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
	})
	core, logs := observer.New(zap.WarnLevel)
	ctx := ctxzap.ToContext(context.Background(), zap.New(core))
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	for pause, workers := range []int{4, 2} { // the first pause halves them
		// All requests are sent before the first is refused, and each is
		// refused a little later than the one before.
		arrived.Add(workers)
		refused := make(chan error)
		for range workers {
			go func() { refused <- c.Get(ctx, Request{Path: []string{"Users"}}, func(*Answer) error { return nil }) }()
		}
		arrived.Wait()
		for range workers {
			answer <- struct{}{}
			check(t, <-refused, codes.Unavailable, "429")
			now.add(100 * time.Millisecond)
		}
		if n := logs.Len(); n != pause+1 {
			t.Errorf("%d pauses were logged %d times: %v", pause+1, n, logs.All())
		}
		now.add(time.Minute)
	}
	if waited := c.Stats().Waited(); waited != 2*30*time.Second+(300+100)*time.Millisecond {
		t.Errorf("counted %s", waited)
	}
}

func TestOddLimitHeadersOnAGoodAnswerDoNoHarm(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Limit", "Retry-After"} {
			w.Header().Set(name, "unlimited")
		}
		fmt.Fprint(w, "[]")
	})
	c := client(t, base)
	for range 2 {
		if body, err := get(c, "Users"); body != "[]" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	}
}

func TestRetryAt(t *testing.T) {
	t.Parallel()
	const none = time.Duration(-1)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, header, value string
		want                time.Duration
	}{
		{"seconds", "Retry-After", "30", 30 * time.Second},
		{"seconds with blanks", "Retry-After", " 30 ", 30 * time.Second},
		{"a fraction", "Retry-After", "1.5", 1500 * time.Millisecond},
		{"nothing to wait", "Retry-After", "0", time.Second},
		{"an HTTP date", "Retry-After", "Fri, 02 Jan 2026 03:05:05 GMT", time.Minute},
		{"an RFC 850 date", "Retry-After", "Friday, 02-Jan-26 03:05:05 GMT", time.Minute},
		{"a date gone by", "Retry-After", "Fri, 02 Jan 2026 03:00:00 GMT", time.Second},
		{"RFC 3339", "X-RateLimit-Reset", "2026-01-02T03:05:05Z", time.Minute},
		{"seconds since 1970", "X-RateLimit-Reset", fmt.Sprint(now.Add(time.Minute).Unix()), time.Minute},
		{"milliseconds since 1970", "X-RateLimit-Reset", fmt.Sprint(now.Add(time.Minute).UnixMilli()), time.Minute},
		{"seconds until", "RateLimit-Reset", "45", 45 * time.Second},
		{"words", "Retry-After", "soon", none},
		{"negative", "Retry-After", "-5", none},
		{"not a number", "Retry-After", "NaN", none},
		{"infinite", "Retry-After", "Inf", none},
		{"none", "X-Other", "1", none},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := retryAt(http.Header{http.CanonicalHeaderKey(c.header): {c.value}}, now)
			if c.want == none && !got.IsZero() || c.want != none && got.Sub(now) != c.want {
				t.Errorf("reads %s, not %s from now", got, c.want)
			}
		})
	}
}

// TestParallelRequestsAreHalved checks that a vendor that allows few parallel
// requests is read almost as fast as it allows. A refusal halves the requests
// in flight, which costs one pause instead of a pause for each group.
func TestParallelRequestsAreHalved(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		fault           string
		workers, groups int
		refused         int
		limit           time.Duration
	}{
		{"two-at-a-time", 4, 15, 2, 2500 * time.Millisecond},
		{"two-at-a-time", 4, 40, 2, 2500 * time.Millisecond},
		{"two-at-a-time", 16, 40, 14 + 6 + 2, 15 * time.Second},
		{"three-at-a-time", 4, 15, 1, 2500 * time.Millisecond},
		{"three-at-a-time", 4, 40, 1, 2500 * time.Millisecond},
		{"three-at-a-time", 4, 1000, 6, 15 * time.Second},
	} {
		t.Run(fmt.Sprintf("%s, %d workers, %d groups", row.fault, row.workers, row.groups), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := simulator.NewGuru(simulator.Size{Users: 3, GroupSizes: make([]int, row.groups), WithoutAllMembers: true}, simulator.WithMemory(), simulator.WithFault(row.fault)).Start(t)
				c := guruClient(t, server)
				groups := make(chan string, row.groups)
				for id := range server.Truth().Groups {
					groups <- id
				}
				close(groups)
				begun := time.Now()
				var all sync.WaitGroup
				for range row.workers {
					all.Add(1)
					go func() {
						defer all.Done()
						for id := range groups {
							askUntilAnswered(t, c, "groups", id, "members")
						}
					}()
				}
				all.Wait()
				refused := 0
				for _, r := range server.Requests() {
					if r.Status == http.StatusTooManyRequests {
						refused++
					}
				}
				if took := time.Since(begun); refused > row.refused || took > row.limit {
					t.Errorf("%d requests were refused, not at most %d, and it took %s of the bubble's time, not at most %s", refused, row.refused, took, row.limit)
				}
			})
		})
	}
}

// TestTheBoundOnRequestsInFlight checks the bound: a refusal halves it, once
// for all requests in progress, and answers at the bound raise it.
func TestTheBoundOnRequestsInFlight(t *testing.T) {
	t.Parallel()
	ctx, now := context.Background(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var l rateLimit
	acquire := func() *slot {
		s, err := l.acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	bound := func(want int) {
		t.Helper()
		if l.slots != want {
			t.Errorf("at most %d requests may be in flight, not %d", l.slots, want)
		}
	}

	alone := acquire()
	alone.refused(now, time.Time{})
	alone.release()
	bound(0) // one request cannot be halved
	held := make([]*slot, 8)
	for i := range held {
		held[i] = acquire()
	}
	now = now.Add(time.Minute)
	until, added := held[0].refused(now, time.Time{})
	bound(4)
	if added != 2*firstPause || until != now.Add(2*firstPause) {
		t.Errorf("the second pause in a row is %s, until %s", added, until)
	}
	if again, added := held[1].refused(now.Add(time.Second), time.Time{}); again != until || added != 0 {
		t.Errorf("a request of the same time lengthens the pause by %s, until %s", added, again)
	}
	bound(4)
	for _, s := range held[4:] {
		s.release()
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if s, err := l.acquire(cancelled); s != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("a request beyond the bound: %v", err)
	}
	for range raiseAfter - 1 {
		held[0].succeeded()
	}
	bound(4)
	next := make(chan *slot)
	go func() { next <- acquire() }()
	held[0].succeeded()
	bound(5)
	(<-next).release()
	held[3].release()
	for range 2 * raiseAfter {
		held[0].succeeded() // below the bound this proves nothing
	}
	bound(5)
	if s := l.tryAcquire(3); s != nil {
		t.Error("3 requests are in flight, and a fourth in the background")
	}
	if s := l.tryAcquire(4); s == nil {
		t.Error("no request in the background although a slot is free")
	}
}

// guruClient reads a simulator in memory.
func guruClient(t *testing.T, server *simulator.Guru) *Client {
	t.Helper()
	base, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(server.Email(), server.Token())
	c, err := New(context.Background(), Vendor{Base: base, Authorization: r.Header.Get("Authorization")}, Options{Transport: server.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// askUntilAnswered repeats a request as the syncer does: at the time in the
// error, but after at most a minute.
func askUntilAnswered(t *testing.T, c *Client, path ...string) {
	t.Helper()
	for {
		_, err := get(c, path...)
		if err == nil {
			return
		}
		var e *Error
		if !errors.As(err, &e) || !e.retryable() {
			t.Error(err)
			return
		}
		time.Sleep(min(time.Until(e.RetryAt), time.Minute))
	}
}
