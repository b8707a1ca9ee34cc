package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
	"golang.org/x/sys/unix"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
)

// allFaults says that these tests fail every call, as in make faults. Otherwise they
// fail a sample.
var allFaults = os.Getenv("FAULTS") == "all"

// diskErrors are the errors of each kind of call.
var diskErrors = map[string][]unix.Errno{
	"sync":     {unix.EIO},
	"rename":   {unix.EIO},
	"open":     {unix.EMFILE, unix.EACCES},
	"write":    {unix.ENOSPC, unix.EIO},
	"truncate": {unix.EIO},
	"remove":   {unix.EIO},
	"mode":     {unix.EPERM},
	"owner":    {unix.EPERM},
}

// diskFault is the failure of one call.
type diskFault struct {
	call  diskCall
	errno unix.Errno
	// byNumber chooses the call by its number alone.
	byNumber bool
}

// strikes returns the error if call is the one to fail, and 0 otherwise. That is the
// first call of its kind on such a file; with allFaults or byNumber, the nth call of
// its kind. The nth call may be another one in each run, because goroutines make calls
// at the same time.
func (f diskFault) strikes(call diskCall) unix.Errno {
	strikes := call.nth == 1 && call.String() == f.call.String()
	if allFaults || f.byNumber {
		strikes = call.kind == f.call.kind && call.n == f.call.n
	}
	if strikes {
		return f.errno
	}
	return 0
}

// faultsOf returns a fault for each call and each of its errors. Without FAULTS=all it
// returns at most most[kind] faults of a kind, for different kinds of files, and each
// vendor gets a part of them.
func faultsOf(calls []diskCall, most map[string]int, vendor string) []diskFault {
	var faults []diskFault
	byKind := map[string][]diskCall{}
	for _, call := range calls {
		if allFaults {
			for _, errno := range diskErrors[call.kind] {
				faults = append(faults, diskFault{call: call, errno: errno})
			}
		} else if call.nth == 1 {
			byKind[call.kind] = append(byKind[call.kind], call)
		}
	}
	for kind, first := range byKind {
		n := min(most[kind], len(first))
		for i := slices.Index(fixture.Vendors, vendor); i < n; i += len(fixture.Vendors) {
			faults = append(faults, diskFault{call: first[i*len(first)/n], errno: diskErrors[kind][i/len(fixture.Vendors)%len(diskErrors[kind])]})
		}
	}
	return faults
}

// each runs a test for each fault, and logs how the runs ended.
func each(t *testing.T, faults []diskFault, test func(t *testing.T, fault diskFault) (end string)) {
	t.Helper()
	if len(faults) == 0 {
		t.Error("no call was seen")
	}
	ends := map[string]int{}
	for _, fault := range faults {
		t.Run(fmt.Sprintf("%s %d %s", fault.call.kind, fault.call.n, unix.ErrnoName(fault.errno)), func(t *testing.T) {
			t.Logf("%s, %d", fault.call, fault.call.n)
			ends[test(t, fault)]++
		})
	}
	t.Logf("%d calls failed; the runs ended so: %v", len(faults), ends)
}

// faulty is a small directory: a sync of it makes all kinds of calls.
var faulty = simulator.Size{Users: 60, GroupSizes: []int{0, 1, 60}}

// watchedSync runs a sync in its own directories. --file holds an older sync. fault
// decides which disk calls fail.
func (s *setup) watchedSync(t *testing.T, older []byte, fault func(diskCall) unix.Errno, env ...string) (*oneShot, *diskWatch) {
	t.Helper()
	root := t.TempDir()
	o := s.prepareSync(t, &oneShot{file: filepath.Join(root, "out", "sync.c1z"), tmp: filepath.Join(root, "tmp")}, append(env, "BATON_LOG_LEVEL=error")...)
	for _, dir := range []string{filepath.Dir(o.file), o.tmp} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(o.file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	return o, watchDisk(t, o.process, root, fault)
}

// olderSync syncs once, changes the directory and returns the file.
func (s *setup) olderSync(t *testing.T) []byte {
	t.Helper()
	first := s.sync(t, nil)
	first.succeeds(t, s.Now())
	older, err := os.ReadFile(first.file)
	if err != nil {
		t.Fatal(err)
	}
	s.change()
	return older
}

func noFault(diskCall) unix.Errno { return 0 }

// TestADiskThatFailsOnceLosesNoFile fails one disk call of a run at a time: each run
// ends, with the old file and one line that says why, or with a whole new file.
func TestADiskThatFailsOnceLosesNoFile(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, faulty)
		older := s.olderSync(t)
		clean, watch := s.watchedSync(t, older, noFault)
		clean.succeeds(t, s.Now())
		calls, _ := watch.soFar()
		faults := faultsOf(calls, map[string]int{"sync": 8, "rename": 8, "open": 6, "write": 6}, s.Kind)
		each(t, faults, func(t *testing.T, fault diskFault) string { return s.losesNoFile(t, older, fault) })
	})
}

// TestADiskThatFailsOnceLosesNoFileWithSQLite does the same with the SDK's other store.
// Without FAULTS=all it fails calls of the last transaction but one, which stores the
// counts of rows: the SDK ignores its errors.
func TestADiskThatFailsOnceLosesNoFileWithSQLite(t *testing.T) {
	t.Parallel()
	s := startSetup(t, "baton-"+fixture.Guru, faulty)
	older, engine := s.olderSync(t), "BATON_STORAGE_ENGINE=sqlite"
	clean, watch := s.watchedSync(t, older, noFault, engine)
	clean.succeeds(t, s.Now())
	calls, _ := watch.soFar()
	faults := faultsOf(calls, nil, s.Kind)
	if !allFaults {
		calls = slices.DeleteFunc(calls, func(call diskCall) bool {
			return call.kind != "write" || !strings.HasSuffix(call.path, "db-journal")
		})
		for i := range 3 {
			faults = append(faults, diskFault{call: calls[len(calls)-7-i], errno: diskErrors["write"][i%2], byNumber: true})
		}
	}
	each(t, faults, func(t *testing.T, fault diskFault) string {
		return s.losesNoFile(t, older, fault, engine)
	})
}

// losesNoFile checks a run with a fault.
func (s *setup) losesNoFile(t *testing.T, older []byte, fault diskFault, env ...string) (end string) {
	t.Helper()
	o, _ := s.watchedSync(t, older, fault.strikes, env...)
	code := o.ends()
	said := strings.TrimSpace(o.stderr.String())
	if strings.Contains(said, "\n") {
		t.Errorf("it said more than a line: %s", said)
	}
	if code == 0 {
		o.succeeds(t, s.Now())
		return "well"
	}
	if now, err := os.ReadFile(o.file); err != nil || !bytes.Equal(now, older) {
		t.Errorf("exit code %d, and the file is another (%v)", code, err)
	}
	if !strings.HasPrefix(said, s.Connector+": ") || strings.Contains(said, "goroutine ") {
		t.Errorf("it said %s", said)
	}
	missing := code == 13 && strings.Contains(said, "counts of its rows are missing")
	if full := fault.errno == unix.ENOSPC; !missing && (code != 2 && !full || code != 8 && full) {
		t.Errorf("exit code %d after %s", code, fault.errno)
	}
	o.leaves(t, "sync.c1z")
	return fmt.Sprintf("exit code %d", code)
}

// TestANewFileIsOnTheDiskBeforeItsName shows that a power cut leaves the old file or
// the new one: the file is synced before it gets its name, and the directory after.
func TestANewFileIsOnTheDiskBeforeItsName(t *testing.T) {
	t.Parallel()
	for name, errno := range map[string]unix.Errno{"one file system": 0, "two file systems": unix.EXDEV} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s := open(t, faulty)
				o, watch := s.watchedSync(t, s.olderSync(t), func(call diskCall) unix.Errno {
					if call.to == "out/sync.c1z" && filepath.Dir(call.path) != "out" {
						return errno
					}
					return 0
				})
				o.succeeds(t, s.Now())
				calls, _ := watch.soFar()
				at := 0
				for i, call := range calls {
					if call.to == "out/sync.c1z" {
						at = i
					}
				}
				last := func(kind string) int {
					for i := at - 1; i >= 0; i-- {
						if calls[i].kind == kind && calls[i].path == calls[at].path {
							return i
						}
					}
					return -1
				}
				if last("sync") < 0 || last("sync") < last("write") {
					t.Errorf("the file is not synced after it was written and before its rename: %v", calls[at])
				}
				if !slices.ContainsFunc(calls[at:], func(call diskCall) bool { return call.kind == "sync" && call.path == "out" }) {
					t.Error("the directory is not synced after the rename")
				}
			})
		})
	}
}

// TestAFileThatCannotKeepItsOwnerIsPrivate replaces a file of another owner that
// everybody may read. The new file names people and cannot keep that owner, so only its
// own owner may read it.
func TestAFileThatCannotKeepItsOwnerIsPrivate(t *testing.T) {
	t.Parallel()
	s := startSetup(t, "baton-"+fixture.Guru, faulty)
	refused := 0
	o, _ := s.watchedSync(t, nil, func(call diskCall) unix.Errno {
		if call.kind == "owner" {
			refused++
			return unix.EPERM
		}
		return 0
	})
	if err := os.Chmod(o.file, 0o666); err != nil { //nolint:gosec // a trap
		t.Fatal(err)
	}
	o.succeeds(t, s.Now())
	if info, err := os.Stat(o.file); err != nil || info.Mode().Perm() != 0o600 || refused == 0 {
		t.Errorf("the file has the mode %v (%v), after %d refusals", info.Mode(), err, refused)
	}
}

// TestADiskThatFailsOnceFailsOneTask fails one disk call of a daemon at a time. C1
// gets the whole sync or a failed task, or the process ends without an answer. The
// next task succeeds, in a new process if the first one has ended.
func TestADiskThatFailsOnceFailsOneTask(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, faulty)
		begin := func(t *testing.T, fault func(diskCall) unix.Errno) (*daemon, *diskWatch, string) {
			tmp := t.TempDir()
			d := prepareDaemon(t, s, controlplane.Start(t), []string{"BATON_LOG_LEVEL=error", "BATON_TMPDIR=" + tmp})
			return d, watchDisk(t, d.process, tmp, fault), tmp
		}
		d, watch, _ := begin(t, noFault)
		fixture.CompareTruth(t, d.synced(d.plane.Enqueue(controlplane.FullSync())[0]), s.Now())
		d.signal(unix.SIGTERM)
		d.ends()
		calls, _ := watch.soFar()
		faults := faultsOf(calls, map[string]int{"sync": 2, "rename": 2, "write": 2}, s.Kind)
		each(t, faults, func(t *testing.T, fault diskFault) string {
			d, watch, tmp := begin(t, fault.strikes)
			end := d.endOf(t)
			if _, failed := watch.soFar(); len(failed) == 0 { // the call comes later
				if end != "well" {
					t.Fatalf("no call has failed, and the sync ended so: %s", end)
				}
				end = d.endOf(t)
			}
			if d.alive.Err() != nil {
				d = startDaemon(t, s, d.plane, []string{"BATON_TMPDIR=" + tmp})
			}
			fixture.CompareTruth(t, d.synced(d.plane.Enqueue(controlplane.FullSync())[0]), s.Now())
			return end
		})
	})
}

// endOf gives the daemon a sync and returns how it ended.
func (d *daemon) endOf(t *testing.T) string {
	t.Helper()
	id := d.plane.Enqueue(controlplane.FullSync())[0]
	event, err := d.plane.Wait(d.alive, func(e controlplane.Event) bool { return e.Method == "FinishTask" && e.TaskID == id })
	end, _ := event.Message.(*v1.BatonServiceFinishTaskRequest)
	switch {
	case err != nil && d.alive.Err() == nil:
		t.Fatalf("the task has no end: %v", err)
	case err == nil && end.HasSuccess():
		fixture.CompareTruth(t, d.synced(id), d.Now())
		return "well"
	}
	if files := d.uploads(id); len(files) > 0 {
		t.Errorf("a failed task uploaded %v", files)
	}
	if err == nil {
		return "failed task"
	}
	code, said := d.wait(), strings.TrimSpace(d.stderr.String())
	if code != 2 && code != 8 || strings.Contains(said, "\n") || !strings.HasPrefix(said, d.Connector+": ") {
		t.Errorf("exit code %d; it said %s", code, said)
	}
	return fmt.Sprintf("exit code %d", code)
}
