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
	// progressEvery is the interval between two log lines of a long sync.
	progressEvery = 10 * time.Second
	// maxSyncs bounds the syncs that are counted at the same time. The counts
	// of a failed sync are never taken, and a daemon may see many of those.
	maxSyncs = 16
)

// Counts holds what a sync has read so far.
type Counts struct {
	Users       int `json:"users"`
	Disabled    int `json:"disabled"`
	Service     int `json:"service"`
	Groups      int `json:"groups"`
	Memberships int `json:"memberships"`
}

// Add counts a resource that this package made of a user or a group.
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

// Counter counts the rows that a connector returns, separately for each sync,
// and logs the progress of a long one. Syncs may overlap. If another process
// began a sync, the counts start when this one took over. A Counter is safe for
// concurrent use; its zero value is ready.
type Counter struct {
	// Now is the clock; nil for time.Now.
	Now func() time.Time

	mu    sync.Mutex
	syncs map[string]*running
}

// Progress is the progress in the list that a sync reads now.
type Progress struct {
	// Reading is users, groups or memberships; empty before the first page.
	Reading string
	// Done is the number of rows read. Total is the vendor's own count, 0 if
	// it states none.
	Done, Total int
	// Since is the time of the first page's request.
	Since time.Time
}

// Progress returns the progress of the sync that read something last.
func (c *Counter) Progress() Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	var last *running
	for _, sync := range c.syncs {
		if last == nil || sync.seen.After(last.seen) {
			last = sync
		}
	}
	if last == nil {
		return Progress{}
	}
	return last.progress
}

// running is a sync in progress.
type running struct {
	counts   Counts
	progress Progress
	// seen is when the sync last read something, said is when that was last
	// logged.
	seen, said time.Time
}

// Take returns the counts of a sync and forgets the sync. The counts of an
// unknown sync are zero.
func (c *Counter) Take(syncID string) Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	sync, ok := c.syncs[syncID]
	if !ok {
		return Counts{}
	}
	delete(c.syncs, syncID)
	return sync.counts
}

func (c *Counter) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Counter) users(ctx context.Context, syncID string, page directory.Page[directory.User], first bool) {
	c.add(ctx, syncID, "users", page.Total, func(counts *Counts) int {
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

func (c *Counter) groups(ctx context.Context, syncID string, page directory.Page[directory.Group], first bool) {
	c.add(ctx, syncID, "groups", page.Total, func(counts *Counts) int {
		if first { // memberships are read after groups
			counts.Groups, counts.Memberships = 0, 0
		}
		counts.Groups += len(page.Rows)
		return counts.Groups
	})
}

func (c *Counter) memberships(ctx context.Context, syncID string, n int) {
	c.add(ctx, syncID, "memberships", 0, func(counts *Counts) int {
		counts.Memberships += n
		return counts.Memberships
	})
}

// add counts the rows that were read and logs progress, at most once in
// progressEvery. A sync's first call only starts its clock, so a short sync
// logs nothing.
func (c *Counter) add(ctx context.Context, syncID, what string, total int, count func(*Counts) int) {
	c.mu.Lock()
	sync, known := c.syncs[syncID]
	if !known {
		sync = c.begin(syncID, c.now())
	}
	done := count(&sync.counts)
	if sync.progress.Reading != what {
		sync.progress = Progress{Reading: what, Since: sync.seen}
	}
	sync.progress.Done, sync.progress.Total = done, total
	sync.seen = c.now()
	due := sync.seen.Sub(sync.said) >= progressEvery
	if due {
		sync.said = sync.seen
	}
	c.mu.Unlock()
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

// begin adds a sync. If there are too many, it drops the one that has read
// nothing for the longest time.
func (c *Counter) begin(syncID string, now time.Time) *running {
	if c.syncs == nil {
		c.syncs = map[string]*running{}
	}
	for len(c.syncs) >= maxSyncs {
		oldest := ""
		for id, sync := range c.syncs {
			if oldest == "" || sync.seen.Before(c.syncs[oldest].seen) {
				oldest = id
			}
		}
		delete(c.syncs, oldest)
	}
	sync := &running{said: now, seen: now}
	c.syncs[syncID] = sync
	return sync
}

// Thousands formats a count with commas, such as 12,000.
func Thousands(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
