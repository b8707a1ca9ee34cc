//go:build unix

package command

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// If a run is stopped at any moment, the file is whole, the exit code is right
// and nothing blocks the next run. KILLS sets the number of stopped runs, 25 if
// it is empty.
func TestARunThatIsStoppedAtAnyMomentLosesNothing(t *testing.T) {
	t.Parallel()
	n := 25
	if value := os.Getenv("KILLS"); value != "" {
		var err error
		if n, err = strconv.Atoi(value); err != nil {
			t.Fatal(err)
		}
	}
	v := newVendor(t)
	run := invoke(t, v)
	began := time.Now()
	run.exits(0)
	whole := time.Since(began)
	random := rand.New(rand.NewPCG(1, 2))
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGKILL}
	ends := map[int]int{}
	for range n {
		before, err := os.ReadFile(run.file)
		if err != nil {
			t.Fatal(err)
		}
		stopped := run.again()
		signal := signals[random.IntN(len(signals))]
		at := time.Duration(random.Int64N(int64(whole)))
		stopped.start()
		time.AfterFunc(at, func() { _ = stopped.cmd.Process.Signal(signal) })
		code := stopped.wait()
		ends[code]++
		after, err := os.ReadFile(run.file)
		if err != nil {
			t.Fatal(err)
		}
		// Before its handlers are in place, Go prints a trace after SIGQUIT and ends
		// with 2. If package variables are not yet set, Go may crash at that (139).
		if code != 0 && code != 128+int(signal) && (signal != syscall.SIGQUIT || code != 2 && code != 139) {
			t.Errorf("%s after %v: exit code %d\n%s", signal, at, code, stopped.stderr.String())
		}
		changed := !bytes.Equal(before, after)
		// SIGKILL may strike after the file was replaced.
		if code == 0 && !changed || code != 0 && changed && signal != syscall.SIGKILL {
			t.Errorf("%s after %v: exit code %d, the file has changed: %v", signal, at, code, changed)
		}
		if runs := run.runs(); len(runs) != 1 || runs[0].ended.IsZero() {
			t.Errorf("%s after %v: the file holds %+v", signal, at, runs)
		}
	}
	run.again().exits(0).leaves("sync.c1z")
	t.Logf("%d runs ended with the exit codes %v", n, ends)
}
