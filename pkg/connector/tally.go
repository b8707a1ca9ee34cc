package connector

import (
	"context"
	"strconv"
	"sync"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	rs "github.com/conductorone/baton-sdk/pkg/types/resource"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

const (
	// progressEvery is how often a long sync says how far it is: often enough
	// to show that it lives, seldom enough to be read.
	progressEvery = 10 * time.Second
	// maxTallied bounds how many syncs are counted at a time. A failed sync is
	// never taken; a daemon that sees many must not remember them all.
	maxTallied = 16
)

// Counts is what a sync has read so far.
type Counts struct {
	Users       int `json:"users"`
	Disabled    int `json:"disabled"`
	Service     int `json:"service"`
	Groups      int `json:"groups"`
	Memberships int `json:"memberships"`
}

// Add counts a resource as this package makes them of users and groups.
func (c *Counts) Add(resource *v2.Resource) {
	switch resource.GetId().GetResourceType() {
	case groupType.GetId():
		c.Groups++
	case userType.GetId():
		c.Users++
		if resource.GetStatus().GetStatus() == v2.Status_RESOURCE_STATUS_DISABLED {
			c.Disabled++
		}
		if trait, err := rs.GetUserTrait(resource); err == nil && trait.GetAccountType() == v2.UserTrait_ACCOUNT_TYPE_SERVICE {
			c.Service++
		}
	}
}

// Tally counts what passes through a connector, sync by sync, and says how
// far a long one is. Syncs may overlap. One that was begun by another process
// is counted from where this one took over. A Tally is safe for concurrent
// use; its zero value is ready.
type Tally struct {
	// Now is the clock; nil for time.Now.
	Now func() time.Time

	mu    sync.Mutex
	syncs map[string]*running
}

// Progress is how far a sync is in what it reads now.
type Progress struct {
	// Reading is users, groups or memberships; empty before the first page.
	Reading string
	// Done is how many were read; Total is the vendor's own count, 0 where it
	// states none.
	Done, Total int
	// Since is when the first page was asked for.
	Since time.Time
}

// Progress returns how far the sync is that read something last.
func (t *Tally) Progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last *running
	for _, sync := range t.syncs {
		if last == nil || sync.seen.After(last.seen) {
			last = sync
		}
	}
	if last == nil {
		return Progress{}
	}
	return last.progress
}

// running is a sync under way.
type running struct {
	counts   Counts
	progress Progress
	// seen is when it last read something, said when it last said so.
	seen, said time.Time
}

// Take returns what the sync has read and forgets it.
func (t *Tally) Take(syncID string) Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	sync, ok := t.syncs[syncID]
	if !ok {
		return Counts{}
	}
	delete(t.syncs, syncID)
	return sync.counts
}

func (t *Tally) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

func (t *Tally) users(ctx context.Context, syncID string, page directory.Page[directory.User], first bool) {
	t.add(ctx, syncID, "users", page.Total, func(counts *Counts) int {
		if first { // the sync begins, or begins again
			counts.Users, counts.Disabled, counts.Service = 0, 0, 0
		}
		counts.Users += len(page.Rows)
		for i := range page.Rows {
			if page.Rows[i].Disabled {
				counts.Disabled++
			}
			if page.Rows[i].Service {
				counts.Service++
			}
		}
		return counts.Users
	})
}

func (t *Tally) groups(ctx context.Context, syncID string, page directory.Page[directory.Group], first bool) {
	t.add(ctx, syncID, "groups", page.Total, func(counts *Counts) int {
		if first { // memberships are read after groups
			counts.Groups, counts.Memberships = 0, 0
		}
		counts.Groups += len(page.Rows)
		return counts.Groups
	})
}

func (t *Tally) memberships(ctx context.Context, syncID string, n int) {
	t.add(ctx, syncID, "memberships", 0, func(counts *Counts) int {
		counts.Memberships += n
		return counts.Memberships
	})
}

// add counts what was read and logs progress, at most once in progressEvery.
// A sync's first call only starts its clock, so that a short one says nothing.
func (t *Tally) add(ctx context.Context, syncID, what string, total int, count func(*Counts) int) {
	t.mu.Lock()
	sync, known := t.syncs[syncID]
	if !known {
		sync = t.begin(syncID, t.now())
	}
	done := count(&sync.counts)
	if sync.progress.Reading != what {
		sync.progress = Progress{Reading: what, Since: sync.seen}
	}
	sync.progress.Done, sync.progress.Total = done, total
	sync.seen = t.now()
	due := sync.seen.Sub(sync.said) >= progressEvery
	if due {
		sync.said = sync.seen
	}
	t.mu.Unlock()
	if !due {
		return
	}
	text := what + " " + Thousands(done)
	fields := []zap.Field{zap.String("reading", what), zap.Int("done", done), zap.String("sync_id", syncID)}
	if total >= done {
		text += " of about " + Thousands(total)
		fields = append(fields, zap.Int("about", total))
	}
	ctxzap.Extract(ctx).Info("sync progress: "+text, fields...)
}

// begin makes room for a sync, at the cost of the one that has read nothing
// for longest.
func (t *Tally) begin(syncID string, now time.Time) *running {
	if t.syncs == nil {
		t.syncs = map[string]*running{}
	}
	for len(t.syncs) >= maxTallied {
		oldest := ""
		for id, sync := range t.syncs {
			if oldest == "" || sync.seen.Before(t.syncs[oldest].seen) {
				oldest = id
			}
		}
		delete(t.syncs, oldest)
	}
	sync := &running{said: now, seen: now}
	t.syncs[syncID] = sync
	return sync
}

// Thousands writes a count as people read it, such as 12,000.
func Thousands(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
