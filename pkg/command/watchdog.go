package command

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// stallLimit is the time for which a sync may make no progress, in addition to
// the time that one request may take. The store's longest work without a call,
// at 1,000,000 memberships, takes seconds. Tests set it.
var stallLimit = 15 * time.Minute

// exitStalled is the exit code of a sync without progress. gRPC's codes end at
// 16.
const exitStalled = 17

// watchdog detects a sync without progress: no request to the vendor, no call of
// the syncer, and no announced wait.
type watchdog struct {
	limit time.Duration
	now   func() time.Time
	// steps counts the syncer's calls.
	steps atomic.Int64
	// client is set when the connector has been made.
	client atomic.Pointer[connected]
}

// step records progress.
func (w *watchdog) step() { w.steps.Add(1) }

// watch returns a channel that is closed when there was no progress for the
// limit. It stops with the context.
func (w *watchdog) watch(ctx context.Context) <-chan struct{} {
	stalled := make(chan struct{})
	go func() {
		ticker := time.NewTicker(w.limit / 100)
		defer ticker.Stop()
		last, since := int64(-1), w.now()
		for {
			if steps, waits := w.progress(); waits || steps != last {
				last, since = steps, w.now()
			} else if w.now().Sub(since) >= w.limit {
				close(stalled)
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return stalled
}

// progress counts the requests and calls so far, and reports whether the sync
// waits because the vendor limits requests or is out of reach.
func (w *watchdog) progress() (steps int64, waits bool) {
	steps = w.steps.Load()
	if c := w.client.Load(); c != nil {
		steps += c.stats.Requests()
		_, _, waits = c.stats.Waiting()
	}
	return steps, waits
}

// doing describes the last activity of the sync in a few words.
func (w *watchdog) doing() string {
	if c := w.client.Load(); c != nil {
		if p := c.counter.Progress(); p.Reading != "" {
			return progressText(p, 0)
		}
	}
	return "nothing was read yet"
}

// stalled is the failure of a run that makes no progress.
func (p *program[T]) stalled(w *watchdog) *failure {
	return &failure{code: exitStalled, line: fmt.Sprintf(
		"%s: no progress for %s (%s): no request and no call of the syncer; %s is unchanged; run it again with --log-level debug, and report what it says",
		p.info.Name, w.limit, w.doing(), p.v.GetString("file"))}
}
