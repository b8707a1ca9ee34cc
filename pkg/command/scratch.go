package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// errLocked says that somebody else holds a lock.
var errLocked = errors.New("locked by another process")

// scratchLock is the file in a scratch directory that its owner keeps locked.
const scratchLock = "baton.lock"

// scratch is a process's private directory for temporary files. The SDK
// leaves up to hundreds of megabytes behind when it is stopped; here they are
// in one place, which goes when its owner does or, if the owner was killed,
// when the next run starts.
type scratch struct {
	path string
	lock *os.File
}

// newScratch makes a private directory in base, after removing those that
// killed runs of the same connector left there. A directory belongs to a
// killed run if its name is one of ours and it has a lock that nobody holds. Process
// ids say nothing here: in containers everybody has the same.
func newScratch(base, name string) (*scratch, error) {
	reclaim(base, name)
	for range 10 {
		path, err := os.MkdirTemp(base, fmt.Sprintf("%s-%d-*", name, os.Getpid()))
		if err != nil {
			return nil, fmt.Errorf("cannot make a directory for temporary files: %w; point BATON_TMPDIR to a writable directory", err)
		}
		lock, err := acquire(filepath.Join(path, scratchLock))
		if err == nil {
			return &scratch{path: path, lock: lock}, nil
		}
		// Another run took it for stale before it was locked, or is about to.
		if !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist) {
			_ = os.RemoveAll(path)
			return nil, fmt.Errorf("cannot make a directory for temporary files: %w; point BATON_TMPDIR to a writable directory", err)
		}
	}
	return nil, fmt.Errorf("cannot make a directory for temporary files in %s", base)
}

// remove deletes the directory and all in it, the lock at the end: what cannot
// be deleted now, or is left where the process is killed over it, is found by
// its lock and deleted by the next start.
func (s *scratch) remove() {
	entries, err := os.ReadDir(s.path)
	for _, entry := range entries {
		if entry.Name() != scratchLock {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.path, entry.Name())))
		}
	}
	if err != nil {
		_ = s.lock.Close()
		return
	}
	// While it is locked, so that nobody takes it over.
	_ = os.RemoveAll(s.path)
	_ = s.lock.Close()
	// Where an open file cannot be deleted, it can now.
	_ = os.RemoveAll(s.path)
}

// release deletes the directory if nothing is in it. What is there may still
// be written to, by a sync of the SDK's that goes on for a moment after its
// daemon was interrupted: it would end the process with a failure if its files
// were gone. The next start deletes them.
func (s *scratch) release() {
	entries, err := os.ReadDir(s.path)
	if err == nil && len(entries) <= 1 { // the lock
		s.remove()
		return
	}
	_ = s.lock.Close()
}

func reclaim(base, name string) {
	ours := regexp.MustCompile(`^` + regexp.QuoteMeta(name) + `-[0-9]+-[0-9]+$`)
	entries, err := os.ReadDir(base)
	if err != nil {
		return // making a directory there will fail and say why
	}
	for _, entry := range entries {
		if !entry.IsDir() || !ours.MatchString(entry.Name()) {
			continue
		}
		path := filepath.Join(base, entry.Name())
		if _, err := os.Lstat(filepath.Join(path, scratchLock)); err != nil {
			continue
		}
		lock, err := acquire(filepath.Join(path, scratchLock))
		if err != nil {
			continue // in use, or not ours to touch
		}
		(&scratch{path: path, lock: lock}).remove()
	}
}
