package rest

import (
	"context"
	"math"
	"net/url"
	"sync"
	"time"
)

const (
	// maxNext bounds the answers to Prefetch that are under way or waiting to
	// be taken.
	maxNext = 16
	// maxNextAge is how old an answer to Prefetch may be when it is taken: the
	// pages of one list should not be read at very different times.
	maxNextAge = 30 * time.Second

	// maxIdleInFlight is the number of requests in flight, of all kinds, from
	// which PrefetchWhenIdle starts none: as many as a sync has workers by
	// default.
	maxIdleInFlight = 4
	// maxIdleBytes bounds the answers to PrefetchWhenIdle that are under way or
	// waiting to be taken.
	maxIdleBytes = 32 << 20
	// maxIdleQueue bounds the requests that wait to be sent. A request is some
	// hundred bytes.
	maxIdleQueue = 10_000
	// maxIdleAge is how old an answer to PrefetchWhenIdle may be when it is
	// taken. DropPrefetched is what keeps one sync's answers from the next;
	// this is a second bound, shorter than the time between two syncs.
	maxIdleAge = 15 * time.Minute
	// minIdleBytes is what an answer is expected to need at least, its header
	// included.
	minIdleBytes = 16 << 10
)

// Prefetch starts to read r in the background if a later Get of the same
// request is certain, such as that of a list's next page. It does nothing if
// the options forbid it, if the vendor limits requests or the last one failed,
// or if enough is under way. A failure shows nowhere: the later Get asks again.
//
// The functions in then are called with a good answer before any Get has it,
// so that they can prefetch what it leads to.
func (c *Client) Prefetch(ctx context.Context, r Request, then ...func(*Answer)) {
	if u := c.prefetchable(r); u != nil {
		c.prefetch.startNext(c, context.WithoutCancel(ctx), queued{u, r.Item, then})
	}
}

// PrefetchWhenIdle is like Prefetch for requests that are less urgent: r waits
// in a queue until few others are in flight and there is room for its answer.
// A failure stops the queue until the next Get that succeeds.
func (c *Client) PrefetchWhenIdle(ctx context.Context, r Request, then ...func(*Answer)) {
	if u := c.prefetchable(r); u != nil {
		c.prefetch.enqueue(queued{u, r.Item, then})
		c.prefetch.startIdle(c, context.WithoutCancel(ctx))
	}
}

// DropPrefetched forgets all that was prefetched and not taken, answers under
// way included. A sync that begins must call it, so that it reads nothing that
// is older than itself. It costs a sync under way some requests and nothing
// else.
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

// prefetch holds answers that were asked for before they were needed.
type prefetch struct {
	mu      sync.Mutex
	answers map[string]*prefetched
	// next counts the answers to Prefetch, idle the bytes of those to
	// PrefetchWhenIdle.
	next int
	idle int64
	// largest is the largest of the latter so far: what another may need.
	largest int64
	// queue holds the requests of PrefetchWhenIdle that are not sent yet.
	// Those that are no longer wanted are missing in waiting.
	queue   []queued
	waiting map[string]bool
	// stopped says that a request of the queue failed.
	stopped bool
}

// queued is a request to be sent in the background.
type queued struct {
	url  *url.URL
	item bool
	then []func(*Answer)
}

// prefetched is an answer under way or waiting to be taken.
type prefetched struct {
	asked  time.Time
	isIdle bool
	// size is the number of bytes of an idle answer, an estimate until it is
	// there.
	size int64
	// dropped says that nobody wants the answer any more.
	dropped bool
	// done is closed when answer and err are set.
	done   chan struct{}
	answer *Answer
	err    error
}

func newPrefetch() *prefetch {
	return &prefetch{answers: map[string]*prefetched{}, waiting: map[string]bool{}, largest: minIdleBytes}
}

// take returns the good answer of a URL, waiting for one under way. It reports
// false if there is none.
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

// drop forgets everything.
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

// resume goes on with the queue after a failure.
func (p *prefetch) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = false
}

func (e *prefetched) expired(now time.Time) bool {
	age := now.Sub(e.asked)
	return age > maxIdleAge || !e.isIdle && age > maxNextAge
}

// remove removes an answer from the books, if there is one.
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
func (p *prefetch) startNext(c *Client, ctx context.Context, q queued) {
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
		p.start(c, ctx, slot, q, &prefetched{})
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

// startIdle sends the requests of the queue that may be sent now. It is called
// whenever that may have become possible.
func (p *prefetch) startIdle(c *Client, ctx context.Context) {
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
		p.start(c, ctx, slot, q, &prefetched{isIdle: true, size: p.largest})
	}
}

// expire removes what is too old to be taken.
func (p *prefetch) expire(now time.Time) {
	for key, e := range p.answers {
		if e.expired(now) {
			e.dropped = true
			p.remove(key)
		}
	}
}

// start sends a request and then, if its answer is good and still wanted, calls
// what follows.
func (p *prefetch) start(c *Client, ctx context.Context, slot *slot, q queued, e *prefetched) {
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
		p.startIdle(c, ctx)
	}()
}

// finish stores an answer and says whether it is good and still wanted.
func (p *prefetch) finish(key string, e *prefetched, answer *Answer, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.answer, e.err = answer, err
	if err != nil {
		p.stopped = p.stopped || e.isIdle
		if p.answers[key] == e {
			p.remove(key) // so that the Get asks again
		}
		return false
	}
	if e.dropped {
		return false
	}
	if e.isIdle {
		size := int64(cap(answer.Body)) + minIdleBytes/4
		p.largest = max(p.largest, size)
		if p.answers[key] == e { // nobody has taken it
			p.idle += size - e.size
			e.size = size
			if p.idle > maxIdleBytes && p.idle > size {
				p.remove(key) // there is no room beside the others
			}
		}
	}
	return true
}
