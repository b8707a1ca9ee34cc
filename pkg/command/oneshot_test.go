//go:build unix

package command

import (
	"encoding/csv"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestAFinishedSyncExitsZeroAndSaysWhatItHolds(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).env("BATON_OUTPUT_FORMAT=json").exits(0)
	said := run.summary()
	want := counts{Users: 25, Enabled: 20, Disabled: 5, Service: 1, Groups: 3, Memberships: 30}
	if said.Counts != want || said.Requests != 9 || said.Retries != 0 || said.Waited != 0 {
		t.Errorf("the summary says %+v, want %+v and 9 requests", said, want)
	}
	if said.Connector != "baton-test" || said.Version != "1.2.3" || said.File != run.file || said.Changes != nil || len(said.Warnings) != 0 {
		t.Errorf("the summary says %+v", said)
	}
	if said.StartedAt.IsZero() || said.EndedAt.Before(said.StartedAt) {
		t.Errorf("it says that the sync took from %v to %v", said.StartedAt, said.EndedAt)
	}
	if n := int64(len(v.asked())); n != said.Requests {
		t.Errorf("the vendor saw %v requests", n)
	}
	if runs := run.runs(); len(runs) != 1 || runs[0].ended.IsZero() || runs[0].id != said.SyncID {
		t.Errorf("the file holds %+v", runs)
	}
	run.leaves("sync.c1z")

	// The summary does not depend on the log.
	second := run.again().env("BATON_OUTPUT_FORMAT=text", "BATON_LOG_LEVEL=error").exits(0)
	for _, part := range []string{
		"baton-test: synced to " + run.file + " in ",
		"\n  users              25   20 enabled, 5 disabled; service accounts: 1\n",
		"\n  groups              3\n", "\n  memberships        30\n", "\n  requests            9\n",
		"    users        +0  -0  0 newly disabled\n", "    memberships  +0  -0\n",
		"  Look at it: baton resources -f " + run.file + "\n",
	} {
		if !strings.Contains(second.stdout.String(), part) {
			t.Errorf("the summary lacks %q:\n%s", part, second.stdout.String())
		}
	}
	if second.stderr.Len() > 0 {
		t.Errorf("stderr holds %q", second.stderr.String())
	}
	if runs := second.runs(); len(runs) != 1 || runs[0].id == said.SyncID {
		t.Errorf("the file holds %+v, want one new sync", runs)
	}
}

// The fields of the SDK's gRPC server hide an entry's message.
func TestTheLogHasNoTransportInIt(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t)).exits(0)
	log := run.stderr.String()
	if !strings.Contains(log, `"msg":"Synced resources"`) {
		t.Errorf("the SDK's log is missing:\n%s", log)
	}
	for _, unwanted := range []string{`"grpc.`, `"level":"error"`} {
		if strings.Contains(log, unwanted) {
			t.Errorf("the log holds %s:\n%s", unwanted, log)
		}
	}
}

// Users do not read a failure that is reported five times.
func TestAFailureIsToldOnce(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.at("/check", fail(401))
	run := invoke(t, v).env("BATON_LOG_LEVEL=error").exits(16).says("check the credentials: GET ")
	if strings.Count(run.stderr.String(), "\n") != 1 || run.stdout.Len() != 0 {
		t.Errorf("it says on stderr\n%s\nand on stdout\n%s", run.stderr.String(), run.stdout.String())
	}
	inJSON := run.again().env("BATON_OUTPUT_FORMAT=json").exits(16)
	said := inJSON.failure()
	if said.Error.Code != 16 || said.Error.Name != "Unauthenticated" || !strings.HasPrefix(said.Error.Message, "baton-test: check the credentials: GET ") {
		t.Errorf("it says %+v", said)
	}
	if inJSON.stderr.Len() != 0 {
		t.Errorf("stderr holds %q", inJSON.stderr.String())
	}
}

// Nothing listens at a wrong port: waiting does not help.
func TestARefusedPortIsToldAtOnce(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	address := v.URL
	v.Close()
	run := invoke(t, nil).env("BATON_BASE_URL="+address, "BATON_API_TOKEN=secret-token").exits(14).says("connection refused")
	if strings.Contains(run.stderr.String(), `"msg":"retrying`) {
		t.Errorf("it tries again:\n%s", run.stderr.String())
	}
}

// A crash must not pass for an empty list, and a user who reports it needs its
// place.
func TestACrashNamesItsPlace(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.at("/users", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"rows":[{"id":"crash"}]}`) })
	invoke(t, v).exits(13).says("the connector crashed at pkg/command.(*testSource).Users.", "please report it").leaves()
}

func TestTheOlderFormatIsVerifiedToo(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t), "--storage-engine", "sqlite").exits(0)
	if runs := run.runs(); len(runs) == 0 || runs[len(runs)-1].ended.IsZero() {
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

// Readers would take half a sync, instead of the last good one, for the truth.
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
	if now := slow.runs(); len(now) != 1 || now[0].ended.IsZero() || now[0] == between[0] {
		t.Errorf("the file holds %+v, want the sync of the run that ended last", now)
	}
	slow.leaves("sync.c1z")
}

func TestAnInterruptedSyncSaysSo(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		signal syscall.Signal
		code   int
	}{
		{"INT", syscall.SIGINT, 130},
		{"TERM", syscall.SIGTERM, 143},
		{"HUP", syscall.SIGHUP, 129},
		{"QUIT", syscall.SIGQUIT, 131},
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
				run.start()
				<-reached
				if err := run.cmd.Process.Signal(row.signal); err != nil {
					t.Fatal(err)
				}
				if code := run.wait(); code != row.code {
					t.Errorf("exit code %d, want %d", code, row.code)
				}
				run.says("interrupted; " + run.file + " is unchanged; run the same command again")
				run.leaves()
				v.at("", nil)
				run.again().exits(0)
			})
		}
	}
}

// nohup asks that a hang-up does not end the run.
func TestASignalThatIsIgnoredDoesNotEndASync(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	reached, goOn := make(chan struct{}), make(chan struct{})
	v.answers(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/check" {
			close(reached)
			<-goOn
		}
		return false
	})
	run := invoke(t, v)
	run.cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, run.cmd.Path}, run.cmd.Args[1:]...)
	run.cmd.Path = "/bin/sh"
	run.start()
	<-reached
	if err := run.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if code := run.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, run.stderr.String())
	}
}

func TestWhatAKilledRunLeavesGoesWithTheNext(t *testing.T) {
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
	if err := run.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code := run.wait(); code != 137 {
		t.Errorf("exit code %d", code)
	}
	if entries, _ := os.ReadDir(run.tmp); len(entries) != 1 {
		t.Errorf("want one stale directory in %v", entries)
	}
	// A copy beside the file, as it is made across file systems.
	write(t, run.file+".123.new", "half a file")
	v.at("", nil)
	run.again().exits(0).leaves("sync.c1z")
}

// A file that another process is writing must stay.
func TestACopyThatIsBeingWrittenStays(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t))
	written, err := stage(run.file)
	if err != nil {
		t.Fatal(err)
	}
	defer written.discard()
	run.exits(0).leaves("sync.c1z", filepath.Base(written.file.Name()))
}

// A pipe without a reader does not turn a good sync into a bad one.
func TestClosedPipesDoNotChangeTheEnd(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = reader.Close()
	run.cmd.Stdout, run.cmd.Stderr = writer, writer
	run.exits(0).leaves("sync.c1z")
	_ = writer.Close()
	full := run.again()
	if full.cmd.Stdout, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Log("there is no /dev/full here")
		return
	}
	full.exits(0)
}

// A reader that hangs does not hold back an interrupt.
func TestABlockedPipeDoesNotHoldBackAnInterrupt(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	reached := make(chan struct{}, 1)
	v.at("/groups", func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close() //nolint:errcheck // nothing was written that matters
	run := invoke(t, v).env("BATON_LOG_LEVEL=error")
	run.cmd.Stderr = writer
	run.start()
	<-reached
	fillPipe(t, writer)
	if err := run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := run.wait(); code != 143 {
		t.Errorf("exit code %d", code)
	}
}

// fillPipe writes to a pipe until it takes no more.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	fd := int(w.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for size := 4096; size > 0; {
		if _, err := syscall.Write(fd, make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// A directory that is suddenly empty is more often a lost permission than a
// company without users.
func TestAFileThatHoldsPeopleIsNotReplacedByAnEmptyOne(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, says string
		empty      func(path string) bool
	}{
		{"users", "the sync found no users, but sync.c1z holds 25 of them", func(path string) bool { return path == "/users" || strings.HasSuffix(path, "/members") }},
		{"memberships", "the sync found no memberships, but sync.c1z holds 30 of them", func(path string) bool { return strings.HasSuffix(path, "/members") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			run := invoke(t, v).exits(0)
			before := run.runs()
			v.answers(func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if row.empty(r.URL.Path) {
					_, _ = io.WriteString(w, `{"rows":[],"last":true}`)
				}
				return row.empty(r.URL.Path)
			})
			run.again().exits(10).says(row.says, "accept the new result with --accept-empty").leaves("sync.c1z")
			if now := run.runs(); now[0].id != before[0].id {
				t.Error("the file was replaced")
			}
			run.again().env("BATON_ACCEPT_EMPTY=true").exits(0)
			if now := run.runs(); now[0].id == before[0].id {
				t.Error("the file was not replaced")
			}
		})
	}
}

// If the run's own settings leave memberships out, the credential is not at
// fault.
func TestALimitedSyncIsToldToTakeAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	run := invoke(t, newVendor(t)).exits(0)
	run.again().env("BATON_SKIP_ENTITLEMENTS_AND_GRANTS=true").exits(10).
		says("--skip-entitlements-and-grants (BATON_SKIP_ENTITLEMENTS_AND_GRANTS) limits this run; use a separate file")
}

// A reviewer of access asks first what is new.
func TestChangesAreToldRowByRow(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"pebble", "sqlite"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			file := filepath.Join(t.TempDir(), "changes.csv")
			run := invoke(t, v, "--storage-engine", engine).env("BATON_OUTPUT_FORMAT=json", "BATON_CHANGES="+file).exits(0)
			if got := readCSV(t, file); len(got) != 1 || !slices.Equal(got[0], changeColumns) {
				t.Errorf("without an earlier sync it holds %v", got)
			}
			v.answers(func(_ int, w http.ResponseWriter, r *http.Request) bool {
				switch r.URL.Path + "?" + r.URL.RawQuery {
				case "/users?page=2": // 20 to 24 before, 24 disabled
					_, _ = io.WriteString(w, `{"rows":[{"id":"20"},{"id":"21","Disabled":true},{"id":"22"},{"id":"24","Disabled":true},{"id":"=25"}],"last":true}`)
				case "/groups/1/members?page=0": // 0 to 9 before
					_, _ = io.WriteString(w, `{"rows":[{"id":"1"},{"id":"2"},{"id":"3"},{"id":"4"},{"id":"5"},{"id":"6"},{"id":"7"},{"id":"8"},{"id":"=25"}],"last":true}`)
				default:
					return false
				}
				return true
			})
			second := run.again().exits(0)
			said := second.summary()
			want := changes{
				Since: said.Changes.Since, Users: userChanges{rowChanges{Added: 1, Removed: 1}, 1},
				Memberships: rowChanges{Added: 1, Removed: 2},
			}
			if *said.Changes != want || want.Since.IsZero() || said.ChangesFile != file {
				t.Errorf("the summary says %+v, want %+v", *said.Changes, want)
			}
			got := readCSV(t, file)
			slices.SortFunc(got[1:], slices.Compare[[]string])
			rows := [][]string{
				changeColumns,
				{"added", "membership", "'=25", "'=25", "1", "1"},
				{"added", "user", "'=25", "'=25", "", ""},
				{"disabled", "user", "21", "21", "", ""},
				{"removed", "membership", "0", "0", "1", "1"},
				{"removed", "membership", "9", "9", "1", "1"},
				{"removed", "user", "23", "23", "", ""},
			}
			if !slices.EqualFunc(got, rows, slices.Equal) {
				t.Errorf("got  %v\nwant %v", got, rows)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file is %v, %v", info, err)
			}
		})
	}
}

// A sync that cannot compare must not report that nothing changed.
func TestAFileThatIsDamagedDuringTheSyncFailsIt(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	v.answers(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/groups" {
			write(t, run.file, "not a c1z")
		}
		return false
	})
	run.again().env("BATON_CHANGES="+filepath.Join(run.dir, "changes.csv")).exits(2).says("cannot compare with ", "damaged c1z").leaves("sync.c1z")
	if content, err := os.ReadFile(run.file); err != nil || string(content) != "not a c1z" {
		t.Errorf("the file was replaced: %v", err)
	}
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
