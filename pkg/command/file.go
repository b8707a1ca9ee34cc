package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
)

// target is the c1z that a run replaces.
type target struct {
	// path is --file, with links resolved: a link stays a link.
	path string
	// last is the finished sync that the file holds; nil if it holds none.
	last *syncRun
}

// openTarget checks --file before the sync: a file that cannot be written, that
// is no c1z, that is damaged or that holds another connector's sync is never
// replaced. To look into the file it is unpacked into dir.
func (p *program[T]) openTarget(ctx context.Context, dir string) (*target, error) {
	path := p.v.GetString("file")
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	t := &target{path: path}
	folder := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %s is not a file; name one, such as sync.c1z", setting("file"), path)
	}
	if info, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: there is no directory %s; make it or name another file", setting("file"), folder)
	}
	removeStaging(path)
	probe, err := stage(path)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot write %s: %w", setting("file"), path, err)
	}
	probe.discard()
	runs, err := syncRuns(ctx, path, dir)
	if err == nil && len(runs) > 0 {
		err = withStore(ctx, path, dir, func(store c1zstore.Store) error { return checkOwner(ctx, store, p.info.Owns) })
	}
	switch {
	case errors.Is(err, syscall.ENOSPC): // the file was to be unpacked
		return nil, p.noSpace(dir)
	case err != nil:
		return nil, fmt.Errorf("%s: %s %w; move it away or name another file", setting("file"), path, err)
	}
	for i := range runs {
		if !runs[i].ended.IsZero() && (t.last == nil || runs[i].ended.After(t.last.ended)) {
			t.last = &runs[i]
		}
	}
	return t, nil
}

// replace puts the file at from in place of --file, at once and whole: a reader
// sees the old file or the new one, also after a power cut. A file that is
// replaced keeps its mode and, where the system allows, its owner; a new one
// can be read by its owner only, because a c1z names people.
func (t *target) replace(from string) error {
	mode, owner := os.FileMode(0o600), fs.FileInfo(nil)
	if info, err := os.Stat(t.path); err == nil {
		mode, owner = info.Mode().Perm(), info
	}
	if err := adopt(from, mode, owner); err != nil {
		return err
	}
	if err := syncFile(from); err != nil {
		return err
	}
	if os.Rename(from, t.path) == nil {
		return syncFile(filepath.Dir(t.path))
	}
	// Another file system: copy the file beside the target first.
	source, err := os.Open(from) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // read only
	copied, err := stage(t.path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(copied.file, source); err != nil {
		copied.discard()
		return err
	}
	if err := adopt(copied.file.Name(), mode, owner); err != nil {
		copied.discard()
		return err
	}
	return copied.put(t.path)
}

// staging is a new file beside the one that it becomes. It is locked while it
// is written, so that a later run knows whether its writer lives.
type staging struct{ file *os.File }

// stage makes a new file, readable by its owner only, beside path.
func stage(path string) (*staging, error) {
	for range 10 {
		f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
		if err != nil {
			return nil, err
		}
		name := f.Name()
		_ = f.Close()
		locked, err := acquire(name)
		if err == nil {
			return &staging{locked}, nil
		}
		if !errors.Is(err, errLocked) && !errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(name)
			return nil, err
		}
	}
	return nil, fmt.Errorf("cannot make a new file beside %s", path)
}

// put writes the file to disk and gives it its final name.
func (s *staging) put(path string) error {
	name := s.file.Name()
	if err := s.file.Sync(); err != nil {
		s.discard()
		return err
	}
	if err := renameOpen(s.file, name, path); err != nil {
		s.discard()
		return err
	}
	return syncFile(filepath.Dir(path))
}

// discard removes the file.
func (s *staging) discard() {
	_ = os.Remove(s.file.Name())
	_ = s.file.Close()
	_ = os.Remove(s.file.Name()) // where an open file cannot be removed
}

// globEscape makes a path match itself alone.
var globEscape = strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`)

// removeStaging removes what killed runs left beside path.
func removeStaging(path string) {
	left, _ := filepath.Glob(globEscape.Replace(path) + ".*.new")
	for _, name := range left {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() || !ownedByUs(info) {
			continue
		}
		if locked, err := acquire(name); err == nil {
			(&staging{locked}).discard()
		}
	}
}
