package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// maxWait bounds every wait of these tests. It is far longer than any event
// takes, so only an event that never happens reaches it.
const maxWait = 5 * time.Minute

// launchEnv makes this test binary start a command whose disk calls a test decides
// about. It names the command.
const launchEnv = "E2E_LAUNCH"

func TestMain(m *testing.M) {
	if path := os.Getenv(launchEnv); path != "" {
		launch(path)
	}
	os.Exit(fixture.Main(m))
}

// output collects what a process writes. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a command that a test started. It is killed when the test ends.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout output
	stderr output
	// alive is done when the process has ended.
	alive context.Context
}

// start runs a binary in an empty directory, with env as its whole environment.
func start(t testing.TB, path string, env []string, args ...string) *process {
	t.Helper()
	p := prepare(t, path, env, args...)
	p.run()
	return p
}

// prepare is start, but does not run the process: a test may change p.cmd
// first.
func prepare(t testing.TB, path string, env []string, args ...string) *process {
	t.Helper()
	home := t.TempDir()
	p := &process{t: t, cmd: exec.CommandContext(context.Background(), path, args...)}
	p.cmd.Dir = home
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + t.TempDir()}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// Its children may keep its output open after it has ended.
	p.cmd.WaitDelay = 10 * time.Second
	return p
}

// run starts a prepared process.
func (p *process) run() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", filepath.Base(p.cmd.Path), err)
	}
	alive, ended := context.WithCancel(context.Background())
	p.alive = alive
	go func() {
		defer ended()
		_ = p.cmd.Wait() // the state tells
	}()
	p.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-alive.Done()
		if p.t.Failed() {
			p.t.Logf("%s said:\n%s%s", filepath.Base(p.cmd.Path), p.stdout.String(), p.stderr.String())
		}
	})
}

// wait waits for the process to end and returns its exit code, or -1 if a
// signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.alive.Done():
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(maxWait):
		p.t.Fatal("the process does not end")
		return 0
	}
}

// lastLine returns the last line that the process wrote to stderr.
func (p *process) lastLine() string {
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	return lines[len(lines)-1]
}

// signal sends a signal to the process.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal: %v", err)
	}
}
