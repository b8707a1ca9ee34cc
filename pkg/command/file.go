package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
)

// target is the c1z that a run replaces.
type target struct {
	// path is --file, with links resolved: a link stays a link.
	path string
	// last is the finished sync that the file holds; nil if it holds none.
	last *syncRun
}

// openTarget checks --file before the sync. It fails if the file cannot be
// written, is not a c1z, is damaged, or holds another connector's sync: such a
// file is never replaced. It unpacks the file into dir.
func (p *program[T]) openTarget(ctx context.Context, dir string) (*target, error) {
	path := p.v.GetString("file")
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	} else if info, lstatErr := os.Lstat(path); lstatErr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s: %s is a link to a file that does not exist; remove the link, or make an empty file there", setting("file"), path)
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
		return nil, p.cannotWrite("file", path, err)
	}
	probe.discard()
	runs, err := syncRuns(ctx, path, dir)
	if err == nil && len(runs) > 0 {
		err = withStore(ctx, path, dir, func(store c1zstore.Store) error { return checkOwner(ctx, store, p.info.Owns) })
	}
	switch {
	case storeError(err, dir) != nil: // the file was to be unpacked
		return nil, err
	case fileError(err, folder) != nil:
		return nil, fmt.Errorf("%s: cannot read %s: %w", setting("file"), path, err)
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

// replace replaces --file by the file at from, in one step: a reader sees the old
// file or the new one, even after a power cut. The new file gets the old one's
// mode and, if the system allows, its owner. If there was none, only its owner
// can read the file, because a c1z names people.
func (t *target) replace(from string) error {
	mode, owner := os.FileMode(0o600), fs.FileInfo(nil)
	if info, err := os.Stat(t.path); err == nil {
		mode, owner = info.Mode().Perm(), info
	}
	source, err := os.OpenFile(from, os.O_RDWR, 0) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	err = errors.Join(source.Sync(), adopt(source, mode, owner), source.Close())
	if err != nil {
		return err
	}
	if os.Rename(from, t.path) == nil {
		_ = syncFile(filepath.Dir(t.path)) // the file is already in place
		return nil
	}
	// Another file system: copy the file beside the target first.
	if source, err = os.Open(from); err != nil { //nolint:gosec // our own directory
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
	return copied.put(filepath.Base(t.path), mode, owner)
}

// staging is a new file beside the file that it will replace. It is locked while
// it is written, so that a later run knows whether its writer is alive.
type staging struct {
	dir  *os.Root
	name string
	file *os.File
}

// stage makes a new file beside path that only its owner can read.
func stage(path string) (*staging, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for range 10 {
		name := fmt.Sprintf("%s.%d.new", filepath.Base(path), rand.Uint64()) //nolint:gosec // not a secret
		var file *os.File
		if file, err = acquire(dir, name); err == nil {
			return &staging{dir, name, file}, nil
		}
		if !errors.Is(err, errLocked) {
			break
		}
	}
	_ = dir.Close()
	return nil, err
}

// put writes the file to disk and gives it its final name, mode and owner.
func (s *staging) put(name string, mode os.FileMode, owner fs.FileInfo) error {
	defer s.dir.Close() //nolint:errcheck // nothing is written through it
	err := errors.Join(s.file.Sync(), adopt(s.file, mode, owner))
	if err == nil {
		err = renameOpen(s.file, s.dir, s.name, name)
	}
	if err != nil {
		s.discard()
		return err
	}
	_ = syncFile(s.dir.Name()) // the file is already in place
	return nil
}

// discard removes the file, unless put has given it its final name.
func (s *staging) discard() {
	if s == nil {
		return
	}
	_ = s.dir.Remove(s.name)
	_ = s.file.Close()
	_ = s.dir.Remove(s.name) // on systems that cannot remove an open file
	_ = s.dir.Close()
}

// removeStaging removes the files that killed runs left beside path.
func removeStaging(path string) {
	folder := filepath.Dir(path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // making a file there will fail and say why
	}
	for _, entry := range entries {
		number, isNew := strings.CutSuffix(entry.Name(), ".new")
		number, isOurs := strings.CutPrefix(number, filepath.Base(path)+".")
		if _, err := strconv.ParseUint(number, 10, 64); err != nil || !isNew || !isOurs || !entry.Type().IsRegular() {
			continue
		}
		dir, err := os.OpenRoot(folder)
		if err != nil {
			return
		}
		if file, err := acquire(dir, entry.Name()); err == nil {
			(&staging{dir, entry.Name(), file}).discard()
		}
		_ = dir.Close()
	}
}
