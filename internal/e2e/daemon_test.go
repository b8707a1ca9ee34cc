package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
)

// maxEnd bounds the time in which a signalled process must end. Kubernetes
// waits as long before it kills.
const maxEnd = 30 * time.Second

// ends waits for a signalled process to end and returns its exit code, as wait
// does.
func (p *process) ends() int {
	p.t.Helper()
	select {
	case <-p.alive.Done():
	case <-time.After(maxEnd):
		p.t.Fatalf("the process has not ended after %s", maxEnd)
	}
	return p.wait()
}

// daemon is a self-hosted connector that runs under a control plane.
type daemon struct {
	*process
	*setup
	plane *controlplane.Plane
}

// startDaemon runs a connector as a daemon. At the end of the test it checks
// that the daemon followed the protocol and that neither the vendor's
// credential nor its own showed.
func startDaemon(t testing.TB, s *setup, plane *controlplane.Plane, env []string, args ...string) *daemon {
	t.Helper()
	d := prepareDaemon(t, s, plane, env, args...)
	d.run()
	return d
}

// prepareDaemon is startDaemon, but does not run the daemon.
func prepareDaemon(t testing.TB, s *setup, plane *controlplane.Plane, env []string, args ...string) *daemon {
	t.Helper()
	d := &daemon{setup: s, plane: plane}
	t.Cleanup(func() {
		for _, violation := range plane.Violations() {
			t.Errorf("against C1's protocol: %s", violation)
		}
		d.searched(t)
	})
	d.process = prepare(t, fixture.Binary(t, s.Connector), slices.Concat(s.Env, []string{
		"BATON_CLIENT_ID=" + plane.ClientID(),
		"BATON_CLIENT_SECRET=" + plane.ClientSecret(),
		"SSL_CERT_FILE=" + plane.CAFile(),
		"BATON_TMPDIR=" + t.TempDir(),
	}, env), args...)
	return d
}

// searched searches for secrets in everything that the daemon wrote and sent.
func (d *daemon) searched(t testing.TB) {
	t.Helper()
	said := map[string]string{"stdout": d.stdout.String(), "stderr": d.stderr.String()}
	for i, event := range d.plane.Events() {
		if event.Message != nil {
			said[fmt.Sprintf("%s %d", event.Method, i)] = protojson.Format(event.Message)
		}
	}
	for where, text := range said {
		if d.leaks(text) || strings.Contains(text, d.plane.ClientSecret()) {
			t.Errorf("a secret shows in %s", where)
		}
	}
}

// event waits for a message from the daemon.
func (d *daemon) event(what string, match func(controlplane.Event) bool) controlplane.Event {
	d.t.Helper()
	event, err := d.plane.Wait(d.alive, match)
	if err != nil {
		d.t.Fatalf("%s: %s (%v)", d.Connector, "no "+what+" from the daemon", err)
	}
	return event
}

// hello waits until the daemon has introduced itself.
func (d *daemon) hello() controlplane.Event {
	d.t.Helper()
	return d.event("Hello", func(e controlplane.Event) bool { return e.Method == "Hello" })
}

// heartbeat waits until the daemon works on a task.
func (d *daemon) heartbeat(id string) {
	d.t.Helper()
	d.event("Heartbeat", func(e controlplane.Event) bool { return e.Method == "Heartbeat" && e.TaskID == id })
}

// finished waits for the end of a task.
func (d *daemon) finished(id string) *v1.BatonServiceFinishTaskRequest {
	d.t.Helper()
	event := d.event("FinishTask", func(e controlplane.Event) bool { return e.Method == "FinishTask" && e.TaskID == id })
	end, ok := event.Message.(*v1.BatonServiceFinishTaskRequest)
	if !ok {
		d.t.Fatalf("FinishTask is a %T", event.Message)
	}
	return end
}

// await waits for a request to the vendor.
func await[T any](d *daemon, reached <-chan T) T {
	d.t.Helper()
	select {
	case v := <-reached:
		return v
	case <-d.alive.Done():
		d.t.Fatalf("%s ended before it asked the vendor", d.Connector)
	case <-time.After(maxWait):
		d.t.Fatalf("%s does not ask the vendor", d.Connector)
	}
	panic("not reached")
}

// eventually waits until a condition holds. It fails if the daemon ends first.
func (d *daemon) eventually(what string, holds func() bool) {
	d.t.Helper()
	for end := time.Now().Add(maxWait); !holds(); time.Sleep(50 * time.Millisecond) {
		if d.alive.Err() != nil || time.Now().After(end) {
			d.t.Fatalf("%s does not %s", d.Connector, what)
		}
	}
}

// uploads lists the files that the daemon uploaded for a task.
func (d *daemon) uploads(id string) []string {
	var files []string
	for _, event := range d.plane.Events() {
		if event.Method == "UploadAsset" && event.TaskID == id {
			files = append(files, event.File)
		}
	}
	return files
}

// synced waits for the end of a task, which must succeed, and returns its one
// upload.
func (d *daemon) synced(id string) string {
	d.t.Helper()
	end := d.finished(id)
	if !end.HasSuccess() || end.GetStatus().GetCode() != 0 {
		d.t.Fatalf("the task failed: %s", protojson.Format(end))
	}
	files := d.uploads(id)
	if len(files) != 1 {
		d.t.Fatalf("the daemon uploaded %d files, not one", len(files))
	}
	return files[0]
}

// failed waits for the end of a task, which must fail with a code, and returns
// the message that C1 shows.
func (d *daemon) failed(id string, code codes.Code) string {
	d.t.Helper()
	end := d.finished(id)
	if !end.HasError() || end.GetStatus().GetCode() != int32(code) { //nolint:gosec // codes are small
		d.t.Fatalf("the task did not fail with %s: %s", code, protojson.Format(end))
	}
	if files := d.uploads(id); len(files) != 0 {
		d.t.Fatalf("a task that failed uploaded %d files", len(files))
	}
	return end.GetStatus().GetMessage()
}

// TestDaemonSyncsTheWholeTruth checks that C1 gets the vendor's truth, sync
// after sync, including a change between two syncs.
func TestDaemonSyncsTheWholeTruth(t *testing.T) {
	t.Parallel()
	for mode, env := range map[string][]string{"one task a time": nil, "tasks in batches": {"BATON_GET_TASKS=true"}} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			eachSetup(t, func(t *testing.T, open newSetup) {
				s, plane := open(t, small), controlplane.Start(t)
				first := plane.Enqueue(controlplane.FullSync())[0]
				d := startDaemon(t, s, plane, append([]string{"BATON_HOST_ID=host-7"}, env...))

				greeting, ok := d.hello().Message.(*v1.BatonServiceHelloRequest)
				if !ok {
					t.Fatal("Hello is something else")
				}
				if name := "baton-" + strings.ToLower(greeting.GetConnectorMetadata().GetDisplayName()); name != s.Connector {
					t.Errorf("the connector introduces itself as %s", name)
				}
				if caps := greeting.GetConnectorMetadata().GetCapabilities(); len(caps.GetConnectorCapabilities()) == 0 {
					t.Error("the connector does not say what it can do")
				}
				fixture.CompareTruth(t, d.synced(first), s.Now())

				users, groups := s.UserIDs(), s.GroupIDs()
				s.DeleteUser(users[7])
				s.Disable(users[8])
				s.AddMember(groups[1], s.AddUser("new@example.com"))
				s.DeleteGroup(groups[2])
				s.AddMember(s.AddGroup("New group"), users[9])
				second := plane.Enqueue(controlplane.FullSync())[0]
				fixture.CompareTruth(t, d.synced(second), s.Now())

				order := map[string]int{}
				for i, event := range plane.Events() {
					if event.TaskID == first && order[event.Method] == 0 {
						order[event.Method] = i
					}
					if event.Method != "Token" && event.Host != "host-7" {
						t.Errorf("%s comes from host %q", event.Method, event.Host)
					}
				}
				if order["Heartbeat"] == 0 || order["Heartbeat"] > order["UploadAsset"] || order["UploadAsset"] > order["FinishTask"] {
					t.Errorf("the messages about the first task came in this order: %v", order)
				}
			})
		})
	}
}

// TestDaemonReportsAFailingSync checks that the daemon does not upload a sync
// that cannot be right, that C1 shows the reason in this project's words, and
// that the daemon keeps running.
func TestDaemonReportsAFailingSync(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		ids := plane.Enqueue(controlplane.FullSync(), controlplane.FullSync())
		var once sync.Once
		s.OnRequest(func(n int, _ *http.Request) {
			if n == 5 { // after the check of the credential
				once.Do(s.RevokeCredential)
			}
		})
		d := startDaemon(t, s, plane, nil, "--task-concurrency", "1")
		for _, id := range ids {
			message := d.failed(id, codes.Unauthenticated)
			// The SDK adds its own lines about the calls that it cancelled.
			first, _, _ := strings.Cut(message, "\n")
			if strings.Count(first, s.Connector+": ") != 1 || !strings.Contains(first, "GET "+s.URL()) || !strings.Contains(first, "401") {
				t.Errorf("C1 shows %q", message)
			}
		}
	})
}

// TestDaemonWithAWrongClientSecretEnds checks that a daemon that C1 refuses
// does not look alive, and that it sends the vendor no request.
func TestDaemonWithAWrongClientSecretEnds(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		p := start(t, fixture.Binary(t, s.Connector), slices.Concat(s.Env, []string{
			"BATON_CLIENT_ID=" + plane.ClientID(), "BATON_CLIENT_SECRET=" + plane.OtherSecret(), "SSL_CERT_FILE=" + plane.CAFile(),
		}))
		if code := p.wait(); code != int(codes.Unauthenticated) {
			t.Errorf("the daemon ended with %d", code)
		}
		if line := p.lastLine(); !strings.HasPrefix(line, s.Connector+": ") || !strings.Contains(line, "failed to get token: 401") {
			t.Errorf("the daemon's last words are %q", line)
		}
		if n := len(s.Requests()); n != 0 {
			t.Errorf("the vendor was sent %d requests", n)
		}
	})
}

// TestDaemonOutlivesAnOutageOfC1 checks that an outage of C1, at the start,
// between two tasks or during one, delays a sync but does not lose or change
// it.
func TestDaemonOutlivesAnOutageOfC1(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		outage := func(d *daemon) {
			if err := plane.WaitRefused(d.alive); err != nil {
				t.Errorf("the daemon did not try to reach C1: %v", err)
			}
			plane.Reachable()
		}
		plane.Unreachable()
		d := startDaemon(t, s, plane, nil)
		outage(d)
		d.hello()

		plane.Unreachable()
		id := plane.Enqueue(controlplane.FullSync())[0]
		outage(d)
		fixture.CompareTruth(t, d.synced(id), s.Now())

		var once sync.Once
		s.OnRequest(func(int, *http.Request) {
			once.Do(func() {
				plane.Unreachable()
				outage(d)
			})
		})
		id = plane.Enqueue(controlplane.FullSync())[0]
		fixture.CompareTruth(t, d.synced(id), s.Now())
	})
}

// TestDaemonRunsTasksThatOverlap checks that two parallel syncs in one
// connector process do not mix.
func TestDaemonRunsTasksThatOverlap(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		d := startDaemon(t, s, plane, nil)
		d.hello()
		ids := plane.Enqueue(controlplane.FullSync(), controlplane.FullSync(), controlplane.FullSync())
		// The vendor answers no request before all syncs have begun.
		s.OnRequest(func(int, *http.Request) {
			for _, id := range ids {
				//nolint:contextcheck // the request lasts as long as the daemon
				if _, err := plane.Wait(d.alive, func(e controlplane.Event) bool { return e.Method == "Heartbeat" && e.TaskID == id }); err != nil {
					t.Errorf("the tasks do not overlap: %v", err)
				}
			}
		})
		for _, id := range ids {
			fixture.CompareTruth(t, d.synced(id), s.Now())
		}
	})
}

// TestDaemonDropsACancelledTask checks that a cancelled sync ends although the
// vendor hangs, and that the next sync is whole.
func TestDaemonDropsACancelledTask(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		d := startDaemon(t, s, plane, nil)
		d.hello()
		reached := make(chan struct{}, 1000)
		s.OnRequest(func(_ int, r *http.Request) {
			reached <- struct{}{}
			<-r.Context().Done()
		})
		id := plane.Enqueue(controlplane.FullSync())[0]
		d.heartbeat(id)
		await(d, reached) // a call that has not begun ends differently
		plane.Cancel(id)
		d.failed(id, codes.Canceled)
		s.OnRequest(nil)
		id = plane.Enqueue(controlplane.FullSync())[0]
		fixture.CompareTruth(t, d.synced(id), s.Now())
	})
}

// TestDaemonSyncsOneGroup checks that a targeted sync of one group uploads the
// group with its members, or nothing.
func TestDaemonSyncsOneGroup(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		target := s.GroupIDs()[3]
		id := plane.Enqueue(controlplane.TargetedSync(v2.ResourceId_builder{ResourceType: "group", Resource: target}.Build()))[0]
		d := startDaemon(t, s, plane, nil)
		if s.Kind == fixture.RudderStack {
			if said := d.failed(id, codes.FailedPrecondition); !strings.Contains(said, "run a full sync") {
				t.Errorf("C1 shows %s", said)
			}
			return
		}
		s.CompareGroup(t, d.synced(id), target)
	})
}

// TestDaemonTellsItsHealth checks that an orchestrator sees a revoked
// credential, and that it still sees a live process then.
func TestDaemonTellsItsHealth(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		port := freePort(t)
		health := []string{"BATON_HEALTH_CHECK=true", "BATON_HEALTH_CHECK_PORT=" + port}
		d := startDaemon(t, s, plane, health)
		d.event("GetTask", func(e controlplane.Event) bool { return e.Method == "GetTask" })
		probe := func(endpoint string, want int) string {
			t.Helper()
			resp, err := http.Get("http://127.0.0.1:" + port + "/" + endpoint) //nolint:noctx // bounded by the daemon
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close() //nolint:errcheck // it was read to its end
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != want {
				t.Errorf("/%s answers %d: %s", endpoint, resp.StatusCode, body)
			}
			return string(body)
		}
		probes := func(want int) {
			t.Helper()
			// A container's probe runs the same binary.
			p := start(t, fixture.Binary(t, s.Connector), health, "health-check", "--endpoint", "health", "--timeout", "60")
			if code := p.wait(); (code == 0) != (want == http.StatusOK) {
				t.Errorf("health-check ends with %d: %s", code, p.stderr.String())
			}
		}
		for _, endpoint := range []string{"health", "ready", "live"} {
			probe(endpoint, http.StatusOK)
		}
		probes(http.StatusOK)
		s.RevokeCredential()
		// The daemon repeats a good answer for some seconds.
		d.eventually("see the revoked credential", func() bool {
			resp, err := http.Get("http://127.0.0.1:" + port + "/health") //nolint:noctx // bounded by the daemon
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusServiceUnavailable
		})
		body := probe("health", http.StatusServiceUnavailable)
		if !strings.Contains(body, "401") || s.leaks(body) {
			t.Errorf("/health says %s", body)
		}
		probe("live", http.StatusOK)
		probes(http.StatusServiceUnavailable)
	})
}

// nextPort is the next port that freePort tries.
var nextPort atomic.Int32

// freePort returns a port without a listener, and never the same port twice.
// The port is below the range for outgoing connections, so no connection takes
// it before the daemon does.
func freePort(t testing.TB) string {
	t.Helper()
	nextPort.CompareAndSwap(0, 1+rand.Int32N(9000))
	for range 100 {
		port := strconv.Itoa(20000 + int(nextPort.Add(1))%10000)
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
