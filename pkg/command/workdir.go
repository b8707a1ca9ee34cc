package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/conductorone/baton-sdk/pkg/tempdir"
)

var (
	// errLocked says that somebody else holds a lock.
	errLocked = errors.New("locked by another process")
	// errForeign says that a file or directory is not this user's alone.
	errForeign = errors.New("not a plain file or directory that only this user may use")
)

// workDirLock is the file in a work directory that its owner keeps locked.
const workDirLock = "baton.lock"

// workDir is a process's private directory for temporary files. The SDK leaves
// up to hundreds of megabytes behind when it is stopped. In a work directory
// they are removed when its owner ends or, if the owner was killed, when the
// next run starts.
type workDir struct {
	path string
	root *os.Root
	lock *os.File
}

// newWorkDir makes a private directory in base. First it removes those that
// killed runs of the same connector left there. It does not look at process
// ids, which repeat from container to container.
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
		dir, err := takeWorkDir(path)
		if err == nil {
			return dir, nil
		}
		// Another run took it for stale before it was locked, or is about to.
		if !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist) {
			_ = os.Remove(path)
			return nil, fmt.Errorf("cannot make a directory for temporary files: %w; point BATON_TMPDIR to a writable directory", err)
		}
	}
	return nil, fmt.Errorf("cannot make a directory for temporary files in %s", base)
}

// takeWorkDir opens and locks a work directory. It fails with errForeign for a
// link and for a directory that others may use, with errLocked for one in use.
func takeWorkDir(path string) (*workDir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if err = belongsToARun(root, path); err == nil {
		var lock *os.File
		if lock, err = acquire(root, workDirLock); err == nil {
			return &workDir{path: path, root: root, lock: lock}, nil
		}
	}
	_ = root.Close()
	return nil, err
}

// use puts all temporary files of this process and its children there. The SDK writes some to the system's directory, whatever it is told.
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
	entries, err := s.entries()
	for _, entry := range entries {
		if entry.Name() != workDirLock {
			err = errors.Join(err, s.root.RemoveAll(entry.Name()))
		}
	}
	if err == nil {
		// While it is locked, so that nobody takes it over. Windows cannot
		// delete an open file.
		if s.root.Remove(workDirLock) != nil {
			_ = s.lock.Close()
			_ = s.root.Remove(workDirLock)
		}
		_ = os.Remove(s.path)
	}
	s.close()
	_ = os.Remove(s.path) // where an open directory cannot be deleted
}

// close ends the use of the directory.
func (s *workDir) close() {
	_ = s.lock.Close()
	_ = s.root.Close()
}

func (s *workDir) entries() ([]fs.DirEntry, error) { return fs.ReadDir(s.root.FS(), ".") }

// release deletes the directory if it is empty. Otherwise the SDK may still
// write to it, because a daemon's sync goes on for a moment after an interrupt
// and crashes if its files are gone. The next start deletes them.
func (s *workDir) release() {
	if entries, err := s.entries(); err == nil && len(entries) <= 1 { // the lock
		s.remove()
		return
	}
	s.close()
}

// reclaim removes the work directories of killed runs: this user's private
// directories with a name like a run's and a lock that nobody holds.
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
		if dir, err := takeWorkDir(filepath.Join(base, entry.Name())); err == nil {
			dir.remove()
		}
	}
}

// belongsToARun returns nil for the open directory of a run: it is no link, it
// is this user's alone, and it has a lock or is still empty because the run was
// killed before it made one.
func belongsToARun(root *os.Root, path string) error {
	there, err := os.Lstat(path)
	if err != nil {
		return err
	}
	held, err := root.Stat(".")
	if err != nil {
		return err
	}
	if !there.IsDir() || !os.SameFile(held, there) || !ownedByUs(held) || !isPrivate(held) {
		return errForeign
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == workDirLock && e.Type().IsRegular() }) {
		return errForeign
	}
	return nil
}
