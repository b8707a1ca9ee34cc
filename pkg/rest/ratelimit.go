package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// firstPause is the pause after a 429 that names no time. Each further 429
	// without a success in between doubles it.
	firstPause = 2 * time.Second
	// longestPause is the limit of the doubling.
	longestPause = 32 * time.Second
	// minPause is the shortest pause: clocks differ.
	minPause = time.Second
	// maxPause is the longest pause that a sync waits for. If the vendor asks for
	// a longer one, the sync ends.
	maxPause = time.Hour
	// raiseAfter is the number of answers at the limit that raise it by one.
	raiseAfter = 100
)

// rateLimit keeps requests within the vendor's limit, as far as its answers
// show. A refusal (429) pauses all requests and halves the number that may be
// in flight. Good answers raise that number again, one by one. There is no
// bound until the first refusal.
type rateLimit struct {
	mu sync.Mutex
	// until is the time from which requests may be sent again.
	until time.Time
	// inFlight counts the requests with a slot, at most slots; 0 slots mean no
	// bound.
	inFlight, slots int
	// waiting are the requests without a slot, oldest first. Closing its channel
	// gives a request a slot.
	waiting []chan struct{}
	// refusals counts the pauses. If a request was sent before the latest pause,
	// its refusal belongs to that pause.
	refusals int
	// inRow counts the pauses since the last good answer.
	inRow int
	// answers counts good answers at the limit since it last changed.
	answers int
}

// slot allows one request to be in flight.
type slot struct {
	limit *rateLimit
	// refusals is rateLimit.refusals when the slot was taken.
	refusals int
}

// paused returns the end of the pause; ok is false if there is none.
func (l *rateLimit) paused(now time.Time) (until time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until, now.Before(l.until)
}

// acquire waits for a slot. It fails only with the context's error.
func (l *rateLimit) acquire(ctx context.Context) (*slot, error) {
	l.mu.Lock()
	if l.free() {
		defer l.mu.Unlock()
		return l.take(), nil
	}
	ready := make(chan struct{})
	l.waiting = append(l.waiting, ready)
	l.mu.Unlock()
	select {
	case <-ready:
		l.mu.Lock()
		defer l.mu.Unlock()
		return &slot{l, l.refusals}, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.waiting {
		if l.waiting[i] == ready {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return nil, ctx.Err()
		}
	}
	l.inFlight-- // it was given a slot at the same moment
	l.admit()
	return nil, ctx.Err()
}

// tryAcquire returns a slot if one is free and fewer than most requests are in
// flight, else nil.
func (l *rateLimit) tryAcquire(most int) *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight >= most || !l.free() {
		return nil
	}
	return l.take()
}

func (l *rateLimit) free() bool {
	return l.slots == 0 || l.inFlight < l.slots && len(l.waiting) == 0
}

func (l *rateLimit) take() *slot {
	l.inFlight++
	return &slot{l, l.refusals}
}

// admit gives free slots to waiting requests.
func (l *rateLimit) admit() {
	for len(l.waiting) > 0 && l.inFlight < l.slots {
		l.inFlight++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}

// release gives the slot back.
func (s *slot) release() {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.limit.inFlight--
	s.limit.admit()
}

// succeeded records a good answer. The slot is still held.
func (s *slot) succeeded() {
	l := s.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inRow = 0
	if l.slots == 0 || l.inFlight < l.slots {
		return
	}
	if l.answers++; l.answers >= raiseAfter {
		l.slots, l.answers = l.slots+1, 0
		l.admit()
	}
}

// refused records a refusal that asks for a pause until a time, or zero if it
// names none. It returns the end of the pause, and how much later that is than
// before. The slot is still held.
//
// A pause longer than maxPause does not pause other requests: it ends the sync
// that received it, and the next sync tries again.
func (s *slot) refused(now, until time.Time) (time.Time, time.Duration) {
	l := s.limit
	l.mu.Lock()
	defer l.mu.Unlock()
	same := s.refusals != l.refusals // a pause has begun since it was sent
	if !same {
		l.refusals++
		l.inRow++
		if l.inFlight > 1 {
			l.slots, l.answers = l.inFlight/2, 0
		}
	}
	switch {
	case !until.IsZero():
	case same && now.Before(l.until):
		until = l.until
	default:
		until = now.Add(min(firstPause<<min(l.inRow-1, 10), longestPause))
	}
	from := now
	if l.until.After(from) {
		from = l.until
	}
	if !until.After(from) || until.Sub(now) > maxPause {
		return until, 0
	}
	l.until = until
	return until, until.Sub(from)
}

// retryAt returns the time to retry from a header: from Retry-After, in seconds or as
// an HTTP date (RFC 9110, section 10.2.3), else from the reset headers that vendors
// use, in seconds from now or since 1970. It skips values that it cannot read, and
// returns the zero time if there is no other.
func retryAt(h http.Header, now time.Time) time.Time {
	for _, name := range []string{"Retry-After", "RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"} {
		value := strings.TrimSpace(h.Get(name))
		if value == "" {
			continue
		}
		if t, err := http.ParseTime(value); err == nil {
			return atLeast(t, now)
		}
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return atLeast(t, now)
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil || !(seconds >= 0 && seconds < 1e13) { // which NaN is not either
			continue
		}
		const year = 365 * 24 * 3600
		if seconds > 1000*30*year { // milliseconds since 1970
			seconds /= 1000
		}
		if seconds > 30*year { // seconds since 1970
			return atLeast(time.UnixMilli(int64(seconds*1000)), now)
		}
		return atLeast(now.Add(time.Duration(seconds*float64(time.Second))), now)
	}
	return time.Time{}
}

// atLeast returns t, or minPause from now if that is later.
func atLeast(t, now time.Time) time.Time {
	if soon := now.Add(minPause); t.Before(soon) {
		return soon
	}
	return t
}
