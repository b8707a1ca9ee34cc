package command

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

func TestOnlyWhatAKilledRunLeftIsRemoved(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	mkdir := func(name string, files ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			write(t, filepath.Join(base, name, f), "x")
		}
	}
	alive, err := newWorkDir(base, "baton-test")
	if err != nil {
		t.Fatal(err)
	}
	mkdir("baton-test-1-2345", workDirLock, "big")
	mkdir("baton-test-1-6789") // killed before it made the lock
	keep := []string{
		filepath.Base(alive.path),
		"baton-test-2024-11",      // a user's own: no lock file
		"baton-test-1-2345-notes", // another name
		"baton-other-1-2345",      // another connector's
		"c1z-pebble12345",         // the SDK's, of some other program
		"baton-test-1-1111",       // others may write to it, so any user can have made it
	}
	mkdir(keep[1], "report")
	mkdir(keep[2], workDirLock)
	mkdir(keep[3], workDirLock)
	mkdir(keep[4])
	mkdir(keep[5], workDirLock)
	if err := os.Chmod(filepath.Join(base, keep[5]), 0o777); err != nil { //nolint:gosec // a trap in a shared directory
		t.Fatal(err)
	}

	next, err := newWorkDir(base, "baton-test")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range keep {
		if _, err := os.Stat(filepath.Join(base, name)); err != nil {
			t.Errorf("%s was removed", name)
		}
	}
	for _, stale := range []string{"baton-test-1-2345", "baton-test-1-6789"} {
		if _, err := os.Stat(filepath.Join(base, stale)); !os.IsNotExist(err) {
			t.Errorf("%s of a killed run is still there", stale)
		}
	}
	next.remove()
	alive.remove()
	if _, err := os.Stat(alive.path); !os.IsNotExist(err) {
		t.Error("remove leaves the directory")
	}
}

// Many runs start at the same time, and each removes directories that it takes
// for stale.
func TestRunsThatStartTogetherKeepTheirDirectories(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				s, err := newWorkDir(base, "baton-test")
				if err != nil {
					t.Error(err)
					return
				}
				reclaim(base, "baton-test")
				if err := os.WriteFile(filepath.Join(s.path, "data"), nil, 0o600); err != nil {
					t.Error(err)
				}
				s.remove()
			}
		})
	}
	all.Wait()
	if left, _ := os.ReadDir(base); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// In a shared directory, a lock may be a link that another user has put there
// for root to follow.
func TestALinkInTheWayIsNotFollowed(t *testing.T) {
	t.Parallel()
	base, target := t.TempDir(), filepath.Join(t.TempDir(), "nologin")
	trap := filepath.Join(base, "baton-test-1-1")
	if err := os.Mkdir(trap, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(trap, workDirLock)); err != nil {
		t.Fatal(err)
	}
	private := t.TempDir()                           // like a run's directory, but a link leads there
	if err := os.Chmod(private, 0o700); err != nil { //nolint:gosec // private
		t.Fatal(err)
	}
	write(t, filepath.Join(private, workDirLock), "")
	write(t, filepath.Join(private, "own"), "")
	if err := os.Symlink(private, filepath.Join(base, "baton-test-1-2")); err != nil {
		t.Fatal(err)
	}
	if _, err := takeWorkDir(filepath.Join(base, "baton-test-1-2")); !errors.Is(err, errForeign) {
		t.Errorf("a link was taken for a work directory: %v", err)
	}
	s, err := newWorkDir(base, "baton-test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Errorf("the link was followed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(private, "own")); err != nil {
		t.Errorf("the end of a link was removed: %v", err)
	}
}

// The SDK's store ends the process where its files are gone.
func TestWhatMayStillBeWrittenToIsLeftToTheNextStart(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	left := func(want int) {
		t.Helper()
		if entries, err := os.ReadDir(base); err != nil || len(entries) != want {
			t.Errorf("%d directories are left, %v; want %d", len(entries), err, want)
		}
	}
	// A process that another test starts holds the lock too, until it runs its
	// own program.
	release := func(s *workDir) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		s.release()
	}
	s, err := newWorkDir(base, "baton-test")
	if err != nil {
		t.Fatal(err)
	}
	release(s)
	left(0)
	if s, err = newWorkDir(base, "baton-test"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.path, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	release(s)
	left(1)
	if s, err = newWorkDir(base, "baton-test"); err != nil {
		t.Fatal(err)
	}
	left(1)
	release(s)
	left(0)
}
