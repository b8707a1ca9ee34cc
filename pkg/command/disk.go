package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchStore watches the file system of all stores that this process opens from now
// on. The returned channel gets one error: the first that a store (Pebble v2.1.5)
// does not survive, because it would end the process with a stack trace or exit code
// 1, or try again for ever. With all, it gets the first error of any kind. After that
// error no call of a store returns.
func watchStore(all bool) <-chan error {
	failed := make(chan error, 1)
	vfs.Default = &watchedFS{FS: vfs.Default, all: all, failed: failed}
	return failed
}

// watchedFS is a file system whose calls no longer return after one has failed. It
// does not watch links, because a store copies the file if one fails, nor removals
// and reads.
type watchedFS struct {
	vfs.FS
	all    bool
	failed chan<- error
	broken atomic.Bool
}

// check blocks for ever if this or an earlier call has failed. vital says that the
// store does not survive an error of this call.
func (w *watchedFS) check(err error, vital bool) {
	if w.stops(err, vital) {
		select {}
	}
}

// stops sends the first error that counts, and reports whether there was one. A full
// disk always counts, because the store tries again for ever.
func (w *watchedFS) stops(err error, vital bool) bool {
	failed := err != nil && !errors.Is(err, fs.ErrNotExist) && (w.all || vital || isFull(err))
	if failed && w.broken.CompareAndSwap(false, true) {
		w.failed <- err
	}
	return w.broken.Load()
}

// isVital reports whether a file is the store's log or its list of files. The store
// does not survive an error of those.
func isVital(name string) bool {
	base := filepath.Base(name)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker.manifest.")
}

// file watches a file that was opened.
func (w *watchedFS) file(f vfs.File, err error, vital bool) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, w, vital}, nil
}

func (w *watchedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, category)
	w.check(err, isVital(name))
	return w.file(f, err, isVital(name))
}

func (w *watchedFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(from, to, category)
	w.check(err, isVital(from))
	return w.file(f, err, isVital(to))
}

func (w *watchedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.OpenReadWrite(name, category, options...)
	w.check(err, isVital(name))
	return w.file(f, err, isVital(name))
}

func (w *watchedFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.Open(name, options...)
	w.check(err, false)
	return f, err
}

func (w *watchedFS) OpenDir(name string) (vfs.File, error) {
	f, err := w.FS.OpenDir(name)
	w.check(err, false)
	return w.file(f, err, true)
}

func (w *watchedFS) Lock(name string) (io.Closer, error) {
	lock, err := w.FS.Lock(name)
	w.check(err, false)
	return lock, err
}

func (w *watchedFS) List(dir string) ([]string, error) {
	names, err := w.FS.List(dir)
	w.check(err, false)
	return names, err
}

func (w *watchedFS) MkdirAll(dir string, mode os.FileMode) error {
	err := w.FS.MkdirAll(dir, mode)
	w.check(err, false)
	return err
}

func (w *watchedFS) Rename(from, to string) error {
	err := w.FS.Rename(from, to)
	w.check(err, isVital(from))
	return err
}

func (w *watchedFS) Unwrap() vfs.FS { return w.FS }

// watchedFile is a file that is written, or a directory that is synced.
type watchedFile struct {
	vfs.File
	fs    *watchedFS
	vital bool
}

func (f *watchedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.fs.check(err, f.vital)
	return n, err
}

func (f *watchedFile) WriteAt(p []byte, offset int64) (int, error) {
	n, err := f.File.WriteAt(p, offset)
	f.fs.check(err, f.vital)
	return n, err
}

func (f *watchedFile) Sync() error {
	err := f.File.Sync()
	f.fs.check(err, f.vital)
	return err
}

func (f *watchedFile) SyncData() error {
	err := f.File.SyncData()
	f.fs.check(err, f.vital)
	return err
}

func (f *watchedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	f.fs.check(err, f.vital)
	return full, err
}

// diskFailure is the failure of a run that cannot use its work directory.
func (p *program[T]) diskFailure(err error, dir string) *failure {
	if isFull(err) {
		return p.noSpace(dir)
	}
	return &failure{code: exitConfig, line: fmt.Sprintf(
		"%s: cannot use temporary files in %s: %v; look at the disk and the limit of open files, or point BATON_TMPDIR to another file system", p.info.Name, filepath.Dir(dir), err)}
}

// These are SQLite's codes of a disk that fails (SQLITE_IOERR), that is full
// (SQLITE_FULL), and of a file that it cannot open (SQLITE_CANTOPEN).
const (
	sqliteIO         = 10
	sqliteFull       = 13
	sqliteCannotOpen = 14
)

// sqliteError returns an error of SQLite with one of the codes that another error
// holds; nil if it holds none.
func sqliteError(err error, codes ...int) error {
	if e, ok := err.(interface{ Code() int }); ok && slices.Contains(codes, e.Code()&0xff) {
		return err
	}
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case interface{ Unwrap() error }:
		return sqliteError(e.Unwrap(), codes...)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if found := sqliteError(one, codes...); found != nil {
				return found
			}
		}
	}
	return nil
}

// isFull reports whether an error says that a file system or a quota is full.
func isFull(err error) bool {
	return sqliteError(err, sqliteFull) != nil || slices.ContainsFunc(fullErrors, func(full error) bool { return errors.Is(err, full) })
}

// fileError returns the error of a file in dir, or of dir itself, that another error
// holds; nil if it holds none.
func fileError(err error, dir string) error {
	in := func(path string) bool { return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator)) }
	if e := (*fs.PathError)(nil); errors.As(err, &e) && in(e.Path) {
		return e
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) && in(e.Old) {
		return e
	}
	return nil
}

// storeError returns the error of the disk that the error of a store in dir holds; nil
// if it holds none.
func storeError(err error, dir string) error {
	if isFull(err) {
		return err
	}
	if e := fileError(err, dir); e != nil {
		return e
	}
	return sqliteError(err, sqliteIO, sqliteCannotOpen)
}
