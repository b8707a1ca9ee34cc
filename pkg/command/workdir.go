package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/conductorone/baton-sdk/pkg/tempdir"
)

// errLocked says that somebody else holds a lock.
var errLocked = errors.New("locked by another process")

// workDirLock is the file in a work directory that its owner keeps locked.
const workDirLock = "baton.lock"

// workDir is a process's private directory for temporary files. The SDK leaves
// up to hundreds of megabytes behind when it is stopped. In a work directory
// they are removed when its owner ends or, if the owner was killed, when the
// next run starts.
type workDir struct {
	path string
	lock *os.File
}

// newWorkDir makes a private directory in base. First it removes those that
// killed runs of the same connector left there: this user's private directories
// with a name like its own and a lock that nobody holds. It does not look at process ids, which
// repeat from container to container.
func newWorkDir(base, name string) (*workDir, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	reclaim(base, name)
	for range 10 {
		path, err := os.MkdirTemp(base, fmt.Sprintf("%s-%d-*", name, os.Getpid()))
		if err != nil {
			return nil, fmt.Errorf("cannot make a directory for temporary files: %w; point BATON_TMPDIR to a writable directory", err)
		}
		lock, err := acquire(filepath.Join(path, workDirLock))
		if err == nil {
			return &workDir{path: path, lock: lock}, nil
		}
		// Another run took it for stale before it was locked, or is about to.
		if !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist) {
			_ = os.RemoveAll(path)
			return nil, fmt.Errorf("cannot make a directory for temporary files: %w; point BATON_TMPDIR to a writable directory", err)
		}
	}
	return nil, fmt.Errorf("cannot make a directory for temporary files in %s", base)
}

// use makes the directory that of all temporary files of this process and its
// children. The SDK writes some to the system's directory, whatever it is told.
func (s *workDir) use() error {
	for _, name := range append(tempEnv, tempdir.EnvVar) {
		if err := os.Setenv(name, s.path); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the directory, the lock last: if something cannot be deleted,
// or the process is killed meanwhile, the next start finds the lock and deletes
// the rest.
func (s *workDir) remove() {
	entries, err := os.ReadDir(s.path)
	for _, entry := range entries {
		if entry.Name() != workDirLock {
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

// release deletes the directory if it is empty. Otherwise the SDK may still
// write to it, because a daemon's sync goes on for a moment after an interrupt
// and crashes if its files are gone. The next start deletes them.
func (s *workDir) release() {
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
		if !belongsToARun(path) {
			continue
		}
		lock, err := acquire(filepath.Join(path, workDirLock))
		if err != nil {
			continue // in use, or not ours to touch
		}
		(&workDir{path: path, lock: lock}).remove()
	}
}

// belongsToARun says whether a directory with a name of ours was made by a run:
// it is this user's, only this user's, and has a lock, or is still empty
// because the run was killed before it made one.
func belongsToARun(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || !ownedByUs(info) || !isPrivate(info) {
		return false
	}
	entries, err := os.ReadDir(path)
	return err == nil && (len(entries) == 0 || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == workDirLock && e.Type().IsRegular() }))
}
