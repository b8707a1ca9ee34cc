package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
)

// summary is the output of a one-shot with --output-format json.
type summary struct {
	Counts   map[string]int `json:"counts"`
	Requests int            `json:"requests"`
	Retries  int            `json:"retries"`
	Waited   float64        `json:"waited_seconds"`
}

// summary parses stdout.
func (o *oneShot) summary(t testing.TB) summary {
	t.Helper()
	var got summary
	if err := json.Unmarshal([]byte(o.stdout.String()), &got); err != nil {
		t.Fatalf("stdout is no summary: %v\n%s", err, o.stdout.String())
	}
	return got
}

// TestRateLimitsAreWaitedOut checks that a vendor that refuses every third
// request delays a sync but loses no rows, and that the user can see how long
// it waited.
func TestRateLimitsAreWaitedOut(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 4, 16} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s := open(t, small, simulator.WithFault("rate-limit-seconds", simulator.When{Every: 3}))
				run := s.sync(t, nil, "BATON_OUTPUT_FORMAT=json", "BATON_WORKERS="+strconv.Itoa(workers))
				run.succeeds(t, s.Now())
				limited := 0
				for _, request := range s.Requests() {
					if request.Status == http.StatusTooManyRequests {
						limited++
					}
				}
				pauses := strings.Count(run.stderr.String(), "the vendor limits requests: waiting")
				if pauses == 0 || pauses > limited {
					t.Errorf("%d pauses were logged of a vendor that refused %d requests", pauses, limited)
				}
				got := run.summary(t)
				if n := len(s.Requests()); got.Requests != n {
					t.Errorf("%v requests are counted, %d arrived", got.Requests, n)
				}
				// A refused prefetch counts as a pause, not as a retry.
				if got.Retries == 0 {
					t.Errorf("no retries are counted for %d pauses", pauses)
				}
				if got.Waited < float64(pauses) || got.Waited > float64(2*limited) {
					t.Errorf("%v seconds are counted for %d pauses of a second", got.Waited, pauses)
				}
			})
		})
	}
}

// TestAnOutageCostsNoFile checks with the real binaries a vendor that goes down
// during a sync. The run fails and says why. The last good file stays, and the
// next run finds the truth.
func TestAnOutageCostsNoFile(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		f := s.startReverseProxy(t, nil)
		run := s.sync(t, nil)
		before := s.Now()
		run.succeeds(t, before)

		// A test cannot move a binary's clock, so the vendor itself announces
		// an outage longer than a sync waits.
		var down atomic.Bool
		f.answers(func(w http.ResponseWriter, r *http.Request) bool {
			if asksForMemberships(r) {
				down.Store(true)
			}
			if !down.Load() {
				return false
			}
			w.Header().Set("Retry-After", "86400")
			http.Error(w, "closed until tomorrow", http.StatusServiceUnavailable)
			return true
		})
		s.change()
		run = s.sync(t, run)
		if code := run.wait(); code != int(codes.Aborted) {
			t.Fatalf("exit code %d: %s", code, run.lastLine())
		}
		for _, word := range []string{"503", "closed until tomorrow", "asked for a pause until", "run the sync again"} {
			if line := run.lastLine(); !strings.Contains(line, word) {
				t.Errorf("it does not say %q: %s", word, line)
			}
		}
		fixture.CompareTruth(t, run.file, before)

		f.answers(nil)
		run = s.sync(t, run)
		run.succeeds(t, s.Now())
	})
}

// asksForMemberships reports whether a request is for memberships, which a sync
// reads last.
func asksForMemberships(r *http.Request) bool {
	scim := strings.HasSuffix(r.URL.Path, "/Groups") && !r.URL.Query().Has("excludedAttributes")
	guru := strings.Contains(r.URL.Path, "/groups/") && strings.HasSuffix(r.URL.Path, "/members")
	return scim || guru
}

// until waits for a condition that must become true.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	deadline := time.After(maxWait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestMonstersAreRefusedInLittleMemory checks with the real binaries and their
// real limits that an answer that no vendor would send ends a sync with a clear
// error, after few requests and before memory runs out.
func TestMonstersAreRefusedInLittleMemory(t *testing.T) {
	// Not in parallel: the servers send gigabytes, and several at a time would
	// only show how busy the machine is.
	size := simulator.Size{Users: 1200, Groups: 40, MembersPerGroup: 3}
	for _, monster := range []struct{ fault, says string }{
		{"gzip-bomb", "larger than 128 MiB"},
		{"huge-body", "larger than 128 MiB"},
		{"huge-header", "header of the answer is too large"},
		{"deep-nesting", "answer"},
		{"long-id", "id"},
	} {
		t.Run(monster.fault, func(t *testing.T) {
			eachSetup(t, func(t *testing.T, open newSetup) {
				s := open(t, size, simulator.WithFault(monster.fault, simulator.When{From: 4}))
				run := s.sync(t, nil, "BATON_WORKERS=16")
				peak := run.peakMemory()
				if code := run.wait(); code != int(codes.FailedPrecondition) && code != int(codes.Internal) {
					t.Errorf("exit code %d", code)
				}
				line := run.lastLine()
				if !strings.Contains(line, monster.says) || len(line) > 600 {
					t.Errorf("it said %s", line)
				}
				if fixture.Finished(t, run.file) {
					t.Error("the file holds a finished sync")
				}
				if n := len(s.Requests()); n > 100 { // includes prefetched members of Guru's 40 groups
					t.Errorf("%d requests were sent", n)
				}
				if mib := peak() >> 10; runtime.GOOS == "linux" && (mib < 10 || mib > 400) {
					t.Errorf("one of its processes took %d MiB", mib)
				}
			})
		})
	}
}

// peakMemory watches a process and its children until it ends. The result
// returns the peak memory of the largest of them in KiB, or 0 on other systems
// than Linux.
func (p *process) peakMemory() func() int {
	most, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for p.alive.Err() == nil && runtime.GOOS == "linux" {
			for _, pid := range family(p.cmd.Process.Pid) {
				most = max(most, statusField(pid, "VmHWM"))
			}
			select {
			case <-tick.C:
			case <-p.alive.Done():
			}
		}
	}()
	return func() int {
		<-done
		return most
	}
}

// family is a process and its descendants.
func family(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // a process may have ended
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, family(child)...)
			}
		}
	}
	return all
}

// statusField returns a number from /proc/PID/status, or 0 if it is missing.
func statusField(pid int, name string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	return 0
}
