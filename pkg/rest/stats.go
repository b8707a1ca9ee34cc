package rest

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts a client's requests and reports its waits. It is safe for
// concurrent use. The zero value is ready.
type Stats struct {
	requests, retries, waited atomic.Int64

	mu  sync.Mutex
	now func() time.Time
	// limited is the latest pause of all requests.
	limited wait
	// failed is the latest wait before a repeated request. An answer ends it.
	failed wait
}

// wait is the end of a wait and its reason.
type wait struct {
	until  time.Time
	reason string
}

// Requests returns the number of requests sent.
func (s *Stats) Requests() int64 { return s.requests.Load() }

// Retries returns the number of failures that a retry may heal.
func (s *Stats) Retries() int64 { return s.retries.Load() }

// Waited returns the sum of the pauses that the vendor asked for.
func (s *Stats) Waited() time.Duration { return time.Duration(s.waited.Load()) }

// Waiting returns the time until which requests wait, and the reason: the
// vendor limits them, or is out of reach. The reason is a few words and quotes
// no answer, such as "429 Too Many Requests" or "connection refused". ok is
// false if no request waits.
func (s *Stats) Waiting() (until time.Time, reason string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return time.Time{}, "", false
	}
	now := s.now()
	for _, w := range []wait{s.limited, s.failed} {
		if now.Before(w.until) {
			return w.until, w.reason, true
		}
	}
	return time.Time{}, "", false
}

// waitForLimit records a pause of all requests.
func (s *Stats) waitForLimit(until time.Time, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until.After(s.limited.until) {
		s.limited = wait{until, reason}
	}
}

// waitForRetry records the time at which a failed request is to be repeated.
func (s *Stats) waitForRetry(until time.Time, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until.After(s.failed.until) {
		s.failed = wait{until, reason}
	}
}

// answered records that the vendor is within reach.
func (s *Stats) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = wait{}
}

// setClock sets the clock that Waiting reads.
func (s *Stats) setClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}
