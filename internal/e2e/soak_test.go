package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// soaked returns the number that make soak sets, else short.
func soaked(t testing.TB, name string, short int) int {
	t.Helper()
	text := os.Getenv("SOAK_" + name)
	if text == "" {
		return short
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("SOAK_%s=%s is not a number above 0", name, text)
	}
	return n
}

// badWeather makes a vendor have a bad day: it refuses 5 % of all requests for
// a second, fails 5 %, breaks off 6 % in one of three ways and answers 5 %
// slowly, and no two requests take the same time.
func badWeather(seed int) []simulator.Option {
	share := func(of float64) simulator.When { return simulator.When{Share: of} }
	return []simulator.Option{
		simulator.WithSeed(seed), simulator.WithFast(),
		simulator.WithLatency(time.Millisecond, 10*time.Millisecond),
		simulator.WithFault("rate-limit-seconds", share(0.05)),
		simulator.WithFault("server-error", share(0.03)),
		simulator.WithFault("unavailable", share(0.02)),
		simulator.WithFault("reset", share(0.02)),
		simulator.WithFault("reset-body", share(0.02)),
		simulator.WithFault("truncated", share(0.02)),
		simulator.WithFault("slow-body", share(0.05)),
	}
}

// changeRound changes the directory, differently in each round.
func (s *setup) changeRound(round int) {
	users, groups := s.UserIDs(), s.GroupIDs()
	at := func(ids []string, i int) string { return ids[1+(round*31+i*17)%(len(ids)-1)] } // Guru's first is the caller
	s.DeleteUser(at(users, 1))
	s.Disable(at(users, 2))
	newcomer := s.AddUser(fmt.Sprintf("newcomer-%d@example.com", round))
	s.AddMember(at(groups, 1), newcomer)
	s.AddMember(at(groups, 2), at(users, 3))
	s.AddMember(s.AddGroup(fmt.Sprintf("Round %d", round)), newcomer)
	s.DeleteGroup(at(groups, 3))
}

// footprint is the resources that a daemon's processes hold.
type footprint struct {
	files int
	// kib is their resident memory.
	kib []int
}

func (d *daemon) footprint() footprint {
	var f footprint
	for _, pid := range family(d.cmd.Process.Pid) {
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		f.files += len(open)
		f.kib = append(f.kib, statusField(pid, "RssAnon"))
	}
	return f
}

// TestSoak runs the real binaries as daemons against vendors on a bad day, sync
// after sync. It changes the directory between two syncs. Each upload must hold
// the whole truth of its time, and the processes must not grow. make soak runs
// it at full size.
func TestSoak(t *testing.T) {
	t.Parallel()
	size := simulator.Size{
		Users: soaked(t, "USERS", 230), Groups: soaked(t, "GROUPS", 8), MembersPerGroup: soaked(t, "MEMBERS", 12),
	}
	syncs := soaked(t, "SYNCS", 4)
	bound := time.Duration(soaked(t, "MINUTES", 2)) * time.Minute
	for _, workers := range []int{4, 16} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s, plane := open(t, size, badWeather(workers)...), controlplane.Start(t)
				d := startDaemon(t, s, plane, []string{"BATON_WORKERS=" + strconv.Itoa(workers)})
				d.hello()
				var before []footprint
				for round := range syncs {
					began, asked := time.Now(), len(s.Requests())
					file := d.weathers(bound)
					fixture.CompareTruth(t, file, s.Now())
					now := d.footprint()
					t.Logf("sync %d: %s, %d requests, %d files, RSS %v KiB", round+1, time.Since(began).Round(time.Second/10), len(s.Requests())-asked, now.files, now.kib)
					if runtime.GOOS == "linux" {
						now.hasNotGrown(t, before, workers)
					}
					before = append(before, now)
					s.changeRound(round)
				}
				limited, failed := 0, 0
				for _, request := range s.Requests() {
					switch {
					case request.Status == http.StatusTooManyRequests:
						limited++
					case request.Status != http.StatusOK:
						failed++
					}
				}
				if limited+failed == 0 {
					t.Error("not one request of all was refused or failed: this shows nothing")
				}
				t.Logf("of %d requests %d were refused and %d failed", len(s.Requests()), limited, failed)
			})
		})
	}
}

// weathers makes the daemon sync and returns its upload. The check of the
// credentials correctly gives up after six tries; C1 would then ask again.
func (d *daemon) weathers(bound time.Duration) string {
	d.t.Helper()
	deadline := time.Now().Add(bound)
	for try := 1; ; try++ {
		id := d.plane.Enqueue(controlplane.FullSync())[0]
		var end *v1.BatonServiceFinishTaskRequest
		for end == nil {
			event, err := d.plane.Wait(d.alive, func(e controlplane.Event) bool { return e.Method == "FinishTask" && e.TaskID == id })
			if err != nil && (d.alive.Err() != nil || time.Now().After(deadline)) {
				d.t.Fatalf("%s: the sync does not end: %v", d.Connector, err)
			}
			end, _ = event.Message.(*v1.BatonServiceFinishTaskRequest)
		}
		if end.HasSuccess() {
			files := d.uploads(id)
			if len(files) != 1 {
				d.t.Fatalf("the daemon uploaded %d files, not one", len(files))
			}
			return files[0]
		}
		if try == 3 || !strings.Contains(end.GetStatus().GetMessage(), "check the credentials") || codes.Code(end.GetStatus().GetCode()) != codes.Unavailable { //nolint:gosec // a gRPC code
			d.t.Fatalf("the task failed: %s", protojson.Format(end))
		}
	}
}

// The number of syncs until a daemon's processes level off, and the level of
// the SDK's process in KiB. The first process is the SDK's. Its store leaves
// much for Go to collect, so it levels off at 350 MiB, however small the
// directory, and only after six syncs. The second is the connector, which reads
// the vendor. It opens the connections that later syncs reuse: as many as there
// are parallel calls and prefetched pages.
const (
	syncerRises, connectorRises = 6, 2 // syncs
	syncerLevel                 = 350 << 10
)

// hasNotGrown compares the footprint with the largest one while the processes
// rose.
func (f footprint) hasNotGrown(t testing.TB, before []footprint, workers int) {
	t.Helper()
	if len(before) == 0 {
		return
	}
	var rose footprint
	rose.kib = []int{syncerLevel, 0}
	for i, early := range append(before, f) {
		if len(early.kib) != 2 {
			t.Errorf("after sync %d there are %d processes", i+1, len(early.kib))
			return
		}
		if i < min(syncerRises, len(before)) {
			rose.kib[0] = max(rose.kib[0], early.kib[0])
		}
		if i < min(connectorRises, len(before)) {
			rose.kib[1], rose.files = max(rose.kib[1], early.kib[1]), max(rose.files, early.files)
		}
	}
	if most := rose.files + workers + 8; f.files > most {
		t.Errorf("%d files are open, after the first syncs %d were", f.files, rose.files)
	}
	for i, allowance := range []int{64 << 10, 16 << 10} {
		if i == 0 && len(before) < syncerRises {
			rose.kib[i], allowance = before[0].kib[i], 400<<10
		}
		if f.kib[i] > rose.kib[i]+allowance {
			t.Errorf("process %d holds %d KiB, after the first syncs it held %d", i+1, f.kib[i], rose.kib[i])
		}
	}
}

// TestNoGoroutineIsLeft runs good and failing syncs in this process, and syncs
// of a vendor on a bad day, and waits until all their goroutines have ended.
func TestNoGoroutineIsLeft(t *testing.T) {
	// Not in parallel: goroutines are counted for the whole process.
	var before, retries int
	for round := range 3 {
		for _, vendor := range []string{fixture.RudderStack, fixture.Guru} {
			t.Run(fmt.Sprintf("%s %d", vendor, round), func(t *testing.T) {
				server := fixture.Start(t, vendor, simulator.Size{Users: 230, GroupSizes: []int{3, 5}})
				source := server.Source(t, rest.Options{Prefetch: true})
				for range 2 {
					path, err := fixture.Sync(context.Background(), t, server.Connector, source, fixture.SyncOptions{})
					if err != nil {
						t.Fatal(err)
					}
					fixture.CompareTruth(t, path, server.Truth())
				}
				broken := fixture.Start(t, vendor, simulator.Size{Users: 450, GroupSizes: []int{3, 5}}, simulator.WithFault("forbidden", simulator.When{From: 6}))
				if _, err := fixture.Sync(context.Background(), t, broken.Connector, broken.Source(t, rest.Options{Prefetch: true}), fixture.SyncOptions{}); err == nil {
					t.Fatal("the sync did not fail")
				}
				// On the worst day, a request hangs too.
				weather := append(badWeather(round+1), simulator.WithFault("hang", simulator.When{From: 4, To: 4}))
				rough := fixture.Start(t, vendor, simulator.Size{Users: 230, GroupSizes: []int{3, 5}}, weather...)
				stats := &rest.Stats{}
				path, err := fixture.Sync(context.Background(), t, rough.Connector,
					rough.Source(t, rest.Options{Prefetch: true, Timeout: time.Second, Stats: stats}), fixture.SyncOptions{})
				if err != nil {
					t.Fatal(err)
				}
				fixture.CompareTruth(t, path, rough.Truth())
				retries += int(stats.Retries())
			})
		}
		if round == 0 { // the SDK starts goroutines that live as long as the process
			before = goroutines(0)
		}
	}
	if retries == 0 {
		t.Error("the bad days were good ones: this shows little")
	}
	t.Logf("%d calls met a fault and were repeated", retries)
	if n := goroutines(before); n > before {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines run, %d ran after the first syncs:\n%s", n, before, stacks.String())
	}
}

// goroutines returns the number of goroutines once it has fallen to goal or
// stopped falling.
func goroutines(goal int) int {
	least := runtime.NumGoroutine()
	for still := 0; still < 200 && least > goal; still++ {
		time.Sleep(10 * time.Millisecond)
		if now := runtime.NumGoroutine(); now < least {
			least, still = now, 0
		}
	}
	return least
}
