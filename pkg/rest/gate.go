package rest

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// defaultPause is the wait after a 429 that does not say how long.
	defaultPause = 10 * time.Second
	// minPause is the shortest wait: clocks differ.
	minPause = time.Second
	// maxBackOff is the longest wait between two tries where the vendor says
	// nothing.
	maxBackOff = 30 * time.Second
	// maxPause is the longest wait that a sync takes part in. A vendor that
	// asks for more is better asked by another run.
	maxPause = time.Hour
	// calm is how long no failure may be seen for the next one to count as a
	// new outage, besides the time that one request may take. It is longer
	// than the syncer's longest wait (60 s).
	calm = 4 * time.Minute
)

// gate holds all requests back while the vendor asks for a pause, and knows
// since when nothing has succeeded, at all and at each place.
type gate struct {
	limit time.Duration
	// calm is how long no failure may be seen for the next one to count as a
	// new outage.
	calm time.Duration

	mu    sync.Mutex
	until time.Time // no request before
	since time.Time // first failure since the last success
	last  time.Time // latest failure
	grace time.Time // end of the first pause of this outage
	fails int       // failures since the last success
	good  time.Time // last success
	// places are the URLs that have not been read since a failure. Other calls
	// may succeed all the while: those of another sync, say, or a health check.
	places map[place]streak
}

// place is a URL, for all failures there or for those alone for which the
// vendor named no time.
type place struct {
	url   string
	fault bool
}

// impatience is why a failure is the last: since when nothing succeeded, for
// longer than the limit, at all or at one URL while others were read.
type impatience struct {
	since time.Time
	limit time.Duration
	here  bool
}

// streak is a row of failures.
type streak struct{ since, last time.Time }

// blocked says whether requests must wait, and until when.
func (g *gate) blocked(now time.Time) (time.Time, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until, now.Before(g.until)
}

// troubled says whether the last request failed.
func (g *gate) troubled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.since.IsZero()
}

// pause holds requests back until a time and returns by how much that
// lengthens the wait. A pause longer than a sync waits holds nobody back: the
// sync ends, and the next asks again.
func (g *gate) pause(now, until time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := now
	if g.until.After(from) {
		from = g.until
	}
	if !until.After(from) || until.Sub(now) > maxPause {
		return 0
	}
	g.until = until
	return until.Sub(from)
}

// healed notes a success at a URL.
func (g *gate) healed(now time.Time, url string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.since, g.last, g.grace, g.fails, g.good = time.Time{}, time.Time{}, time.Time{}, 0, now
	delete(g.places, place{url, false})
	delete(g.places, place{url, true})
}

// failed records a failure at a URL that a retry may heal, and returns the end
// of patience with it, nil for more patience. The first wait that the vendor
// asked for does not count, up to maxPause; one beyond it is too long at once.
//
// A failure also counts at its URL alone, up to maxPause longer where the
// vendor names times: where many calls share a narrow limit, one of them may
// wait for long.
func (g *gate) failed(now time.Time, url string, retryAt time.Time) *impatience {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.since.IsZero() || now.Sub(g.last) > g.calm {
		g.since, g.grace, g.fails = now, time.Time{}, 0
	}
	g.last = now
	g.fails++
	if g.grace.IsZero() && retryAt.After(now) {
		g.grace = retryAt
	}
	start := g.since
	if g.grace.After(start) {
		start = g.grace
	}
	here, fault := g.at(now, place{url, false}), now
	if retryAt.IsZero() {
		fault = g.at(now, place{url, true})
	}
	// An answer that was under way when an outage began says nothing of it.
	others := now.Sub(g.good) < g.limit/2
	switch {
	case now.Sub(start) > g.limit, retryAt.Sub(now) > maxPause:
		return &impatience{since: g.since, limit: g.limit}
	case now.Sub(fault) > g.limit:
		return &impatience{since: fault, limit: g.limit, here: others}
	case now.Sub(here) > g.limit+maxPause:
		return &impatience{since: here, limit: g.limit + maxPause, here: others}
	}
	return nil
}

// at notes a failure at a place and says since when nothing succeeded there.
func (g *gate) at(now time.Time, at place) time.Time {
	for other, s := range g.places {
		if now.Sub(s.last) > g.calm {
			delete(g.places, other)
		}
	}
	s, known := g.places[at]
	if !known {
		s.since = now
		if g.places == nil {
			g.places = map[place]streak{}
		}
	}
	s.last = now
	g.places[at] = s
	return s.since
}

// backOff is how long one call had better wait after a failure for which the
// vendor named no time. The SDK's own back-off (v0.26.0) grows by a second with
// each failure of a whole phase, whatever succeeded in between: one failure in
// ten had it wait a minute for each.
func (g *gate) backOff() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return min(time.Duration(g.fails)*time.Second, maxBackOff)
}

// retryAt reads when to ask again: Retry-After as seconds or as an HTTP date
// (RFC 9110, section 10.2.3), else the reset headers that vendors use, as
// seconds from now or since 1970. What cannot be read is passed over.
func retryAt(h http.Header, now time.Time) time.Time {
	for _, name := range []string{"Retry-After", "RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"} {
		value := strings.TrimSpace(h.Get(name))
		if value == "" {
			continue
		}
		if t, err := http.ParseTime(value); err == nil {
			return later(t, now)
		}
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return later(t, now)
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
			return later(time.UnixMilli(int64(seconds*1000)), now)
		}
		return later(now.Add(time.Duration(seconds*float64(time.Second))), now)
	}
	return now.Add(defaultPause)
}

// later is t, but at least minPause from now.
func later(t, now time.Time) time.Time {
	if soon := now.Add(minPause); t.Before(soon) {
		return soon
	}
	return t
}
