package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
)

// TestDaemonEndsOnSignal checks that the process that a user or systemd signals
// ends, even if the vendor hangs, and that none of its processes keeps reading
// from the vendor.
func TestDaemonEndsOnSignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, busy %v", sig, busy), func(t *testing.T) {
				t.Parallel()
				eachSetup(t, func(t *testing.T, open newSetup) {
					s, plane := open(t, small), controlplane.Start(t)
					reached := make(chan context.Context, 1000)
					s.OnRequest(func(_ int, r *http.Request) {
						reached <- r.Context()
						<-r.Context().Done() // the client, or the test, has ended
					})
					d := startDaemon(t, s, plane, nil)
					d.hello()
					reading := context.Background()
					if busy {
						plane.Enqueue(controlplane.FullSync())
						reading = await(d, reached)
					} else {
						d.event("GetTask", func(e controlplane.Event) bool { return e.Method == "GetTask" })
					}
					d.signal(sig)
					code := d.ends()
					// The shell's 128 + signal, the signal itself (-1), or a clean end.
					if code != 0 && code != -1 && code != 128+int(sig) {
						t.Errorf("the daemon ended with %d", code)
					}
					if busy {
						select {
						case <-reading.Done():
						case <-time.After(maxEnd):
							t.Error("a process of the daemon still reads from the vendor")
						}
					}
				})
			})
		}
	}
}

// TestDaemonReclaimsWhatAKilledOneLeft checks that a daemon that was ended
// during a sync or between two, and then restarted, does not fill the disk.
func TestDaemonReclaimsWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, busy %v", sig, busy), func(t *testing.T) {
				t.Parallel()
				eachSetup(t, func(t *testing.T, open newSetup) { reclaim(t, open, sig, busy) })
			})
		}
	}
}

// reclaim ends a daemon, during a sync or after one, and starts another.
func reclaim(t *testing.T, open newSetup, sig syscall.Signal, busy bool) {
	t.Helper()
	s, plane, tmp := open(t, small), controlplane.Start(t), t.TempDir()
	reached := make(chan struct{}, 1000)
	if busy {
		s.OnRequest(func(n int, r *http.Request) {
			if n > 5 { // after the check of the credential, the sync has its files
				reached <- struct{}{}
				<-r.Context().Done()
			}
		})
	}
	id := plane.Enqueue(controlplane.FullSync())[0]
	first := startDaemon(t, s, plane, []string{"BATON_TMPDIR=" + tmp})
	if busy {
		first.heartbeat(id)
		await(first, reached)
	} else {
		fixture.CompareTruth(t, first.synced(id), s.Now())
	}
	first.signal(sig)
	first.ends()
	var left []string
	for _, pattern := range []string{"*", "*/*"} {
		names, err := filepath.Glob(filepath.Join(tmp, pattern))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, names...)
	}
	if len(left) == 0 && sig == syscall.SIGKILL { // no process can tidy up after that
		t.Fatal("a daemon that was killed left nothing: this shows nothing")
	}

	s.OnRequest(nil)
	second := startDaemon(t, s, plane, []string{"BATON_TMPDIR=" + tmp})
	id = plane.Enqueue(controlplane.FullSync())[0]
	fixture.CompareTruth(t, second.synced(id), s.Now())
	for _, name := range left {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}
