package connector

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

func userPage(total int, rows ...directory.User) directory.Page[directory.User] {
	return directory.Page[directory.User]{Rows: rows, Total: total}
}

func groupPage(n int) directory.Page[directory.Group] {
	return directory.Page[directory.Group]{Rows: make([]directory.Group, n)}
}

func TestCounterKeepsOverlappingSyncsApart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var counter Counter
	var both sync.WaitGroup
	for n, id := range []string{"a", "b"} {
		both.Go(func() {
			counter.users(ctx, id, userPage(0, directory.User{}, directory.User{Disabled: true}, directory.User{Service: true}), true)
			for range 100 * (n + 1) {
				counter.users(ctx, id, userPage(0, directory.User{}), false)
				counter.memberships(ctx, id, 2)
			}
			counter.groups(ctx, id, groupPage(n), false)
		})
	}
	both.Wait()
	want := map[string]Counts{
		"a": {Users: 103, Disabled: 1, Service: 1, Groups: 0, Memberships: 200},
		"b": {Users: 203, Disabled: 1, Service: 1, Groups: 1, Memberships: 400},
	}
	for id, counts := range want {
		if got := counter.Take(id); got != counts {
			t.Errorf("sync %s: got %+v, want %+v", id, got, counts)
		}
		if got := counter.Take(id); got != (Counts{}) {
			t.Errorf("sync %s taken twice: got %+v, want nothing", id, got)
		}
	}
}

// A syncer that loses its checkpoint reads a type again from its first page.
func TestCounterStartsAnewWithTheFirstPage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var counter Counter
	for range 2 {
		counter.users(ctx, "s", userPage(0, directory.User{Disabled: true}), true)
		counter.users(ctx, "s", userPage(0, directory.User{Service: true}), false)
		counter.groups(ctx, "s", groupPage(3), true)
		counter.memberships(ctx, "s", 5)
	}
	if got, want := counter.Take("s"), (Counts{Users: 2, Disabled: 1, Service: 1, Groups: 3, Memberships: 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCounterForgetsSyncsThatNeverEnd(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	counter := Counter{Now: func() time.Time { now = now.Add(time.Second); return now }}
	for i := range 10 * maxSyncs {
		counter.memberships(context.Background(), "long", 1)
		counter.memberships(context.Background(), fmt.Sprintf("failed-%d", i), 1)
	}
	if len(counter.syncs) > maxSyncs {
		t.Errorf("remembers %d syncs, want at most %d", len(counter.syncs), maxSyncs)
	}
	if got := counter.Take("long").Memberships; got != 10*maxSyncs {
		t.Errorf("the sync that goes on lost counts: got %d, want %d", got, 10*maxSyncs)
	}
}

func TestCounterSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	ctx := ctxzap.ToContext(context.Background(), zap.New(core))
	now := time.Unix(1, 0)
	counter := Counter{Now: func() time.Time { return now }}
	rows := make([]directory.User, 500)

	counter.users(ctx, "s", userPage(12000, rows...), true) // starts the clock
	for range 5 {
		now = now.Add(progressEvery / 5)
		counter.users(ctx, "s", userPage(12000, rows...), false)
	}
	now = now.Add(progressEvery)
	counter.users(ctx, "s", userPage(3000, rows...), false) // a total that cannot be right
	counter.groups(ctx, "s", groupPage(7), true)            // too soon after the last line
	now = now.Add(progressEvery)
	counter.groups(ctx, "s", groupPage(100), false)
	now = now.Add(progressEvery)
	counter.memberships(ctx, "s", 1234567)

	var got []string
	for _, entry := range logs.All() {
		got = append(got, entry.Message)
	}
	want := []string{
		"sync progress: users 3,000 of about 12,000",
		"sync progress: users 3,500",
		"sync progress: groups 107",
		"sync progress: memberships 1,234,567",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	fields := logs.All()[0].ContextMap()
	if fields["reading"] != "users" || fields["done"] != int64(3000) || fields["about"] != int64(12000) || fields["sync_id"] != "s" {
		t.Errorf("fields %v do not hold the numbers", fields)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12000: "12,000", 1234567: "1,234,567"} {
		if got := Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
