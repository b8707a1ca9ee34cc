//go:build unix

package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAFinishedSyncExitsZeroAndSaysWhatItHolds(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	fields := run.log("sync finished")
	want := map[string]float64{"users": 25, "enabled": 20, "disabled": 5, "service": 1, "groups": 3, "memberships": 30, "requests": 9, "retries": 0}
	for key, n := range want {
		if fields[key] != n {
			t.Errorf("%s is %v, want %v", key, fields[key], n)
		}
	}
	if fields["file"] != run.file || fields["resumed"] != false {
		t.Errorf("the summary does not name the file: %v", fields)
	}
	if n := float64(len(v.asked())); n != want["requests"] {
		t.Errorf("the vendor saw %v requests", n)
	}
	if runs := run.runs(); len(runs) != 1 || !runs[0].finished || runs[0].id != fields["sync_id"] {
		t.Errorf("the file holds %+v", runs)
	}
	run.leaves("sync.c1z")

	// A second run replaces the first, on a terminal with a text.
	second := run.again().env("BATON_LOG_FORMAT=console", "BATON_LOG_LEVEL=error").exits(0)
	text := strings.TrimSpace(second.stderr.String())
	for _, part := range []string{
		"baton-test: sync finished in ", ": " + run.file + "\n",
		"users              25   20 enabled, 5 disabled, 1 service\n", "groups              3\n",
		"memberships        30\n", "requests            9   0 retries, 0s waited for rate limits\n",
		"baton resources -f " + run.file,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the summary lacks %q:\n%s", part, text)
		}
	}
	if runs := second.runs(); len(runs) != 1 || runs[0].id == fields["sync_id"] {
		t.Errorf("the file holds %+v, want one new sync", runs)
	}
}

func TestTheOlderFormatIsVerifiedToo(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t), "--storage-engine", "sqlite").exits(0)
	if runs := run.runs(); len(runs) == 0 || !runs[len(runs)-1].finished {
		t.Errorf("the file holds %+v", runs)
	}
	run.leaves("sync.c1z")
}

// The SDK syncs single resources as well; its Cleanup must reach us there.
func TestATargetedSyncFinishes(t *testing.T) {
	t.Parallel()
	invoke(t, newVendor(t), "--sync-resource-types", "user").exits(0).leaves("sync.c1z")
}

func TestAFailedSyncExitsWithItsCodeAndOneLine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, path string
		status     int
		code       int
		says       string
		left       []string
	}{
		{"refused credential", "/check", 401, 16, "check the credentials: GET ", nil},
		{"forbidden", "/check", 403, 7, "check the credentials: GET ", nil},
		{"users forbidden", "/users", 403, 7, "list users: GET ", []string{"sync.c1z", "sync.c1z.lock"}},
		{"groups gone", "/groups", 404, 9, "list groups: GET ", []string{"sync.c1z", "sync.c1z.lock"}},
		{"members odd", "/groups/2/members", 418, 3, "list the members of a group: GET ", []string{"sync.c1z", "sync.c1z.lock"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			v.at(row.path, fail(row.status))
			run := invoke(t, v).exits(row.code).says(row.says)
			for _, sync := range run.runs() {
				if sync.finished {
					t.Errorf("the file holds a finished sync")
				}
			}
			run.leaves(row.left...)
		})
	}
}

// A run that could not finish is taken up by the next.
func TestAnUnfinishedSyncIsResumed(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.at("/groups/2/members", fail(403))
	run := invoke(t, v).exits(7)
	runs := run.runs()
	if len(runs) != 1 || runs[0].finished {
		t.Fatalf("the file holds %+v, want one unfinished sync", runs)
	}
	v.at("", nil)
	next := run.again().exits(0)
	if fields := next.log("sync finished"); fields["resumed"] != true {
		t.Errorf("the summary does not say that its counts may be of a part: %v", fields)
	}
	if now := next.runs(); len(now) != 1 || !now[0].finished || now[0].id != runs[0].id {
		t.Errorf("the file holds %+v, want %s finished", now, runs[0].id)
	}
	next.leaves("sync.c1z")
}

// What was read last week may not be so today.
func TestAnOldUnfinishedSyncIsBegunAnew(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.at("/groups/2/members", fail(403))
	run := invoke(t, v).exits(7)
	owner, err := os.ReadFile(run.file + lockSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		age  time.Duration
		gone bool
	}{{resumeWithin / 2, false}, {resumeWithin + time.Minute, true}} {
		p := &program{name: "baton-test", identity: strings.TrimSpace(string(owner)), now: func() time.Time { return time.Now().Add(row.age) }}
		lock, err := p.claim(context.Background(), run.file, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		_ = lock.Close()
		if _, err := os.Stat(run.file); os.IsNotExist(err) != row.gone {
			t.Errorf("at the age of %s: %v", row.age, err)
		}
	}
}

// Otherwise a file could hold the users of one tenant and the groups of another.
func TestAnUnfinishedSyncOfAnotherTenantIsNotResumed(t *testing.T) {
	t.Parallel()
	v, other := newVendor(t), newVendor(t)
	v.at("/groups/2/members", fail(403))
	run := invoke(t, v).exits(7)
	before, err := os.ReadFile(run.file)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, next *invocation) {
		next.exits(9).says("holds an unfinished sync")
		if after, err := os.ReadFile(run.file); err != nil || string(after) != string(before) {
			t.Errorf("%s: the file has changed", name)
		}
	}
	refused("another tenant", run.again().env("BATON_BASE_URL="+other.URL))
	refused("another choice of flags", run.again().env("BATON_SYNC_RESOURCE_TYPES=user"))
	if err := os.Remove(run.file + lockSuffix); err != nil {
		t.Fatal(err)
	}
	refused("nobody knows whose", run.again())
	if got := other.asked(); len(got) != 0 {
		t.Errorf("the other tenant was asked for %v", got)
	}
}

func TestTwoRunsDoNotWriteOneFile(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	reached, goOn := make(chan struct{}), make(chan struct{})
	v.at("/groups", func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-goOn
		_, _ = io.WriteString(w, `{"rows":[],"last":true}`)
	})
	first := invoke(t, v)
	first.start()
	<-reached
	first.again().exits(9).says("another run is writing " + first.file)
	close(goOn)
	if code := first.wait(); code != 0 {
		t.Errorf("the first run exits %d\n%s", code, first.stderr.String())
	}
	first.leaves("sync.c1z")
}

func TestAnInterruptedSyncSaysSo(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		signal syscall.Signal
		group  bool
		code   int
	}{
		{"SIGINT", syscall.SIGINT, false, 130},
		{"SIGTERM", syscall.SIGTERM, false, 143},
		{"Ctrl-C reaches the whole process group", syscall.SIGINT, true, 130},
	} {
		for _, path := range []string{"/check", "/users", "/groups/2/members"} {
			t.Run(row.name+path, func(t *testing.T) {
				t.Parallel()
				v := newVendor(t)
				reached := make(chan struct{}, 1)
				v.at(path, func(_ http.ResponseWriter, r *http.Request) {
					reached <- struct{}{}
					<-r.Context().Done() // the connector is gone
				})
				run := invoke(t, v)
				run.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				run.start()
				<-reached
				pid := run.cmd.Process.Pid
				if row.group {
					pid = -pid
				}
				if err := syscall.Kill(pid, row.signal); err != nil {
					t.Fatal(err)
				}
				if code := run.wait(); code != row.code {
					t.Errorf("exit code %d, want %d", code, row.code)
				}
				run.says("interrupted: " + run.file + " holds no finished sync from this run; run the same command again")
				run.leaves()
				v.at("", nil)
				run.again().exits(0)
			})
		}
	}
}

// processes lists the processes that were started with a marker in their
// environment.
func processes(t *testing.T, marker string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range paths {
		if env, err := os.ReadFile(path); err == nil && strings.Contains(string(env), marker) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

func TestNothingOutlivesAKilledSupervisor(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Log("without /proc the processes cannot be counted; the file lock is checked all the same")
	}
	t.Parallel()
	v := newVendor(t)
	reached := make(chan struct{}, 1)
	v.at("/groups", func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	run := invoke(t, v)
	marker := "TEST_MARKER=" + run.dir
	run.env(marker).start()
	<-reached
	if n := len(processes(t, marker)); n != 3 {
		t.Errorf("%d processes run, want supervisor, worker and connector", n)
	}
	if err := run.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Wait returns when the last process has let go of stderr.
	if code := run.wait(); code != 137 {
		t.Errorf("exit code %d", code)
	}
	for deadline := time.Now().Add(time.Minute); len(processes(t, marker)) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("still there: %v", processes(t, marker))
		}
		time.Sleep(10 * time.Millisecond)
	}
	// What it left behind goes with the next run.
	if entries, _ := os.ReadDir(run.tmp); len(entries) != 1 {
		t.Errorf("want one stale directory in %v", entries)
	}
	v.at("", nil)
	run.again().exits(0).leaves("sync.c1z")
}

// The SDK's goroutine that waits for its child may end the process with 0.
func TestAWorkerThatEndsWithZeroIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		leaves string
		code   int
		says   string
	}{
		"nobody knows why":                      {"", 13, "the sync has failed: see the lines above"},
		"the connector knows":                   {faultFile + `={"line":"baton-test: list users: no","code":7}`, 7, "list users: no"},
		"a sealed sync that is not in the file": {summaryFile + `={"sync_id":"not-there"}`, 13, "the sync has failed: see the lines above"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := invoke(t, nil).env("BATON_BASE_URL=http://127.0.0.1:1", "BATON_API_TOKEN=secret-token", asZeroWorker+"="+row.leaves)
			run.exits(row.code).says(row.says).leaves()
		})
	}
}

// A worker that is killed, by the OOM killer say, is no success either.
func TestAKilledWorkerIsReported(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	reached := make(chan struct{}, 1)
	v.at("/groups", func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	run := invoke(t, v)
	run.start()
	<-reached
	out, err := exec.Command("pgrep", "-P", fmt.Sprint(run.cmd.Process.Pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	worker := 0
	if _, err := fmt.Sscan(string(out), &worker); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := run.wait(); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
	run.says("signal: killed", "holds no finished sync from this run").leaves()
}
