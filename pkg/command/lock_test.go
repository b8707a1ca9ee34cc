//go:build unix

package command

import (
	"os"
	"path/filepath"
	"testing"
)

// A lock on a file that has lost its name keeps nobody out: the next run locks
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
