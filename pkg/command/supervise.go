package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

const (
	// workerEnv names the supervisor's scratch directory. It is set in a
	// worker and in the process that the SDK starts from there.
	workerEnv = "BATON_WORKER_DIR"
	// workFile is the c1z that a worker writes.
	workFile = "sync.c1z"
	// grace is how long a worker may take to end when it is told to.
	grace = 10 * time.Second
)

// supervise runs a one-shot sync in a worker process, which is this program
// again, and decides from what the worker leaves behind how the run ended.
// The worker's own exit code does not tell: the SDK may end its process with
// 0 before the real code is out, and does so when it is interrupted.
//
// The worker writes a new c1z in the scratch directory, which takes the place
// of --file when it is found to hold a finished sync. So --file never holds
// half a sync, two runs cannot write it at a time, and what a failed run has
// read is never taken for what the vendor says now: the SDK would go on with
// an unfinished sync for a week, and keep users who have been deleted since.
func (p *program) supervise(ctx context.Context, dir string) error {
	began := time.Now()
	file := p.v.GetString("file")
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // a link stays one
	}
	if err := p.checkFile(ctx, file, dir); err != nil {
		return err
	}
	forgetUnfinished(file, maxUnfinished)
	resumed, err := p.takeUnfinished(ctx, dir, file)
	if err != nil {
		return fmt.Errorf("cannot set aside what is left of an earlier run: %w; remove %s and run again", err, dir)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program: %w", err)
	}
	worker := exec.Command(self, os.Args[1:]...) //nolint:gosec,noctx // this program itself, ended by its pipe
	worker.Env = append(os.Environ(), workerEnv+"="+dir)
	said := &chatter{to: os.Stderr}
	worker.Stdout, worker.Stderr = os.Stdout, said
	// What a killed worker has started may hold its stderr open.
	worker.WaitDelay = grace
	// The worker ends when this pipe does: when it is told to, and when this
	// process is killed. That works on every system; signals do not.
	leash, err := worker.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot start the sync: %w", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := worker.Start(); err != nil {
		return fmt.Errorf("cannot start the sync: %w", err)
	}
	stop := await(worker, leash, signals)
	_ = said.flush() // where this cannot be written, nothing can

	var done summary
	var held *syncRun
	if readJSON(dir, summaryFile, &done) {
		held, err = finished(ctx, filepath.Join(dir, workFile), dir, done.SyncID)
	}
	var end ending
	ended := endedWith(worker.ProcessState)
	switch {
	case stop != nil && held == nil:
		return interrupted(p.info.Name, file, stop)
	case readJSON(dir, endingFile, &end) && end.Code != 0:
		return p.keepUnfinished(ctx, dir, file, &end)
	case ended != 0 && stop == nil:
		if ended == 1 || ended == 2 {
			// The SDK ends with 1 where its second process has died, Go with 2
			// after a panic: neither is a code of gRPC's.
			ended = int(codes.Internal)
		}
		return &ending{Code: ended, Line: fmt.Sprintf(
			"%s: the sync was ended from outside or has crashed (%s): see the lines above; %s holds no finished sync from this run",
			p.info.Name, worker.ProcessState, file)}
	case err != nil:
		return p.unreadable(err)
	case held != nil:
		if done.Resumed = resumed; !resumed.IsZero() || !held.agrees(done.Counts) {
			if done.Counts, err = recount(ctx, filepath.Join(dir, workFile), dir); err != nil {
				return p.unreadable(err)
			}
		}
		if err := p.checkFound(done.Counts); err != nil {
			return err
		}
		if err := publish(filepath.Join(dir, workFile), file); err != nil {
			return fmt.Errorf("the sync was finished, but %s: cannot write %s: %w", fileSetting, file, err)
		}
		forgetUnfinished(file, 0)
		return p.summarise(ctx, done, file, time.Since(began))
	case readJSON(dir, faultFile, &end) && end.Code != 0:
		return p.keepUnfinished(ctx, dir, file, &end)
	default:
		return &ending{Code: int(codes.Internal), Line: fmt.Sprintf(
			"%s: the sync has failed: see the lines above; %s holds no finished sync from this run", p.info.Name, file)}
	}
}

// checkFound fails where a sync of single resources has not found them all. The
// SDK passes over the others.
func (p *program) checkFound(counts connector.Counts) error {
	const setting = rest.Setting("sync-resources")
	named := map[string]bool{}
	for _, id := range p.v.GetStringSlice(string(setting)) {
		named[id] = true
	}
	if found := counts.Users + counts.Groups; found < len(named) {
		return fmt.Errorf("%s: %d of %d resources were found; name groups that exist, as users cannot be synced alone", setting, found, len(named))
	}
	return nil
}

// unreadable is the ending of a run whose own result cannot be read.
func (p *program) unreadable(err error) *ending {
	return &ending{Code: int(codes.Internal), Line: fmt.Sprintf("%s: the sync was finished, but its file cannot be read: %v; run it again", p.info.Name, err)}
}

// await waits for the worker's end. It returns the signal that asked for it,
// if one did.
func await(worker *exec.Cmd, leash io.Closer, signals <-chan os.Signal) os.Signal {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = worker.Wait() // its state tells
	}()
	var stop os.Signal
	var late <-chan time.Time
	for {
		select {
		case <-ended:
			if stop == nil {
				select {
				case stop = <-signals: // Ctrl-C reaches both: the worker may have been faster
				default:
				}
			}
			return stop
		case again := <-signals:
			if stop != nil {
				_ = worker.Process.Kill()
				continue
			}
			stop = again
			_ = leash.Close()
			late = time.After(grace)
		case <-late:
			_ = worker.Process.Kill()
		}
	}
}

func interrupted(name, file string, by os.Signal) *ending {
	code := 128 + int(syscall.SIGINT)
	if by == syscall.SIGTERM {
		code = 128 + int(syscall.SIGTERM)
	}
	return &ending{Code: code, Line: fmt.Sprintf("%s: interrupted: %s holds no finished sync from this run; run the same command again", name, file)}
}

// finished is that sync in the file, nil if it is not there or not finished.
func finished(ctx context.Context, file, dir, syncID string) (*syncRun, error) {
	runs, err := syncRuns(ctx, file, dir)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if runs[i].finished && runs[i].id == syncID {
			return &runs[i], nil
		}
	}
	return nil, nil
}

// work is the run of a worker: the SDK's sync into the scratch directory, for
// as long as the supervisor lives.
func (p *program) work(dir string, sdk func() error) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(128 + int(syscall.SIGTERM))
	}()
	p.v.Set("file", filepath.Join(dir, workFile))
	err := p.useTempDir(dir)
	if err == nil {
		err = sdk()
	}
	if err == nil {
		return nil
	}
	end := p.workerEnding(err, dir)
	if err := writeJSON(dir, endingFile, end); err != nil {
		return end // then this process says it
	}
	return &ending{Code: end.Code}
}

// workerEnding is endingOf for what is met where the SDK's store is unpacked,
// below the scratch directory. The SDK tells of a full disk in terms of that
// store, and names a place that will be gone.
func (p *program) workerEnding(err error, dir string) *ending {
	if errors.Is(err, syscall.ENOSPC) {
		return &ending{Code: int(codes.ResourceExhausted), Line: fmt.Sprintf(
			"%s: no space left for temporary files in %s: free some, or point BATON_TMPDIR to another file system", p.info.Name, filepath.Dir(dir))}
	}
	return endingOf(p.info.Name, err)
}
