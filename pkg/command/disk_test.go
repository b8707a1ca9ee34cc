package command

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// On a full disk the SDK's store crashes or tries again for ever.
func TestAFullDiskOfTheWorkDirectoryEndsTheRun(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v).exits(0)
	before := run.runs()
	for _, writes := range []int{0, 1, 5, 10, 20, 40} {
		run.again().env(testFullAfter+"="+strconv.Itoa(writes)).exits(8).says("no space left for temporary files in "+run.tmp, "BATON_TMPDIR").leaves("sync.c1z")
		if now := run.runs(); now[0].id != before[0].id {
			t.Errorf("a disk that is full after %d writes: the file was replaced", writes)
		}
	}
	run.again().env(testFullAfter + "=10000").exits(0)
}

// errDisk is the error of every call of a failing file system.
var errDisk = errors.New("the disk is broken")

// failingFS fails to make files, to rename them and to sync directories.
type failingFS struct {
	vfs.FS
	err error
}

func (f failingFS) Create(string, vfs.DiskWriteCategory) (vfs.File, error) { return nil, f.err }
func (f failingFS) Open(string, ...vfs.OpenOption) (vfs.File, error)       { return nil, f.err }
func (f failingFS) Rename(string, string) error                            { return f.err }
func (f failingFS) Link(string, string) error                              { return f.err }

// The store ends the process, or spins, after some errors; a daemon must live on
// after the others.
func TestTheStoreGoesOnlyOnWhereItSurvives(t *testing.T) {
	t.Parallel()
	create := func(name string) func(vfs.FS) error {
		return func(disk vfs.FS) error {
			_, err := disk.Create(filepath.Join("db", name), vfs.WriteCategoryUnspecified)
			return err
		}
	}
	for _, row := range []struct {
		name        string
		call        func(vfs.FS) error
		err         error
		all, broken bool
	}{
		{"the log", create("000002.log"), errDisk, false, true},
		{"the list of files", create("MANIFEST-000001"), errDisk, false, true},
		{"which list is the last", create("marker.manifest.000002.MANIFEST-000010"), errDisk, false, true},
		{"the log's next name", func(disk vfs.FS) error { return disk.Rename("000002.log", "000007.log") }, errDisk, false, true},
		{"a table", create("000004.sst"), errDisk, false, false},
		{"a table, in a one-shot", create("000004.sst"), errDisk, true, true},
		{"a table, on a full disk", create("000004.sst"), fullErrors[0], false, true},
		{"a file that is read", func(disk vfs.FS) error { _, err := disk.Open("000002.log"); return err }, errDisk, false, false},
		{"a file that is not there", func(disk vfs.FS) error { _, err := disk.Open("CURRENT"); return err }, os.ErrNotExist, true, false},
		{"a link", func(disk vfs.FS) error { return disk.Link("000004.sst", "checkpoint/000004.sst") }, errDisk, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			failed, returned := make(chan error, 1), make(chan error, 1)
			disk := &watchedFS{FS: failingFS{vfs.NewMem(), row.err}, all: row.all, failed: failed}
			go func() { returned <- row.call(disk) }()
			select {
			case err := <-failed:
				if !row.broken || !errors.Is(err, row.err) {
					t.Errorf("the run ends with %v", err)
				}
			case err := <-returned:
				if row.broken || !errors.Is(err, row.err) {
					t.Errorf("the store goes on after %v", err)
				}
			}
		})
	}
}

// After an error, the store's next action may be wrong.
func TestNoCallReturnsAfterAnErrorOfTheStore(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	disk := &watchedFS{failed: failed}
	for _, row := range []struct {
		err   error
		vital bool
		stops bool
	}{{nil, true, false}, {errDisk, false, false}, {errDisk, true, true}, {nil, false, true}, {errors.New("another"), true, true}} {
		if got := disk.stops(row.err, row.vital); got != row.stops {
			t.Errorf("%+v: the call stops: %v", row, got)
		}
	}
	if err := <-failed; !errors.Is(err, errDisk) {
		t.Errorf("the run ends with %v", err)
	}
}
