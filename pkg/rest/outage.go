package rest

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// quietPeriod, plus the time that one request may take, is the time without a failure
// that separates two outages. It is longer than the syncer's longest wait between two
// tries (60 s).
const quietPeriod = 4 * time.Minute

// outage decides when retries must end: if no request has succeeded for longer
// than the limit, or if the same request has not, while others have. Without
// the second rule, a request that always fails would be repeated for ever while
// a health check, another sync or another form of the list succeeds.
//
// Waits that the vendor asks for count less. The first one does not count, and
// a single request may be refused for the limit plus maxPause, because calls
// that share a narrow limit may have to take turns for a long time.
type outage struct {
	// limit is the time for which failures may last.
	limit time.Duration
	// quiet is the time without a failure that ends an outage.
	quiet time.Duration

	mu sync.Mutex
	// all is the series of failures of all requests.
	all series
	// asked is the end of the first wait that the vendor asked for in all.
	asked time.Time
	// success is the time of the last success of any request.
	success time.Time
	// requests are the series of failures of single requests.
	requests map[failing]series
}

// series is a sequence of failures without a success between them.
type series struct{ first, last time.Time }

// failing is the key of a series of one request: of all its failures, or of those for
// which the vendor named no time to retry.
type failing struct {
	// url includes the query, because two forms of a list may share a path.
	url   string
	fault bool
}

// giveUp is the reason not to repeat a request.
type giveUp struct {
	// since is the time of the first failure, limit the time for which failures
	// may last.
	since time.Time
	limit time.Duration
	// alone is set if other requests succeeded in the meantime.
	alone bool
}

// ongoing reports whether the last request failed.
func (o *outage) ongoing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.all.first.IsZero()
}

// succeeded records that the request of a URL succeeded.
func (o *outage) succeeded(now time.Time, url string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all, o.asked, o.success = series{}, time.Time{}, now
	delete(o.requests, failing{url, false})
	delete(o.requests, failing{url, true})
}

// failed records a failure of the request of a URL that a retry may heal. It
// returns non-nil if the request must not be repeated. retryAt is the time that
// the vendor named, or zero; a time later than maxPause from now is too late.
func (o *outage) failed(now time.Time, url string, retryAt time.Time) *giveUp {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.all.last) > o.quiet {
		o.all, o.asked = series{}, time.Time{}
	}
	if o.all.first.IsZero() {
		o.all.first = now
	}
	o.all.last = now
	if o.asked.IsZero() && retryAt.After(now) {
		o.asked = retryAt
	}
	start := o.all.first
	if o.asked.After(start) {
		start = o.asked
	}
	first, firstFault := o.add(now, failing{url, false}), now
	if retryAt.IsZero() {
		firstFault = o.add(now, failing{url, true})
	}
	// One success soon after the beginning proves nothing: the request may have
	// been in progress when the outage began.
	alone := now.Sub(o.success) < o.limit/2
	switch {
	case now.Sub(start) > o.limit, retryAt.Sub(now) > maxPause:
		return &giveUp{since: o.all.first, limit: o.limit}
	case now.Sub(firstFault) > o.limit:
		return &giveUp{since: firstFault, limit: o.limit, alone: alone}
	case now.Sub(first) > o.limit+maxPause:
		return &giveUp{since: first, limit: o.limit + maxPause, alone: alone}
	}
	return nil
}

// add adds a failure to a series and returns the beginning of the series. It drops
// series that a quiet period has ended.
func (o *outage) add(now time.Time, key failing) time.Time {
	for other, s := range o.requests {
		if now.Sub(s.last) > o.quiet {
			delete(o.requests, other)
		}
	}
	s, known := o.requests[key]
	if !known {
		s.first = now
		if o.requests == nil {
			o.requests = map[failing]series{}
		}
	}
	s.last = now
	o.requests[key] = s
	return s.first
}

// end turns the last failure into the error that ends the sync: Aborted, with the
// reason.
func (g *giveUp) end(last *Error, now time.Time) *Error {
	e := *last
	e.Code, e.RetryAt = codes.Aborted, time.Time{}
	if e.What == notSent {
		e.What = notSent + ", as the vendor has asked for a pause"
	}
	since := g.since.UTC().Format(time.RFC3339)
	switch {
	case last.RetryAt.Sub(now) > maxPause:
		e.Advice = Advice{
			Cause: fmt.Sprintf("the vendor asked for a pause until %s, longer than a sync waits (%s)", last.RetryAt.UTC().Format(time.RFC3339), maxPause),
			Next:  "run the sync again after that",
		}
	case g.alone:
		e.Advice = Advice{
			Cause: fmt.Sprintf("no good answer since %s (limit %s) to this request, while others were answered", since, g.limit),
			Next:  "run the sync again; if it fails again, report this message to the vendor",
		}
	default:
		e.Outage = true
		e.Advice = Advice{
			Cause: fmt.Sprintf("no good answer since %s (limit %s)", since, g.limit),
			Next:  "run the sync again when the vendor is back",
		}
	}
	return &e
}
