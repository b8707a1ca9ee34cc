package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// startLimit is the time in which a daemon must reach its child process, the
// connector. If the child dies before, the SDK (v0.26.0) waits for ever. Tests
// set it.
var startLimit = 30 * time.Second

const (
	// reachedFile is a file in the work directory that the child makes at its
	// first call.
	reachedFile = "reached"
	// activityFile is a file in the work directory. Its time is the time of the
	// connector's last call, request or announced wait.
	activityFile = "activity"
	// storePrefix starts the names of the SDK's stores (pkg/dotc1z, v0.26.0).
	// The SDK removes a store before it uploads the content.
	storePrefix = "c1z"

	// firstPause and maxPause bound the pauses between two attempts to reach C1.
	firstPause = time.Second
	maxPause   = time.Minute
)

// service runs the SDK's own command, with a work directory for its temporary files.
// It serves every run that is not a one-shot sync.
func (p *program[T]) service(ctx context.Context, sdk func() error) error {
	dir, err := newWorkDir(p.tempBase(), p.info.Name)
	if err != nil {
		return err
	}
	defer dir.release()
	defer os.Remove(filepath.Join(dir.path, reachedFile)) //nolint:errcheck // mostly gone
	if err := dir.use(); err != nil {
		return err
	}
	p.v.Set(tempDirFlag, dir.path)
	// Otherwise the SDK's child answers for tickets itself, with an error.
	if err := os.Setenv(setting("ticketing").Env(), "true"); err != nil {
		return err
	}
	outage, err := setting(outageFlag).Minutes(p.v.GetInt(outageFlag))
	if err != nil {
		return fmt.Errorf("%s: %w", p.info.Name, err)
	}
	go p.watchStart(dir.path)
	go p.watchDisk(ctx, dir.path, watchStore(false))
	timeout, err := p.httpTimeout()
	if err != nil {
		return err
	}
	activity := filepath.Join(dir.path, activityFile)
	if err := os.WriteFile(activity, nil, 0o600); err != nil {
		return fmt.Errorf("cannot write temporary files: %w; point BATON_TMPDIR to a writable directory", err)
	}
	defer os.Remove(activity) //nolint:errcheck // the next run removes it
	go p.watchProgress(ctx, dir.path, stallLimit+timeout)
	return p.untilInReach(ctx, outage, sdk)
}

// watchStart ends the process if its connector is not reached in startLimit.
func (p *program[T]) watchStart(dir string) {
	if !reached(filepath.Join(dir, reachedFile), startLimit) {
		p.report(&failure{code: int(codes.Unavailable), line: fmt.Sprintf(
			"%s: the connector's own process did not start within %s; look for a limit on processes or memory, and start it again", p.info.Name, startLimit)})
		os.Exit(int(codes.Unavailable))
	}
}

// reached waits for a file and removes it. It reports false after the limit.
func reached(file string, limit time.Duration) bool {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-ticker.C {
		if os.Remove(file) == nil {
			return true
		}
	}
	return false
}

// watchDisk ends the process when its file system is full or fails, because the
// SDK's store would then crash or never end. The connector fails most syncs
// before the file system is full.
func (p *program[T]) watchDisk(ctx context.Context, dir string, broken <-chan error) {
	select {
	case err := <-broken:
		f := p.diskFailure(err, dir)
		p.report(f)
		os.Exit(f.code)
	case <-ctx.Done():
	}
}

// watchProgress ends the process when a sync makes no progress for the limit: the
// connector is idle and the store does not grow.
func (p *program[T]) watchProgress(ctx context.Context, dir string, limit time.Duration) {
	tick := time.Tick(limit / 100)
	var last time.Time
	for since := time.Now(); ; {
		select {
		case <-tick:
		case <-ctx.Done():
			return
		}
		activity, syncs := activityIn(dir)
		switch {
		case !syncs || !activity.Equal(last):
			last, since = activity, time.Now()
		case time.Since(since) > limit:
			p.report(&failure{code: exitStalled, line: fmt.Sprintf(
				"%s: no progress for %s: a sync neither asked the vendor nor stored anything, or a failed one left its files open; start it again with --log-level debug, and report what it says", p.info.Name, limit)})
			os.Exit(exitStalled)
		}
	}
}

// activityIn returns when anything in a daemon's work directory was last written,
// and whether it has the store of a running sync.
func activityIn(dir string) (last time.Time, syncs bool) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it was removed in the meantime
		}
		if filepath.Dir(path) == dir && entry.IsDir() && strings.HasPrefix(entry.Name(), storePrefix) {
			syncs = true
		}
		if info, err := entry.Info(); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return nil
	})
	return last, syncs
}

// markActivity makes the file that tells the daemon that its connector was called.
// Then it sets the time of another file, each second in which the connector is
// called, sends a request or waits as announced. It ends with the process. It does
// not make the second file, which the daemon removes when it ends.
func markActivity(dir string, w *watchdog) {
	tick := time.Tick(time.Second)
	for os.WriteFile(filepath.Join(dir, reachedFile), nil, 0o600) != nil {
		<-tick
	}
	last := int64(-1)
	for range tick {
		if steps, waits := w.progress(); waits || steps != last {
			last = steps
			_ = os.Chtimes(filepath.Join(dir, activityFile), time.Time{}, time.Now())
		}
	}
}

// noToken matches the SDK's error for a C1 token endpoint that is out of reach
// or does not work. The error has the same code as a refused credential.
var noToken = regexp.MustCompile(`failed to get token: (429|5\d\d)\b.*|per-RPC creds failed due to error: .*`)

// untilInReach runs the SDK's service. While the service ends because C1 gives no
// token, it starts the service again. After the limit it fails with Unavailable.
func (p *program[T]) untilInReach(ctx context.Context, limit time.Duration, sdk func() error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := sdk()
		reason := outOfReach(err)
		if reason == "" {
			return err
		}
		if time.Since(began)+pause > limit {
			return status.Errorf(codes.Unavailable, "%s: C1 has been unreachable for %s: %s; check the network and that BATON_CLIENT_ID names your tenant, and start it again",
				p.info.Name, time.Since(began).Round(time.Second), reason)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// outOfReach returns the reason why C1 gives no token; "" for any other error.
func outOfReach(err error) string {
	if err == nil || status.Code(err) != codes.Unauthenticated {
		return ""
	}
	return noToken.FindString(err.Error())
}
