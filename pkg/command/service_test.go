package command

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
	"github.com/conductorone/baton-connectors/pkg/connector"
)

// countingServer counts checks of the credential.
type countingServer struct {
	types.ConnectorServer
	checks int
	err    error
}

func (s *countingServer) Validate(context.Context, *v2.ConnectorServiceValidateRequest) (*v2.ConnectorServiceValidateResponse, error) {
	s.checks++
	return &v2.ConnectorServiceValidateResponse{}, s.err
}

func (s *countingServer) ListResourceTypes(context.Context, *v2.ResourceTypesServiceListResourceTypesRequest) (*v2.ResourceTypesServiceListResourceTypesResponse, error) {
	return nil, nil
}

func (s *countingServer) ListResources(context.Context, *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error) {
	return nil, nil
}

func (s *countingServer) ListGrants(context.Context, *v2.GrantsServiceListGrantsRequest) (*v2.GrantsServiceListGrantsResponse, error) {
	return nil, nil
}

// An orchestrator that probes every 300 ms must not use up the vendor's rate
// limit, and must see a revoked credential soon.
func TestProbesOfHealthDoNotAskTheVendorEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &countingServer{}
		s := newServiceServer("baton-test", &connected{server: inner})
		probe := func() error {
			_, err := s.Validate(t.Context(), nil)
			return err
		}
		for range 200 { // a minute
			if err := probe(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
		}
		if inner.checks > 13 {
			t.Errorf("200 probes in a minute made %d checks", inner.checks)
		}
		inner.err = status.Error(codes.Unauthenticated, "revoked")
		time.Sleep(goodAge)
		for range 2 {
			if err := probe(); status.Code(err) != codes.Unauthenticated {
				t.Fatalf("a revoked credential: %v", err)
			}
		}
		inner.err = nil
		if err := probe(); err != nil {
			t.Errorf("a failure was given again: %v", err)
		}
	})
}

// A check drops the answers that were prefetched before the sync.
func TestASyncBeginsWithACheck(t *testing.T) {
	t.Parallel()
	inner := &countingServer{}
	s := newServiceServer("baton-test", &connected{server: inner})
	begin := func(want int) {
		t.Helper()
		if _, err := s.ListResourceTypes(t.Context(), nil); err != nil || inner.checks != want {
			t.Fatalf("a sync began after %d checks, want %d (%v)", inner.checks, want, err)
		}
	}
	for range 2 { // the second gets the answer of the first
		if _, err := s.Validate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	begin(2)
	begin(2)
	if _, err := s.Validate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	inner.err = status.Error(codes.PermissionDenied, "no rights any more")
	if _, err := s.ListResourceTypes(t.Context(), nil); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a sync began without its rights: %v", err)
	}
}

// C1 must see a failed task, not a sync that never ends.
func TestASyncFailsBeforeTheDiskIsFull(t *testing.T) {
	t.Parallel()
	s := newServiceServer("baton-test", &connected{server: &countingServer{}})
	for _, row := range []struct {
		free uint64
		err  error
		want codes.Code
	}{
		{minServiceSpace, nil, codes.OK},
		{minServiceSpace - 1, nil, codes.ResourceExhausted},
		{0, errors.New("the file system does not say"), codes.OK},
	} {
		s.free = func(context.Context) (uint64, error) { return row.free, row.err }
		_, resources := s.ListResources(t.Context(), nil)
		_, grants := s.ListGrants(t.Context(), nil)
		if status.Code(resources) != row.want || status.Code(grants) != row.want {
			t.Errorf("%d bytes free (%v): %v, %v; want %s", row.free, row.err, resources, grants, row.want)
		}
	}
}

// The SDK waits for ever for a child process that died early.
func TestAConnectorThatIsNotReachedIsNoticed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), reachedFile)
	if reached(file, time.Nanosecond) {
		t.Error("a connector without a call counts as reached")
	}
	write(t, file, "")
	if !reached(file, time.Hour) {
		t.Error("a connector that was called counts as not reached")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the file stays")
	}
}

// An orchestrator would see a process that lives.
func TestADaemonWhoseConnectorDiesAtItsStartEnds(t *testing.T) {
	t.Parallel()
	plane := controlplane.Start(t)
	serve(t, newVendor(t), plane).env(testDeadConnector + "=1").exits(int(codes.Unavailable)).says("did not start within 1s")
}

// A gateway's error in front of C1's token endpoint says nothing about the
// credential.
func TestAnOutageOfC1IsNotARefusedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &program[*testConfig]{info: connector.Info{Name: "baton-test"}}
		down := status.Error(codes.Unauthenticated, "failed to get token: 503 Service Unavailable")
		tries := 0
		err := p.untilInReach(t.Context(), 15*time.Minute, func() error {
			if tries++; tries < 5 {
				return down
			}
			return nil
		})
		if err != nil || tries != 5 {
			t.Errorf("an outage that ends: %v after %d tries", err, tries)
		}
		tries = 0
		err = p.untilInReach(t.Context(), 15*time.Minute, func() error { tries++; return down })
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "C1 has been unreachable for 1") || !strings.Contains(err.Error(), "503") {
			t.Errorf("an outage that does not end: %v", err)
		}
		if tries < 15 || tries > 25 {
			t.Errorf("%d tries in 15 minutes", tries)
		}
	})
}

func TestWhatARefusalByC1Is(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		err  error
		out  bool
	}{
		{"gateway", status.Error(codes.Unauthenticated, "failed to get token: 502 Bad Gateway"), true},
		{"rate limit", status.Error(codes.Unauthenticated, "failed to get token: 429 Too Many Requests"), true},
		{"markup", status.Error(codes.Unauthenticated, "transport: per-RPC creds failed due to error: invalid character '<' looking for beginning of value"), true},
		{"refused", status.Error(codes.Unauthenticated, "failed to get token: 401 Unauthorized"), false},
		{"empty", status.Error(codes.Unauthenticated, "failed to get token: empty access token"), false},
		{"vendor", status.Error(codes.Unauthenticated, "baton-test: GET https://vendor.example.com: 401"), false},
		{"other code", status.Error(codes.Internal, "failed to get token: 502 Bad Gateway"), false},
		{"good", nil, false},
	} {
		if got := outOfReach(row.err) != ""; got != row.out {
			t.Errorf("%s: out of reach is %t", row.name, got)
		}
	}
}

// serve prepares a daemon.
func serve(t *testing.T, v *vendor, plane *controlplane.Plane) *invocation {
	t.Helper()
	return invoke(t, v).env("BATON_CLIENT_ID="+plane.ClientID(), "BATON_CLIENT_SECRET="+plane.ClientSecret(), "SSL_CERT_FILE="+plane.CAFile())
}

// C1 would see a running sync without end, and Kubernetes a process that is ready.
func TestADaemonWhoseSyncHangsEnds(t *testing.T) {
	t.Parallel()
	plane, v := controlplane.Start(t), newVendor(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close()
	ready := func() bool {
		response, err := http.Get("http://127.0.0.1:" + port + "/ready") //nolint:noctx // bounded by the daemon
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	var wasReady atomic.Bool
	v.at("/groups", func(w http.ResponseWriter, _ *http.Request) {
		wasReady.Store(ready())
		_, _ = w.Write([]byte(`{"rows": [{"id": "hang"}], "last": true}`))
	})
	run := serve(t, v, plane).env("BATON_HEALTH_CHECK=true", "BATON_HEALTH_CHECK_PORT="+port,
		"BATON_OUTAGE_MINUTES=1", testStallLimit+"=2s", "BATON_HTTP_TIMEOUT_SECONDS=1")
	plane.Enqueue(controlplane.FullSync())
	run.exits(exitStalled).says("no progress for 3s")
	if !wasReady.Load() || ready() {
		t.Errorf("the daemon was ready before: %v; after its end: %v", wasReady.Load(), ready())
	}
}

// An idle daemon waits for tasks for days.
func TestOnlyARunningSyncCanStall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, activityFile), "")
	if last, syncs := activityIn(dir); syncs || last.IsZero() {
		t.Errorf("without a store: a sync %v, active at %s", syncs, last)
	}
	store := filepath.Join(dir, "c1z-pebble1")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(store, "000001.log"), "")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(store, "000001.log"), later, later); err != nil {
		t.Fatal(err)
	}
	if last, syncs := activityIn(dir); !syncs || !last.Equal(later.Truncate(0)) {
		t.Errorf("with a store: a sync %v, active at %s, want %s", syncs, last, later)
	}
}
