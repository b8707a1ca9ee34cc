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
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// lockSuffix makes the name of the file that guards a c1z. It is there while
// a run writes the c1z, and for as long as the c1z holds an unfinished sync,
// whose identity it tells.
const lockSuffix = ".lock"

// resumeWithin is how old an unfinished sync may be for a run to go on with
// it. What it has read is not read again: the older it is, the more of it is
// no longer so. The SDK alone would go on for a week.
const resumeWithin = time.Hour

const fileSetting = rest.Setting("file")

// claim takes the right to write the c1z at path until the lock is closed, and
// refuses what the SDK would only find out at the end of a sync, or never: a
// place that cannot be written; a file that is no c1z; another run that
// writes it now, because both would write the same temporary file beside it;
// and an unfinished sync of another identity, which the SDK would go on with,
// so that the file would hold the users of one directory and the groups of
// another. An unfinished sync of its own that is too old it deletes.
func (p *program) claim(ctx context.Context, path, dir string) (_ *os.File, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %s is not a file; name one, such as sync.c1z", fileSetting, path)
	}
	if info, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: there is no directory %s; make it or name another file", fileSetting, filepath.Dir(path))
	}
	lock, err := acquire(path + lockSuffix)
	switch {
	case errors.Is(err, errLocked):
		return nil, status.Errorf(codes.FailedPrecondition, "%s: another run is writing %s; wait for its end or name another file", fileSetting, path)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot write %s: %w", fileSetting, path, err)
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	runs, err := syncRuns(ctx, path, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %s %w; move it away or name another file", fileSetting, path, err)
	}
	for _, run := range runs {
		if run.finished {
			continue
		}
		owner, err := io.ReadAll(lock)
		if err != nil {
			return nil, fmt.Errorf("%s: cannot read %s: %w", fileSetting, lock.Name(), err)
		}
		if strings.TrimSpace(string(owner)) != p.identity {
			return nil, status.Errorf(codes.FailedPrecondition,
				"%s: %s holds an unfinished sync that another connector, tenant or choice of flags has begun; delete it or name another file", fileSetting, path)
		}
		if p.now().Sub(run.began) > resumeWithin {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("%s: cannot delete the old unfinished sync in %s: %w", fileSetting, path, err)
			}
		}
		break
	}
	if err := lock.Truncate(0); err == nil {
		_, err = lock.WriteAt([]byte(p.identity+"\n"), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot write %s: %w", fileSetting, lock.Name(), err)
	}
	return lock, nil
}

// release removes the guard of a c1z if no run holds it and it is of no
// more use.
func release(path string, useless func() bool) {
	lock, err := acquire(path + lockSuffix)
	if err != nil {
		return
	}
	drop(lock, useless())
}
