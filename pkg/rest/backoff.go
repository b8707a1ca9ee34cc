package rest

import (
	"sync"
	"time"
)

// maxBackOff is the longest wait before a retry, if the vendor names no time.
const maxBackOff = 30 * time.Second

// backOff is the wait before a retry: a second for each failure since the last
// success. The SDK's own back-off (v0.26.0) grows with each failure of a phase, even
// if requests succeed in between: with one failure in ten, it waited a minute for
// each.
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
