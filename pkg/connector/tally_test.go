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

func TestTallyKeepsOverlappingSyncsApart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var tally Tally
	var both sync.WaitGroup
	for n, id := range []string{"a", "b"} {
		both.Go(func() {
			tally.users(ctx, id, userPage(0, directory.User{}, directory.User{Disabled: true}, directory.User{Service: true}), true)
			for range 100 * (n + 1) {
				tally.users(ctx, id, userPage(0, directory.User{}), false)
				tally.memberships(ctx, id, 2)
			}
			tally.groups(ctx, id, groupPage(n), false)
		})
	}
	both.Wait()
	want := map[string]Counts{
		"a": {Users: 103, Disabled: 1, Service: 1, Groups: 0, Memberships: 200},
		"b": {Users: 203, Disabled: 1, Service: 1, Groups: 1, Memberships: 400},
	}
	for id, counts := range want {
		if got := tally.Take(id); got != counts {
			t.Errorf("sync %s: got %+v, want %+v", id, got, counts)
		}
		if got := tally.Take(id); got != (Counts{}) {
			t.Errorf("sync %s taken twice: got %+v, want nothing", id, got)
		}
	}
}

// A syncer that loses its checkpoint reads a type again from its first page.
func TestTallyStartsAnewWithTheFirstPage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	var tally Tally
	for range 2 {
		tally.users(ctx, "s", userPage(0, directory.User{Disabled: true}), true)
		tally.users(ctx, "s", userPage(0, directory.User{Service: true}), false)
		tally.groups(ctx, "s", groupPage(3), true)
		tally.memberships(ctx, "s", 5)
	}
	if got, want := tally.Take("s"), (Counts{Users: 2, Disabled: 1, Service: 1, Groups: 3, Memberships: 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTallyForgetsSyncsThatNeverEnd(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	tally := Tally{Now: func() time.Time { now = now.Add(time.Second); return now }}
	for i := range 10 * maxTallied {
		tally.memberships(context.Background(), "long", 1)
		tally.memberships(context.Background(), fmt.Sprintf("failed-%d", i), 1)
	}
	if len(tally.syncs) > maxTallied {
		t.Errorf("remembers %d syncs, want at most %d", len(tally.syncs), maxTallied)
	}
	if got := tally.Take("long").Memberships; got != 10*maxTallied {
		t.Errorf("the sync that goes on lost counts: got %d, want %d", got, 10*maxTallied)
	}
}

func TestTallySaysHowFarItIs(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	ctx := ctxzap.ToContext(context.Background(), zap.New(core))
	now := time.Unix(1, 0)
	tally := Tally{Now: func() time.Time { return now }}
	rows := make([]directory.User, 500)

	tally.users(ctx, "s", userPage(12000, rows...), true) // starts the clock
	for range 5 {
		now = now.Add(progressEvery / 5)
		tally.users(ctx, "s", userPage(12000, rows...), false)
	}
	now = now.Add(progressEvery)
	tally.users(ctx, "s", userPage(3000, rows...), false) // a total that cannot be right
	tally.groups(ctx, "s", groupPage(7), true)            // too soon after the last line
	now = now.Add(progressEvery)
	tally.groups(ctx, "s", groupPage(100), false)
	now = now.Add(progressEvery)
	tally.memberships(ctx, "s", 1234567)

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
