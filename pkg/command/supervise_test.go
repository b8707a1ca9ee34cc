//go:build unix

package command

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestAFinishedSyncExitsZeroAndSaysWhatItHolds(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	fields := run.summary()
	want := map[string]float64{"users": 25, "enabled": 20, "disabled": 5, "service": 1, "groups": 3, "memberships": 30, "requests": 9, "retries": 0}
	for key, n := range want {
		if fields[key] != n {
			t.Errorf("%s is %v, want %v", key, fields[key], n)
		}
	}
	if fields["file"] != run.file {
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
	}{
		{"refused credential", "/check", 401, 16, "check the credentials: GET "},
		{"forbidden", "/check", 403, 7, "check the credentials: GET "},
		{"users forbidden", "/users", 403, 7, "list users: GET "},
		{"groups gone", "/groups", 404, 9, "list groups: GET "},
		{"members odd", "/groups/2/members", 418, 3, "list the members of a group: GET "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			v.at(row.path, fail(row.status))
			run := invoke(t, v).exits(row.code).says(row.says)
			run.leaves()
		})
	}
}

// Half a sync in place of the last good one would be read as the truth.
func TestAFailedSyncLeavesTheLastGoodFile(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	good := run.runs()
	v.at("/groups/2/members", fail(403))
	run.again().exits(7)
	if now := run.runs(); len(now) != 1 || now[0] != good[0] {
		t.Errorf("the file holds %+v, want %+v", now, good)
	}
	run.leaves("sync.c1z")
}

// Both may finish; neither may spoil the other's file.
func TestRunsThatOverlapLeaveAWholeFile(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	reached, goOn := make(chan struct{}), make(chan struct{})
	var first sync.Once
	v.at("/groups", func(w http.ResponseWriter, _ *http.Request) {
		held := false
		first.Do(func() { held = true })
		if held {
			close(reached)
			<-goOn
		}
		_, _ = io.WriteString(w, `{"rows":[],"last":true}`)
	})
	slow := invoke(t, v)
	slow.start()
	<-reached
	fast := slow.again().exits(0)
	between := fast.runs()
	close(goOn)
	if code := slow.wait(); code != 0 {
		t.Errorf("the first run exits %d\n%s", code, slow.stderr.String())
	}
	if now := slow.runs(); len(now) != 1 || !now[0].finished || now[0] == between[0] {
		t.Errorf("the file holds %+v, want the sync of the run that ended last", now)
	}
	slow.leaves("sync.c1z")
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

// processes lists the processes of a group, without those that have ended.
func processes(t *testing.T, group int) []string {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pgid=", "-o", "stat=", "-o", "pid=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == strconv.Itoa(group) && !strings.HasPrefix(f[1], "Z") {
			found = append(found, f[2])
		}
	}
	return found
}

func TestNothingOutlivesAKilledSupervisor(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	reached := make(chan struct{}, 1)
	v.at("/groups", func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	run := invoke(t, v)
	run.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run.start()
	<-reached
	group := run.cmd.Process.Pid
	if found := processes(t, group); len(found) != 3 {
		t.Errorf("the processes %v run, want supervisor, worker and connector", found)
	}
	if err := run.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Wait returns when the last process has let go of stderr.
	if code := run.wait(); code != 137 {
		t.Errorf("exit code %d", code)
	}
	for deadline := time.Now().Add(time.Minute); len(processes(t, group)) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("still there: %v", processes(t, group))
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
