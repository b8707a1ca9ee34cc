//go:build unix

package command

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A lock on a file that has lost its name keeps no run out: the next run locks
// the file that has the name now.
func TestALockOnAFileThatLostItsNameIsTakenAgain(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it
	for _, row := range []struct {
		name  string
		loses func() error
		again bool
	}{
		{"kept", func() error { return nil }, false},
		{"removed", func() error { return os.Remove(filepath.Join(path, "removed")) }, true},
		{"replaced", func() error {
			write(t, filepath.Join(path, "new"), "")
			return os.Rename(filepath.Join(path, "new"), filepath.Join(path, "replaced"))
		}, true},
	} {
		f, err := dir.OpenFile(row.name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // empty
		if err := row.loses(); err != nil {
			t.Fatal(err)
		}
		if again, err := lock(f, dir, row.name); err != nil || again != row.again {
			t.Errorf("%s: lock says again %v, %v; want %v", row.name, again, err, row.again)
		}
	}
}

// In a directory that all share, the name of a lock may stand for anything.
func TestOnlyAPlainFileOfTheUsersOwnIsLocked(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close() //nolint:errcheck // nothing is written through it
	in := func(name string) string { return filepath.Join(path, name) }
	write(t, in("own"), "")
	write(t, in("open to all"), "")
	for _, err := range []error{
		os.Chmod(in("open to all"), 0o666), //nolint:gosec // a mode that a user may have chosen
		os.Symlink("own", in("link")),
		os.Symlink("absent", in("link to nothing")),
		os.Mkdir(in("directory"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	own, err := acquire(dir, "own")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close() //nolint:errcheck // empty
	for name, want := range map[string]error{
		"own": errLocked, "new": nil, "open to all": errForeign, "directory": errForeign,
		// Not even the end of the link is locked, or this would find that it is.
		"link": errForeign, "link to nothing": errForeign,
	} {
		f, err := acquire(dir, name)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if f != nil {
			_ = f.Close()
		}
	}
	if _, err := os.Lstat(in("absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the end of a link was made: %v", err)
	}
}
