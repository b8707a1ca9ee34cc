package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
)

// oneShot is a connector's sync into a file.
type oneShot struct {
	*process
	file, tmp string
}

// sync starts a one-shot sync into a new file, or into the file of an earlier
// run.
func (s *setup) sync(t testing.TB, earlier *oneShot, env ...string) *oneShot {
	t.Helper()
	o := s.prepareSync(t, earlier, env...)
	o.run()
	return o
}

// prepareSync is sync, but does not start it.
func (s *setup) prepareSync(t testing.TB, earlier *oneShot, env ...string) *oneShot {
	t.Helper()
	o := &oneShot{}
	if earlier != nil {
		o.file, o.tmp = earlier.file, earlier.tmp
	} else {
		o.file, o.tmp = filepath.Join(t.TempDir(), "sync.c1z"), t.TempDir()
	}
	o.process = prepare(t, fixture.Binary(t, s.Connector), slices.Concat(s.Env, []string{
		"BATON_FILE=" + o.file, "BATON_TMPDIR=" + o.tmp, "BATON_LOG_FORMAT=json",
	}, env))
	return o
}

// succeeds waits for a finished sync and checks that the file holds the truth
// and that nothing else is left.
func (o *oneShot) succeeds(t testing.TB, truth simulator.Truth) {
	t.Helper()
	if code := o.wait(); code != 0 {
		t.Fatalf("exit code %d: %s", code, o.lastLine())
	}
	fixture.CompareTruth(t, o.file, truth)
	o.leaves(t, "sync.c1z")
}

// leaves checks the entries beside the file, and that no temporary files are
// left.
func (o *oneShot) leaves(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	for _, dir := range []string{filepath.Dir(o.file), o.tmp} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			got = append(got, entry.Name())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
}

func TestASyncThatIsKilledIsMadeGoodByTheNext(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, newSetup newSetup) {
		s := newSetup(t, small)
		n := s.requests(t)
		// At n-1 the sync reads memberships. It needs every answer, also to
		// prefetched requests, so it cannot finish without this one.
		for _, at := range []int{1, n / 4, n / 2, 2 * n / 3, n - 1} {
			var killed *oneShot
			ready := make(chan struct{})
			s.atRequest(max(at, 1), func() {
				<-ready
				_ = killed.cmd.Process.Kill()
				<-killed.alive.Done()
			})
			killed = s.sync(t, nil)
			close(ready)
			if code := killed.wait(); code != -1 {
				t.Errorf("killed at request %d of %d: exit code %d", at, n, code)
			}
			s.OnRequest(nil)
			if _, err := os.Stat(killed.file); !os.IsNotExist(err) {
				t.Errorf("killed at request %d of %d: it wrote a file: %v", at, n, err)
			}
			s.change()
			s.sync(t, killed).succeeds(t, s.Now())
		}
	})
}

func TestCtrlCEndsASyncAndSaysSo(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, newSetup newSetup) {
		s := newSetup(t, small)
		n := s.requests(t)
		for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
			var stopped *oneShot
			ready, hung := make(chan struct{}), make(chan struct{})
			answer := sync.OnceFunc(func() { close(hung) })
			t.Cleanup(answer)
			s.atRequest(n/2, func() {
				<-ready
				stopped.signal(signal)
				<-hung // the sync must end without this answer
			})
			stopped = s.sync(t, nil)
			close(ready)
			code := stopped.ends()
			answer()
			s.OnRequest(nil)
			if line := s.Connector + ": interrupted; " + stopped.file + " is unchanged; run the same command again"; code != want || stopped.lastLine() != line {
				t.Errorf("%s: exit code %d, want %d; it said %s", signal, code, want, stopped.lastLine())
			}
			stopped.leaves(t)
			s.sync(t, stopped).succeeds(t, s.Now())
		}
	})
}

// The rows that a failed run has read are old when the next one runs.
func TestASyncThatFailedIsMadeGoodByTheNext(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, newSetup newSetup) {
		n := newSetup(t, small).requests(t)
		for _, at := range []int{3, n / 2, n - 1} {
			// The connector requests a failed prefetched page again, so a few
			// refusals alone may do no harm. Refuse as many requests as a sync
			// sends.
			s := newSetup(t, small, simulator.WithFault("forbidden", simulator.When{From: at, To: at + n}))
			run := s.sync(t, nil)
			if code := run.wait(); code != 7 {
				t.Fatalf("refused at request %d of %d: exit code %d", at, n, code)
			}
			run.leaves(t)
			s.change()
			// The refusals that it did not use up strike the next run.
			for range 2 * n {
				if run = s.sync(t, run); run.wait() == 0 {
					break
				}
				run.leaves(t)
			}
			run.succeeds(t, s.Now())
		}
	})
}

// If groups cannot be read, the message names the way to sync only users. That
// way must then work.
func TestUsersAloneAreSyncedWhereGroupsCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]string{
		"baton-rudderstack": {"groups-forbidden", "groups-missing"},
		"baton-guru":        {"groups-empty", "both-groups-404"},
	} {
		for _, fault := range faults {
			t.Run(fault, func(t *testing.T) {
				t.Parallel()
				s := startSetup(t, name, small, simulator.WithFault(fault))
				run := s.sync(t, nil, "BATON_SYNC_RESOURCE_TYPES=user")
				truth := s.Now()
				truth.Groups, truth.Grants = nil, nil
				run.succeeds(t, truth)
			})
		}
	}
}

// A sync of one group leaves that group, and nothing that was in the file
// before.
func TestASyncOfOneGroupHoldsItAlone(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		whole := s.sync(t, nil)
		whole.succeeds(t, s.Now())
		target := s.GroupIDs()[3]
		run := s.sync(t, whole, "BATON_SYNC_RESOURCES=bid:r:group/"+target)
		if code := run.wait(); code != 10 || !strings.Contains(run.lastLine(), "--sync-resources (BATON_SYNC_RESOURCES) limits this run; use a separate file") {
			t.Fatalf("exit code %d: %s", code, run.lastLine())
		}
		fixture.CompareTruth(t, run.file, s.Now())
		run = s.sync(t, whole, "BATON_ACCEPT_EMPTY=true", "BATON_SYNC_RESOURCES=bid:r:group/"+target)
		if code := run.wait(); code != 0 {
			t.Fatalf("exit code %d: %s", code, run.lastLine())
		}
		s.CompareGroup(t, run.file, target)
		run.leaves(t, "sync.c1z")

		// The SDK skips a resource that is not found and calls that a success.
		for unknown, words := range map[string]string{
			"group/nobody":         `there is no group "bid:r:group/nobody"`,
			"user/ann@example.com": `"bid:r:user/ann@example.com" names a user, but only groups can be synced alone`,
		} {
			run = s.sync(t, run, "BATON_SYNC_RESOURCES=bid:r:group/"+target+",bid:r:"+unknown)
			if code := run.wait(); code != 2 || !strings.Contains(run.lastLine(), "--sync-resources (BATON_SYNC_RESOURCES): "+words) {
				t.Errorf("%s: exit code %d: %s", unknown, code, run.lastLine())
			}
			s.CompareGroup(t, run.file, target)
		}
	})
}

// A wrong path must not replace RudderStack's users by Guru's.
func TestOneConnectorKeepsTheFileOfTheOther(t *testing.T) {
	t.Parallel()
	for i, vendor := range fixture.Vendors {
		name, other := "baton-"+vendor, "baton-"+fixture.Vendors[(i+1)%len(fixture.Vendors)]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := startSetup(t, other, small)
			earlier := first.sync(t, nil)
			earlier.succeeds(t, first.Now())
			s := startSetup(t, name, small)
			run := s.sync(t, earlier)
			if code := run.wait(); code != 2 || !strings.Contains(run.lastLine(), "holds the sync of another connector") {
				t.Errorf("exit code %d; it said %s", code, run.lastLine())
			}
			if n := len(s.Requests()); n > 0 {
				t.Errorf("%d requests were sent", n)
			}
			fixture.CompareTruth(t, run.file, first.Now())
			run.leaves(t, "sync.c1z")
		})
	}
}

func TestASyncSumsUpWhatItHasRead(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, newSetup newSetup) {
		s := newSetup(t, small)
		run := s.sync(t, nil, "BATON_OUTPUT_FORMAT=json")
		truth := s.Now()
		run.succeeds(t, truth)
		want := map[string]int{
			"users": len(truth.Users), "groups": len(truth.Groups), "memberships": len(truth.Grants), "disabled": 0, "service": 0,
		}
		for _, user := range truth.Users {
			if user.Disabled {
				want["disabled"]++
			}
			if user.Service {
				want["service"]++
			}
		}
		want["enabled"] = want["users"] - want["disabled"]
		if got := run.summary(t); !maps.Equal(got.Counts, want) || got.Requests != len(s.Requests()) {
			t.Errorf("the summary says %+v, want %v", got, want)
		}
	})
}

// TestNothingIsPrefetchedForNothing checks that a run does not prefetch members
// that it will not read.
func TestNothingIsPrefetchedForNothing(t *testing.T) {
	t.Parallel()
	for argument, most := range map[string]int{"check": 12, "--skip-entitlements-and-grants": 20} {
		t.Run(argument, func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s := open(t, simulator.Size{Users: 400, Groups: 60, MembersPerGroup: 3})
				p := start(t, fixture.Binary(t, s.Connector), s.Env, argument)
				if code := p.wait(); code != 0 {
					t.Fatalf("exit code %d: %s", code, p.lastLine())
				}
				if n := len(s.Requests()); n > most {
					t.Errorf("%d requests were sent, want at most %d", n, most)
				}
			})
		})
	}
}
