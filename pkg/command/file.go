package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

const fileSetting = rest.Setting("file")

// checkFile refuses, before the sync, what would come to light after it: a
// place that cannot be written, and a file that is no c1z and may be
// somebody's work.
func (p *program) checkFile(ctx context.Context, path, scratchDir string) error {
	dir := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %s is not a file; name one, such as sync.c1z", fileSetting, path)
	}
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return fmt.Errorf("%s: there is no directory %s; make it or name another file", fileSetting, dir)
	}
	probe, err := os.CreateTemp(dir, stagingPattern(path))
	if err != nil {
		return fmt.Errorf("%s: cannot write %s: %w", fileSetting, path, err)
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	runs, err := syncRuns(ctx, path, scratchDir)
	if err == nil && len(runs) > 0 {
		err = checkTypes(ctx, path, scratchDir, p.info.Owns)
	}
	switch {
	case errors.Is(err, syscall.ENOSPC): // it was to be unpacked
		return p.workerEnding(err, scratchDir)
	case err != nil:
		return fmt.Errorf("%s: %s %w; move it away or name another file", fileSetting, path, err)
	default:
		return nil
	}
}

// stagingPattern names the file beside path that becomes it.
func stagingPattern(path string) string { return filepath.Base(path) + ".*.new" }

// publish makes the c1z at from the one at path, at once and whole: whoever
// reads path sees the old one or the new one. A c1z names people, so only its
// owner may read a new one; one that is replaced keeps its permissions.
func publish(from, path string) (err error) {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.Chmod(from, mode); err != nil {
		return err
	}
	if os.Rename(from, path) == nil {
		return nil
	}
	// Another file system: copy it beside path first.
	source, err := os.Open(from) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // read only
	staging, err := os.CreateTemp(filepath.Dir(path), stagingPattern(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = staging.Close()
			_ = os.Remove(staging.Name())
		}
	}()
	if _, err := io.Copy(staging, source); err != nil {
		return err
	}
	if err := staging.Chmod(mode); err != nil {
		return err
	}
	if err := staging.Sync(); err != nil {
		return err
	}
	if err := staging.Close(); err != nil {
		return err
	}
	return os.Rename(staging.Name(), path)
}
