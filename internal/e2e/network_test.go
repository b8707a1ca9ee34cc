package e2e

import (
	"context"
	"crypto/tls"
	wire "encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru"
	guruconfig "github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack"
	rudderstackconfig "github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

// sourceAt opens a source that reads the vendor at another origin.
func (s *setup) sourceAt(t testing.TB, at string, opts rest.Options) directory.Source {
	t.Helper()
	opts.Name, opts.Version = s.Connector, "test"
	base := strings.Replace(s.URL(), originOf(t, s.URL()), at, 1)
	var source directory.Source
	var err error
	if s.Connector == "baton-guru" {
		email, _ := s.Fields["user-email"].(string)
		source, err = guru.New(context.Background(), &guruconfig.Guru{BaseUrl: base, UserEmail: email, ApiToken: s.Credential}, opts)
	} else {
		source, err = rudderstack.New(context.Background(), &rudderstackconfig.Rudderstack{RudderstackScimBaseUrl: base, RudderstackScimToken: s.Credential}, opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// mislaid is a directory that takes many requests to read.
var mislaid = simulator.Size{Users: 430, GroupSizes: []int{0, 1, 100, 101, 3}}

// isMislaid loses the vendor during a sync, brings it back once the syncer has
// got an error that it cannot be reached, and checks that the sync holds the
// truth. Each request must use its own connection.
func (s *setup) isMislaid(t *testing.T, at string, lose, find func(), says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	core, logs := observer.New(zapcore.WarnLevel)
	ctx = ctxzap.ToContext(ctx, zap.New(core))
	told := func() bool { return strings.Contains(fixture.Logged(logs), says) }
	var once sync.Once
	var finding sync.WaitGroup
	s.OnRequest(func(n int, _ *http.Request) {
		if n < 3 {
			return
		}
		once.Do(func() {
			lose()
			finding.Go(func() {
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for !told() && ctx.Err() == nil {
					<-tick.C
				}
				if ctx.Err() == nil {
					find()
				}
			})
		})
	})
	path, err := fixture.Sync(ctx, t, s.Connector, s.sourceAt(t, at, rest.Options{Prefetch: true}), fixture.SyncOptions{})
	if err != nil {
		t.Fatalf("the sync failed: %v", err)
	}
	finding.Wait()
	fixture.CompareTruth(t, path, s.Now())
	if !told() {
		t.Errorf("nothing was lost, so this shows nothing: no warning says %q", says)
	}
}

// TestAConnectionThatIsRefusedOnceCostsNobody checks that a vendor that refuses
// connections for a moment during a sync delays the sync but removes no user
// from it.
func TestAConnectionThatIsRefusedOnceCostsNobody(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, mislaid)
		address := "127.0.0.1:" + freePort(t)
		server := &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: maxWait}
		server.SetKeepAlivesEnabled(false)
		t.Cleanup(func() { _ = server.Close() })
		listen := func() net.Listener {
			listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
			if err != nil {
				t.Errorf("the port is taken: %v", err)
				return &net.TCPListener{}
			}
			go server.Serve(listener) //nolint:errcheck // it ends when it is closed
			return listener
		}
		first := listen()
		s.isMislaid(t, "http://"+address, func() { _ = first.Close() }, func() { listen() }, "connection refused")
	})
}

// Answers of a name server (RFC 1035, section 4.1.1).
const (
	serverFailure = 2
	noSuchName    = 3
)

// nameServer resolves every name to loopback or, while code is set, answers
// with that error code.
type nameServer struct{ code atomic.Int32 }

// dial is net.Resolver.Dial.
func (n *nameServer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close() //nolint:errcheck // a pipe
		for {
			size := make([]byte, 2)
			if _, err := io.ReadFull(server, size); err != nil {
				return
			}
			query := make([]byte, wire.BigEndian.Uint16(size))
			if _, err := io.ReadFull(server, query); err != nil {
				return
			}
			answer := n.answer(query)
			if _, err := server.Write(append(wire.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil { //nolint:gosec // it is short
				return
			}
		}
	}()
	return client, nil
}

// answer returns the reply to a query (RFC 1035, section 4.1): its header, its
// one question and, if it asks for an IPv4 address, loopback's.
func (n *nameServer) answer(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5
	code, found := byte(n.code.Load()&0x0f), byte(0)
	if code == 0 && query[end-3] == 1 {
		found = 1
	}
	reply := append(append([]byte{}, query[:2]...), 0x81, 0x80|code, 0, 1, 0, found, 0, 0, 0, 0)
	reply = append(reply, query[12:end]...)
	if found == 1 {
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return reply
}

// TestANameThatIsLostOnceCostsNobody checks a resolver that fails, or does not
// know the vendor's host, for a moment during a sync. It delays the sync but
// removes no user from it.
func TestANameThatIsLostOnceCostsNobody(t *testing.T) {
	// The resolver and the trusted authorities belong to a process, so this
	// test starts its own.
	const own = "BATON_E2E_OWN_PROCESS"
	if os.Getenv(own) == "" {
		t.Parallel()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		again := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
		again.Env = append(os.Environ(), own+"=1", "NO_PROXY=*")
		out, err := again.CombinedOutput()
		if n := strings.Count(string(out), "--- PASS: "+t.Name()+"/baton-"); err != nil || n != 4 {
			t.Fatalf("%d of 4 parts passed: %v\n%s", n, err, out)
		}
		return
	}
	certificate, file := authority(t)
	t.Setenv("SSL_CERT_FILE", file)
	var names nameServer
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	for _, vendor := range fixture.Vendors {
		name := "baton-" + vendor
		for says, code := range map[string]int32{"server failure": serverFailure, "no such name": noSuchName} {
			t.Run(name+" "+says, func(t *testing.T) {
				s := startSetup(t, name, mislaid)
				server := httptest.NewUnstartedServer(s)
				server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
				server.Config.SetKeepAlivesEnabled(false)
				server.StartTLS()
				t.Cleanup(server.Close)
				at, err := url.Parse(server.URL)
				if err != nil {
					t.Fatal(err)
				}
				s.isMislaid(t, "https://"+vendorHost+":"+at.Port(), func() { names.code.Store(code) }, func() { names.code.Store(0) },
					"cannot resolve the host "+vendorHost)
			})
		}
	}
}
