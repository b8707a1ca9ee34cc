// Package wholesync runs whole syncs through the SDK's syncer, in this process:
// one for each gRPC code that the SDK treats differently, and one for each path
// on which memberships reach a c1z. internal/fidelity tests the vendors'
// behaviours, internal/e2e the binaries.
//
// A sync of a simulated vendor runs in a bubble of testing/synctest. The
// simulator's pipes, gRPC over memory and the store wait only on what the
// bubble sees, so the SDK's own waits take no time.
package wholesync

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	sdksync "github.com/conductorone/baton-sdk/pkg/sync"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// usual has several pages of users and of groups, and an empty group.
var usual = simulator.Size{Users: 230, GroupSizes: []int{0, 1, 100, 101, 3}}

// outcome is a sync and its result.
type outcome struct {
	vendor *fixture.Vendor
	path   string
	err    error
	log    string
	took   time.Duration
}

// run syncs a vendor within a bubble, after change has changed it.
func run(t *testing.T, vendor string, size simulator.Size, opts []simulator.Option, how fixture.SyncOptions, change func(directory.Source) directory.Source, check func(t *testing.T, got outcome)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := fixture.Start(t, vendor, size, append(slices.Clone(opts), simulator.WithFast(), simulator.WithMemory())...)
		core, logs := observer.New(zapcore.InfoLevel)
		ctx := ctxzap.ToContext(context.Background(), zap.New(core))
		source := v.Source(t, rest.Options{Prefetch: true})
		if change != nil {
			source = change(source)
		}
		begun := time.Now()
		got := outcome{vendor: v}
		got.path, got.err = fixture.Sync(ctx, t, v.Connector, source, how)
		got.took, got.log = time.Since(begun), fixture.Logged(logs)
		check(t, got)
	})
}

// isTrue checks that the c1z holds the vendor's truth and the grants that
// follow from it.
func (o outcome) isTrue(t *testing.T) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("the sync failed: %v", o.err)
	}
	content := fixture.CompareTruth(t, o.path, o.vendor.Truth())
	if wrong := content.WrongDerived(o.vendor.Truth()); wrong != "" {
		t.Error(wrong)
	}
}

// byGroup hides that a source can list all memberships in one walk.
type byGroup struct{ directory.Source }

// TestPaths checks that the syncer finds the truth on every path to the
// memberships. The entitlements are static on all paths.
func TestPaths(t *testing.T) {
	t.Parallel()
	with := func(faults ...string) []simulator.Option {
		var out []simulator.Option
		for _, fault := range faults {
			out = append(out, simulator.WithFault(fault))
		}
		return out
	}
	for _, c := range []struct {
		name, vendor string
		opts         []simulator.Option
		how          fixture.SyncOptions
		change       func(directory.Source) directory.Source
		warns        string
	}{
		{name: "all groups in one walk", vendor: fixture.RudderStack},
		{
			name: "group by group", vendor: fixture.RudderStack,
			change: func(s directory.Source) directory.Source { return byGroup{s} },
		},
		{name: "group by group, the only way", vendor: fixture.Guru},
		{name: "one call at a time", vendor: fixture.Guru, how: fixture.SyncOptions{Workers: 1}},
		{name: "nested groups", vendor: fixture.RudderStack, opts: with("nested-groups")},
		{name: "nested groups, group by group", vendor: fixture.RudderStack, opts: with("nested-groups"), change: func(s directory.Source) directory.Source { return byGroup{s} }},
		{name: "groups in a circle", vendor: fixture.RudderStack, opts: with("nested-cycle")},
		{
			// To drop the grant would remove an access that the vendor states.
			name: "a member who is not listed", vendor: fixture.RudderStack, opts: with("unlisted-member"),
			how: fixture.SyncOptions{Tolerant: true}, warns: "dangling",
		},
		{name: "a member who is not listed", vendor: fixture.Guru, opts: with("unlisted-member"), how: fixture.SyncOptions{Tolerant: true}, warns: "dangling"},
	} {
		t.Run(c.vendor+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			run(t, c.vendor, usual, c.opts, c.how, c.change, func(t *testing.T, got outcome) {
				got.isTrue(t)
				if c.warns != "" && !strings.Contains(got.log, c.warns) {
					t.Errorf("no warning says %q:\n%s", c.warns, got.log)
				}
			})
		})
	}
}

// TestCodes checks how the syncer handles each gRPC code. It retries two, after
// the wait that the error asks for. All others end the sync without a finished
// file. A list must not return NotFound, because the syncer reads it as an
// empty list.
func TestCodes(t *testing.T) {
	t.Parallel()
	from := func(n int) simulator.When { return simulator.When{From: n} }
	for _, c := range []struct {
		name, fault string
		when        simulator.When
		code        codes.Code
		// least is the shortest time that the sync may wait.
		least time.Duration
		words string
	}{
		// So many requests fail that some were not prefetched.
		{name: "Unavailable is tried again", fault: "unavailable", when: simulator.When{From: 5, To: 12}, code: codes.OK, least: time.Second},
		{name: "DeadlineExceeded is tried again", fault: "hang", when: simulator.When{From: 5, To: 5}, code: codes.OK, least: rest.DefaultTimeout},
		{name: "a limit is waited out", fault: "rate-limit-seconds", when: simulator.When{Every: 4}, code: codes.OK, least: time.Second},
		{name: "an outage is Aborted", fault: "unavailable", when: from(5), code: codes.Aborted, least: rest.DefaultOutage, words: "no good answer since"},
		{name: "a pause of a day is Aborted", fault: "rate-limit-long", when: from(5), code: codes.Aborted, words: "longer than a sync waits"},
		{name: "400 is InvalidArgument", fault: "bad-request", when: from(5), code: codes.InvalidArgument, words: "400"},
		{name: "401 is Unauthenticated", fault: "unauthorized", when: from(5), code: codes.Unauthenticated, words: "401"},
		{name: "403 is PermissionDenied", fault: "forbidden", when: from(5), code: codes.PermissionDenied, words: "403"},
		{name: "404 is FailedPrecondition", fault: "not-found", when: from(5), code: codes.FailedPrecondition, words: "404"},
		{name: "a row without an id is Internal", fault: "member-without-id", when: simulator.When{}, code: codes.Internal, words: "id"},
	} {
		for _, vendor := range fixture.Vendors {
			t.Run(vendor+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				run(t, vendor, usual, []simulator.Option{simulator.WithFault(c.fault, c.when)}, fixture.SyncOptions{}, nil, func(t *testing.T, got outcome) {
					if got.took < c.least || got.took > c.least+time.Hour {
						t.Errorf("the sync took %s of the bubble's time, not %s and little more", got.took, c.least)
					}
					if c.code == codes.OK {
						got.isTrue(t)
						return
					}
					if status.Code(got.err) != c.code || !strings.Contains(got.err.Error(), c.words) {
						t.Errorf("it ended with %v, not with %s and %q", got.err, c.code, c.words)
					}
					if fixture.Finished(t, got.path) {
						t.Error("a sync that failed is finished in the file")
					}
				})
			})
		}
	}
}

// TestASyncOfOneGroup checks that a targeted sync holds the requested group
// with all its members, and no other group. If it cannot, it must fail: a group
// without members revokes their access.
func TestASyncOfOneGroup(t *testing.T) {
	t.Parallel()
	for _, vendor := range fixture.Vendors {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := fixture.Start(t, vendor, usual, simulator.WithMemory())
				target := v.GroupIDs()[3]
				path, err := fixture.Sync(context.Background(), t, v.Connector, v.Source(t, rest.Options{}), fixture.SyncOptions{
					Tolerant: true, // the users of its members are not listed
					More: []sdksync.SyncOpt{sdksync.WithTargetedSyncResources([]*v2.Resource{
						v2.Resource_builder{Id: v2.ResourceId_builder{ResourceType: "group", Resource: target}.Build()}.Build(),
					})},
				})
				if vendor == fixture.RudderStack { // its members come in one walk
					if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "run a full sync") || fixture.Finished(t, path) {
						t.Errorf("it ended with %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				v.CompareGroup(t, path, target)
			})
		})
	}
}

// TestWhatMembersRowsSayIsCompared checks that the comparison gets what it
// needs from the syncer's calls, some of them parallel. It fails a sync that
// contradicts itself, and sends no request if all agrees.
func TestWhatMembersRowsSayIsCompared(t *testing.T) {
	t.Parallel()
	for fault, code := range map[string]codes.Code{
		"rows-name-groups": codes.OK, "group-not-listed": codes.FailedPrecondition, "member-not-listed": codes.FailedPrecondition,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				size := simulator.Size{Users: 230, GroupSizes: []int{0, 1, 100, 101, 150}}
				v := fixture.Start(t, fixture.Guru, size, simulator.WithMemory(), simulator.WithFault(fault))
				path, err := fixture.Sync(context.Background(), t, v.Connector, v.Source(t, rest.Options{Prefetch: true}), fixture.SyncOptions{Tolerant: true})
				if status.Code(err) != code || fixture.Finished(t, path) != (code == codes.OK) {
					t.Fatalf("it ended with %v", err)
				}
				if code == codes.OK {
					fixture.CompareTruth(t, path, v.Truth())
					if n := len(v.Requests()); n > 18 {
						t.Errorf("%d requests were sent", n)
					}
				}
			})
		})
	}
}

// TestASecondSyncHoldsNothingOfTheFirst checks that a sync into the file of an
// earlier one holds only the current directory.
func TestASecondSyncHoldsNothingOfTheFirst(t *testing.T) {
	t.Parallel()
	for _, vendor := range fixture.Vendors {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			run(t, vendor, usual, nil, fixture.SyncOptions{}, nil, func(t *testing.T, got outcome) {
				got.isTrue(t)
				v := got.vendor
				v.DeleteUser(v.UserIDs()[7])
				v.Disable(v.UserIDs()[9])
				v.DeleteGroup(v.GroupIDs()[2])
				v.AddMember(v.AddGroup("Night shift"), v.AddUser("late@example.com"))
				path, err := fixture.Sync(context.Background(), t, v.Connector, v.Source(t, rest.Options{}), fixture.SyncOptions{Path: got.path})
				if err != nil {
					t.Fatal(err)
				}
				fixture.CompareTruth(t, path, v.Now())
			})
		})
	}
}

// TestAStoppedSyncLeavesNoAnswersToTheNext checks that pages prefetched for a
// stopped sync do not appear in the next one. The directory may have changed
// since.
func TestAStoppedSyncLeavesNoAnswersToTheNext(t *testing.T) {
	t.Parallel()
	for _, vendor := range fixture.Vendors {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := fixture.Start(t, vendor, simulator.Size{Users: 450, GroupSizes: []int{3}}, simulator.WithMemory())
				source := v.Source(t, rest.Options{Prefetch: true})
				// A sync that stops after its first page.
				if _, err := source.Users(context.Background(), ""); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if n := len(v.Requests()); n < 2 {
					t.Fatalf("%d requests were sent: nothing was prefetched", n)
				}
				for _, id := range v.UserIDs()[1:] {
					v.Disable(id)
				}
				path, err := fixture.Sync(context.Background(), t, v.Connector, source, fixture.SyncOptions{})
				if err != nil {
					t.Fatal(err)
				}
				fixture.CompareTruth(t, path, v.Now())
			})
		})
	}
}
