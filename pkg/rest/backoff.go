package rest

import (
	"sync"
	"time"
)

// maxBackOff is the longest wait before a request is repeated, where the
// vendor names no time.
const maxBackOff = 30 * time.Second

// backOff says how long to wait before a request that failed is repeated: a
// second for each failure since the last success. The SDK has a back-off of its
// own (v0.26.0), but that grows with each failure of a whole phase, whatever
// succeeds in between: one failure in ten had it wait a minute for each.
type backOff struct {
	// quiet is the time without a failure after which the wait starts over.
	quiet time.Duration

	mu       sync.Mutex
	failures int
	last     time.Time
}

// failed records a failure and returns how long to wait.
func (b *backOff) failed(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.last) > b.quiet {
		b.failures = 0
	}
	b.failures++
	b.last = now
	return min(time.Duration(b.failures)*time.Second, maxBackOff)
}

// succeeded records a success.
func (b *backOff) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
}
