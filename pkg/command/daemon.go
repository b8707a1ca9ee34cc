package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// startLimit is how long a daemon may take to reach its child process, the
	// connector. If the child dies before, the SDK (v0.26.0) waits for ever.
	startLimit = 30 * time.Second
	// reachedFile is a file in the work directory that the child makes at its
	// first call.
	reachedFile = "reached"

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
	go p.watchDisk(ctx, dir.path)
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

// watchDisk ends the process when its file system is full, where the SDK's store
// would crash or never end. The connector fails most syncs before that.
func (p *program[T]) watchDisk(ctx context.Context, dir string) {
	select {
	case <-watchSpace(ctx, dir):
		f := p.noSpace(dir)
		p.report(f)
		os.Exit(f.code)
	case <-ctx.Done():
	}
}

// noToken matches the SDK's error of a token endpoint of C1 that is out of reach or
// does not work. Its code is that of a refused credential.
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
			return status.Errorf(codes.Unavailable, "%s: C1 is out of reach since %s: %s; check the network and that BATON_CLIENT_ID names your tenant, and start it again",
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
