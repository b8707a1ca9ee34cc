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
	// errLocked: another process, or this one, holds the lock.
	errLocked = errors.New("locked by another process")
	// errForeign: others may use the file or directory.
	errForeign = errors.New("not a plain file or directory that only this user may use")
)

// workDirLock is the file in a work directory that its owner locks.
const workDirLock = "baton.lock"

// workDir is a process's private directory for temporary files. A stopped SDK
// leaves up to hundreds of megabytes behind. They are removed when the process
// ends or, if it was killed, when the next run starts.
type workDir struct {
	path string
	root *os.Root
	lock *os.File
}

// newWorkDir makes and locks a work directory in base. First it removes the work
// directories that killed runs of the same connector left there. Locks tell who
// is alive; process ids repeat from container to container.
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
		// Another run may have removed it, or be about to, before it was locked.
		if !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist) {
			_ = os.Remove(path)
			return nil, fmt.Errorf("cannot make a directory for temporary files: %w; point BATON_TMPDIR to a writable directory", err)
		}
	}
	return nil, fmt.Errorf("cannot make a directory for temporary files in %s", base)
}

// takeWorkDir opens and locks a work directory. It fails with errForeign if path
// is a link or others may use the directory, and with errLocked if it is in use.
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

// use makes this process and its children write all temporary files to the
// directory. The SDK writes some to the system's directory, regardless of its
// settings.
func (s *workDir) use() error {
	for _, name := range append(tempEnv, tempdir.EnvVar) {
		if err := os.Setenv(name, s.path); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the directory, and its lock last. If that fails halfway, the
// next run finds the lock and deletes the rest.
func (s *workDir) remove() {
	err := s.empty()
	if err != nil {
		err = s.empty() // a store may have made a file in the meantime
	}
	if err == nil {
		// Delete the lock while holding it, so that no other run takes it over.
		// Windows cannot delete an open file.
		if s.root.Remove(workDirLock) != nil {
			_ = s.lock.Close()
			_ = s.root.Remove(workDirLock)
		}
		_ = os.Remove(s.path)
	}
	s.close()
	_ = os.Remove(s.path) // on systems that cannot delete an open directory
}

// empty deletes all but the lock.
func (s *workDir) empty() error {
	entries, err := s.entries()
	for _, entry := range entries {
		if entry.Name() != workDirLock {
			err = errors.Join(err, s.root.RemoveAll(entry.Name()))
		}
	}
	return err
}

// close unlocks the directory and leaves it.
func (s *workDir) close() {
	_ = s.lock.Close()
	_ = s.root.Close()
}

func (s *workDir) entries() ([]fs.DirEntry, error) { return fs.ReadDir(s.root.FS(), ".") }

// release deletes the directory if it is empty. Otherwise it leaves the directory
// to the next run: after an interrupt, the SDK's daemon may still write to it for
// a moment, and crashes if its files are gone.
func (s *workDir) release() {
	if entries, err := s.entries(); err == nil && len(entries) <= 1 { // only the lock
		s.remove()
		return
	}
	s.close()
}

// reclaim removes the work directories of killed runs of a connector: private
// directories of this user, with a run's name and a lock that no process holds.
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

// belongsToARun fails with errForeign unless the open directory is one of a run:
// no link, private to this user, and with a lock file, or empty because the run
// was killed before it made one.
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
