package connector

import (
	"context"
	"sync"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// progressEvery is how often a long sync says how far it is: often enough to
// show that it lives, seldom enough to be read.
const progressEvery = 10 * time.Second

// Counts is what a sync has read so far.
type Counts struct {
	Users       int `json:"users"`
	Disabled    int `json:"disabled"`
	Service     int `json:"service"`
	Groups      int `json:"groups"`
	Memberships int `json:"memberships"`
}

// Tally counts what passes through a connector and says how far a long sync
// is. It is safe for concurrent use; its zero value is ready.
type Tally struct {
	mu     sync.Mutex
	counts Counts
	last   time.Time
}

// Take returns the counts since the last Take and starts anew.
func (t *Tally) Take() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.counts
	t.counts = Counts{}
	return counts
}

func (t *Tally) users(ctx context.Context, page directory.Page[directory.User], first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first { // a sync begins, or begins again
		t.counts.Users, t.counts.Disabled, t.counts.Service = 0, 0, 0
		t.counts.Memberships = 0
	}
	t.counts.Users += len(page.Rows)
	for i := range page.Rows {
		if page.Rows[i].Disabled {
			t.counts.Disabled++
		}
		if page.Rows[i].Service {
			t.counts.Service++
		}
	}
	t.say(ctx, "users", t.counts.Users, page.Total)
}

func (t *Tally) groups(ctx context.Context, page directory.Page[directory.Group], first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first {
		t.counts.Groups = 0
	}
	t.counts.Groups += len(page.Rows)
	t.say(ctx, "groups", t.counts.Groups, page.Total)
}

func (t *Tally) memberships(ctx context.Context, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Memberships += n
	t.say(ctx, "memberships", t.counts.Memberships, 0)
}

// say logs progress, at most once in progressEvery. The first call only
// starts the clock, so that a short sync says nothing.
func (t *Tally) say(ctx context.Context, what string, done, total int) {
	now := time.Now()
	if t.last.IsZero() || now.Sub(t.last) > 6*progressEvery {
		t.last = now
		return
	}
	if now.Sub(t.last) < progressEvery {
		return
	}
	t.last = now
	fields := []zap.Field{zap.String("reading", what), zap.Int("done", done)}
	if total > 0 {
		fields = append(fields, zap.Int("about", total))
	}
	ctxzap.Extract(ctx).Info("sync progress", fields...)
}
