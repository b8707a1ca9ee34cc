package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/conductorone/baton-sdk/pkg/cli"
	"github.com/conductorone/baton-sdk/pkg/field"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

const (
	// newFile is the c1z that a run writes in its work directory.
	newFile = "sync.c1z"
	// stopWait is the time in which an interrupted sync must end.
	stopWait = 8 * time.Second
)

// errNoSpace ends a sync whose work directory has no space left.
var errNoSpace = errors.New("no space left for temporary files")

// oneShot syncs once into --file and prints the summary.
//
// It writes a new c1z in a work directory, closes it, opens it again and checks
// that it holds a finished sync. Only then the new file replaces --file, in one
// step. Every failure leaves --file as it was. So --file never holds part of a
// sync, two runs never mix, and a run never continues an old sync. (The SDK
// continues one for a week, with the users who were deleted since.)
func (p *program[T]) oneShot(ctx context.Context) error {
	began := time.Now()
	collectLess()
	signals := make(chan os.Signal, 2)
	// Signals are caught until the process ends: one that arrives after the file
	// was replaced must not change the exit code.
	signal.Notify(signals, endSignals()...)
	ignoreBrokenPipes()

	dir, err := newWorkDir(p.tempBase(), p.info.Name)
	if err != nil {
		return err
	}
	defer dir.remove()
	if err := dir.use(); err != nil {
		return err
	}
	broken := watchStore(true)
	changes, err := p.stageChanges()
	if err != nil {
		return err
	}
	defer changes.discard()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	var done *result
	timeout, err := p.httpTimeout()
	if err != nil {
		return err
	}
	dog := &watchdog{limit: stallLimit + timeout, now: time.Now}
	stalled := dog.watch(ctx)
	if isTerminal(os.Stderr) && canRedraw() && (p.quiet() || p.given("log-path")) {
		p.live = &liveLine{now: time.Now, vendor: p.info.DisplayName}
	}
	go func() {
		var err error
		done, err = p.read(ctx, dir.path, changes, timeout, dog)
		ended <- err
	}()
	select {
	case err = <-ended:
	case err = <-broken: // the sync does not end
		err = p.diskFailure(err, dir.path)
	case <-stalled:
		cancel(errStuck)
		if err = waitFor(ended, signals); err != nil {
			err = p.stalled(dog)
		}
	case stop := <-signals:
		cancel(fmt.Errorf("%s", stop))
		if err = waitFor(ended, signals); err != nil {
			err = p.interrupted(stop)
		}
	}
	p.live.stop()
	if err != nil {
		return p.explain(err, dir.path)
	}
	if err := p.publish(done); err != nil {
		return err
	}
	done.summary.StartedAt, done.summary.EndedAt = began, time.Now()
	p.print(&done.summary)
	return nil
}

// print writes the summary to stdout.
func (p *program[T]) print(s *summary) {
	say(os.Stdout, func(w io.Writer) {
		if p.wantsJSON() {
			_ = writeJSON(w, s)
			return
		}
		_, _ = io.WriteString(w, s.text())
	})
}

// errStuck is the error of a sync that did not end when it was told to.
var errStuck = errors.New("the sync did not stop")

// waitFor waits until a sync that was told to stop has ended. After stopWait, or
// at a signal, it fails with errStuck.
func waitFor(ended <-chan error, signals <-chan os.Signal) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(stopWait):
	case <-signals:
	}
	return errStuck
}

// read syncs the vendor into a new c1z in dir and verifies that file. It writes the
// changes since the last sync to changes, unless that is nil.
func (p *program[T]) read(ctx context.Context, dir string, changes *staging, timeout time.Duration, dog *watchdog) (*result, error) {
	file, err := p.openTarget(ctx, dir)
	if err != nil {
		return nil, err
	}
	warned := &warnings{show: p.warn}
	ctx, err = p.startLog(ctx, warned)
	if err != nil {
		return nil, err
	}
	ctx, stopTelemetry, err := p.startTelemetry(ctx)
	if err != nil {
		return nil, err
	}
	defer stopTelemetry()
	ctx = rest.WithTimeout(ctx, timeout)
	options, err := p.syncOptions(dir)
	if err != nil {
		return nil, err
	}
	cfg, err := p.configuration()
	if err != nil {
		return nil, err
	}
	c, err := p.connect(ctx, cfg, cli.RunTimeOpts{
		SelectedAuthMethod:  p.v.GetString("auth-method"),
		SyncResourceTypeIDs: p.v.GetStringSlice("sync-resource-types"),
	}, !p.v.GetBool("skip-entitlements-and-grants")) // members would be prefetched for nothing
	if err != nil {
		return nil, err
	}
	dog.client.Store(c)
	p.live.start(c.counter, c.stats)
	path := filepath.Join(dir, newFile)
	server := &oneShotServer{ConnectorServer: c.server, connector: c.connector}
	if err := runSync(ctx, p.info.Name, server, path, dog.step, options); err != nil {
		return nil, err
	}
	dog.step()
	p.live.show("checking the file")
	return p.verify(ctx, path, dir, c, warned, file, changes)
}

// configuration decodes and validates the connector's own settings.
func (p *program[T]) configuration() (T, error) {
	cfg, err := cli.MakeGenericConfiguration[T](p.v, field.WithAdditionalDecodeHooks(field.FileUploadDecodeHook(true)))
	if err != nil {
		return cfg, fmt.Errorf("the settings cannot be read: %w", err)
	}
	return cfg, field.Validate(p.schema, cfg, field.WithAuthMethod(p.v.GetString("auth-method")))
}

// interrupted is the failure of a run that a signal ended.
func (p *program[T]) interrupted(by os.Signal) *failure {
	code := 128 + int(syscall.SIGINT)
	if number, ok := by.(syscall.Signal); ok {
		code = 128 + int(number)
	}
	return &failure{code: code, line: fmt.Sprintf("%s: interrupted; %s is unchanged; run the same command again", p.info.Name, p.v.GetString("file"))}
}

// noSpace is the failure of a run whose work directory is full.
func (p *program[T]) noSpace(dir string) *failure {
	return &failure{code: int(codes.ResourceExhausted), line: fmt.Sprintf(
		"%s: %s in %s; free some space, or point BATON_TMPDIR to another file system", p.info.Name, errNoSpace, filepath.Dir(dir))}
}

// explain turns the error of a sync into the run's failure. dir is the work
// directory.
func (p *program[T]) explain(err error, dir string) error {
	if disk := storeError(err, dir); disk != nil {
		return p.diskFailure(disk, dir)
	}
	return failureOf(p.info.Name, err)
}
