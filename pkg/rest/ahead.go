package rest

import (
	"context"
	"sync"
	"time"
)

const (
	// maxAhead bounds the answers that are under way or waiting to be taken.
	maxAhead = 16
	// maxAheadAge is how old an answer may be when it is taken: a page of a
	// directory must not come from long before the rest.
	maxAheadAge = 30 * time.Second
)

// readAhead holds answers that were asked for before they were needed.
type readAhead struct {
	now func() time.Time

	mu      sync.Mutex
	pending map[string]*early
}

type early struct {
	done    chan struct{}
	asked   time.Time
	answer  *Answer
	err     error
	dropped bool // guarded by mu
}

func newReadAhead(now func() time.Time) *readAhead {
	return &readAhead{now: now, pending: map[string]*early{}}
}

// start runs fetch in the background under a key, and then, if it brought a
// good answer that is still wanted, what follows; unless there is enough to do
// already.
func (r *readAhead) start(key string, fetch func() (*Answer, error), then []func(*Answer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for old, e := range r.pending {
		if now.Sub(e.asked) > maxAheadAge {
			delete(r.pending, old)
		}
	}
	if r.pending[key] != nil || len(r.pending) >= maxAhead {
		return
	}
	e := &early{done: make(chan struct{}), asked: now}
	r.pending[key] = e
	go func() {
		defer close(e.done)
		e.answer, e.err = fetch()
		if e.err != nil {
			return
		}
		r.mu.Lock()
		dropped := e.dropped
		r.mu.Unlock()
		if dropped {
			return
		}
		for _, follow := range then {
			follow(e.answer)
		}
	}()
}

// drop forgets everything. What is under way goes nowhere.
func (r *readAhead) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.pending {
		e.dropped = true
	}
	clear(r.pending)
}

// take returns the good answer under a key, waiting for one under way. It
// reports false where there is none to be had.
func (r *readAhead) take(ctx context.Context, key string) (*Answer, bool) {
	r.mu.Lock()
	e := r.pending[key]
	delete(r.pending, key)
	r.mu.Unlock()
	if e == nil || r.now().Sub(e.asked) > maxAheadAge {
		return nil, false
	}
	select {
	case <-e.done:
		return e.answer, e.err == nil
	case <-ctx.Done():
		return nil, false
	}
}
