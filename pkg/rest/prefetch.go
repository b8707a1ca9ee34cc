package rest

import (
	"context"
	"math"
	"net/url"
	"sync"
	"time"
)

const (
	// maxNext bounds the answers to Prefetch that are in progress or not yet
	// taken.
	maxNext = 16
	// maxNextAge is how old an answer to Prefetch may be when it is taken. The
	// pages of one list should be read at about the same time.
	maxNextAge = 30 * time.Second

	// maxIdleInFlight is the number of requests in flight, of all kinds, at which
	// PrefetchWhenIdle starts no more: the default number of a sync's workers.
	maxIdleInFlight = 4
	// maxIdleBytes bounds the answers to PrefetchWhenIdle that are in progress
	// or not yet taken.
	maxIdleBytes = 32 << 20
	// maxIdleQueue bounds the requests that wait to be sent. A request takes a
	// few hundred bytes.
	maxIdleQueue = 10_000
	// maxIdleAge is how old an answer to PrefetchWhenIdle may be when it is taken.
	// DropPrefetched separates two syncs; this second bound is shorter than the
	// time between them.
	maxIdleAge = 15 * time.Minute
	// expireWait is the time between two searches for answers that are too old.
	// There may be thousands, and take checks the one that it returns.
	expireWait = time.Second
	// minIdleBytes is the smallest memory to reserve for an answer.
	minIdleBytes = 16 << 10
)

// Prefetch starts to read r in the background, for a Get of the same request
// that is certain to follow, such as the next page of a list. It does nothing
// if the options forbid it, the vendor limits requests, the last request
// failed, or enough requests are in progress. It reports no failure: the Get
// sends the request again.
//
// Prefetch calls the functions in then with a good answer, before any Get has
// it. They can prefetch the requests that follow from it.
func (c *Client) Prefetch(ctx context.Context, r Request, then ...func(*Answer)) {
	if u := c.prefetchable(r); u != nil {
		c.prefetch.startNext(context.WithoutCancel(ctx), c, queued{u, r.Item, then})
	}
}

// PrefetchWhenIdle is Prefetch for less urgent requests: r waits in a queue until few
// others are in flight and there is memory for its answer. After a failure the queue
// stops until a Get succeeds.
func (c *Client) PrefetchWhenIdle(ctx context.Context, r Request, then ...func(*Answer)) {
	if u := c.prefetchable(r); u != nil {
		c.prefetch.enqueue(queued{u, r.Item, then})
		c.prefetch.startIdle(context.WithoutCancel(ctx), c)
	}
}

// DropPrefetched drops all prefetched answers that were not taken, and those in
// progress. A sync must call it when it begins, so that it reads nothing older
// than itself. Another sync in progress loses some requests and nothing else.
func (c *Client) DropPrefetched() { c.prefetch.drop() }

func (c *Client) prefetchable(r Request) *url.URL {
	if !c.opts.Prefetch {
		return nil
	}
	u, err := c.resolve(r)
	if err != nil {
		return nil // the Get reports it
	}
	return u
}

// prefetch holds the prefetched answers of a client.
type prefetch struct {
	mu      sync.Mutex
	answers map[string]*prefetched
	// next counts the answers to Prefetch, idle the bytes of the answers to
	// PrefetchWhenIdle.
	next int
	idle int64
	// largest is the largest answer to PrefetchWhenIdle so far: the estimate
	// for the next one.
	largest int64
	// queue holds the requests of PrefetchWhenIdle that are not yet sent. waiting
	// lacks those that are no longer wanted.
	queue   []queued
	waiting map[string]bool
	// stopped is set if a request of the queue failed.
	stopped bool
	// searched is when expire last looked for old answers.
	searched time.Time
}

// queued is a request to be sent in the background.
type queued struct {
	url  *url.URL
	item bool
	then []func(*Answer)
}

// prefetched is an answer that is in progress or not yet taken.
type prefetched struct {
	asked  time.Time
	isIdle bool
	// size is the number of bytes of an idle answer; an estimate while it is in
	// progress.
	size int64
	// dropped is set if the answer is no longer wanted.
	dropped bool
	// done is closed when answer and err are set.
	done   chan struct{}
	answer *Answer
	err    error
}

func newPrefetch() *prefetch {
	return &prefetch{answers: map[string]*prefetched{}, waiting: map[string]bool{}, largest: minIdleBytes}
}

// take returns and removes the answer of a URL, and waits for one in progress.
// It reports false if there is no good answer.
func (p *prefetch) take(ctx context.Context, now func() time.Time, key string) (*Answer, bool) {
	p.mu.Lock()
	e := p.answers[key]
	p.remove(key)
	delete(p.waiting, key)
	p.mu.Unlock()
	if e == nil || e.expired(now()) {
		return nil, false
	}
	select {
	case <-e.done:
		return e.answer, e.err == nil
	case <-ctx.Done():
		return nil, false
	}
}

// drop drops all answers and requests.
func (p *prefetch) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, e := range p.answers {
		e.dropped = true
		p.remove(key)
	}
	p.queue = nil
	clear(p.waiting)
}

// resume restarts the queue after a failure.
func (p *prefetch) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = false
}

func (e *prefetched) expired(now time.Time) bool {
	age := now.Sub(e.asked)
	return age > maxIdleAge || !e.isIdle && age > maxNextAge
}

// remove removes the answer of a URL, if there is one.
func (p *prefetch) remove(key string) {
	e := p.answers[key]
	switch {
	case e == nil:
		return
	case e.isIdle:
		p.idle -= e.size
	default:
		p.next--
	}
	delete(p.answers, key)
}

// startNext sends a request of Prefetch, if it may be sent now.
func (p *prefetch) startNext(ctx context.Context, c *Client, q queued) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(c.opts.Now())
	key := q.url.String()
	if p.answers[key] != nil || p.next >= maxNext {
		return
	}
	if slot := c.acquireInBackground(math.MaxInt); slot != nil {
		delete(p.waiting, key)
		p.next++
		p.start(ctx, c, slot, q, &prefetched{})
	}
}

func (p *prefetch) enqueue(q queued) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := q.url.String()
	if p.answers[key] == nil && !p.waiting[key] && len(p.queue) < maxIdleQueue {
		p.queue = append(p.queue, q)
		p.waiting[key] = true
	}
}

// startIdle sends the requests of the queue that may be sent now.
func (p *prefetch) startIdle(ctx context.Context, c *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(c.opts.Now())
	for len(p.queue) > 0 && !p.stopped && (p.idle == 0 || p.idle+p.largest <= maxIdleBytes) {
		q := p.queue[0]
		if !p.waiting[q.url.String()] { // taken or dropped
			p.queue = p.queue[1:]
			continue
		}
		slot := c.acquireInBackground(maxIdleInFlight)
		if slot == nil {
			return
		}
		p.queue = p.queue[1:]
		delete(p.waiting, q.url.String())
		p.idle += p.largest
		p.start(ctx, c, slot, q, &prefetched{isIdle: true, size: p.largest})
	}
}

// expire removes answers that are too old, at most once in expireWait.
func (p *prefetch) expire(now time.Time) {
	if now.Sub(p.searched) < expireWait {
		return
	}
	p.searched = now
	for key, e := range p.answers {
		if e.expired(now) {
			e.dropped = true
			p.remove(key)
		}
	}
}

// start sends a request. If its answer is good and still wanted, it then calls the
// functions in q.then.
func (p *prefetch) start(ctx context.Context, c *Client, slot *slot, q queued, e *prefetched) {
	e.asked, e.done = c.opts.Now(), make(chan struct{})
	p.answers[q.url.String()] = e
	go func() {
		answer, err := c.exchange(ctx, q.url, q.item, slot)
		slot.release()
		if p.finish(q.url.String(), e, answer, err) {
			for _, follow := range q.then {
				follow(answer)
			}
		}
		close(e.done)
		p.startIdle(ctx, c)
	}()
}

// finish stores an answer and reports whether it is good and still wanted.
func (p *prefetch) finish(key string, e *prefetched, answer *Answer, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.answer, e.err = answer, err
	if err != nil {
		p.stopped = p.stopped || e.isIdle
		if p.answers[key] == e {
			p.remove(key) // the Get then sends the request again
		}
		return false
	}
	if e.dropped {
		return false
	}
	if e.isIdle {
		size := int64(cap(answer.Body)) + minIdleBytes/4
		p.largest = max(p.largest, size)
		if p.answers[key] == e { // it was not taken
			p.idle += size - e.size
			e.size = size
			if p.idle > maxIdleBytes && p.idle > size {
				p.remove(key) // it has no room beside the others
			}
		}
	}
	return true
}
