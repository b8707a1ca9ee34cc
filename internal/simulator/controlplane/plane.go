// Package controlplane replaces ConductorOne on loopback: the token endpoint,
// the task service that a self-hosted connector polls, and the configuration
// service that a cloud-hosted connector starts from. It enforces the protocol:
// it refuses every message that is not signed, bound or well-formed as C1
// requires, and records it in Violations.
package controlplane

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
)

// pollEvery is the wait between two polls that the plane asks of connectors. 0
// would make the SDK spin.
const pollEvery = 20 * time.Millisecond

// maxWait bounds every wait of a test. It is far longer than any event takes,
// so only an event that never happens reaches it.
const maxWait = 2 * time.Minute

// Plane is one control plane. It is safe for concurrent use.
type Plane struct {
	v1.UnimplementedBatonServiceServer
	v1.UnimplementedConnectorConfigServiceServer

	server   *httptest.Server
	listener *refusingListener
	dir      string
	caFile   string
	clientID string
	secret   *key

	mu         sync.Mutex
	changed    chan struct{} // closed, and replaced, when anything happens
	events     []Event
	violations []string
	issued     map[string]*token
	proofs     map[string]bool // ids of DPoP proofs seen
	nonce      string
	queue      []*v1.Task
	handed     map[string]*v1.Task
	finished   map[string]bool // tasks
	dropped    map[string]bool // tasks
	config     served
	tasks      int
	// tokenAnswers are the answers to the next token requests.
	tokenAnswers []func(http.ResponseWriter)
}

// Event is one message that the plane received and accepted.
type Event struct {
	// Method is the RPC's name, such as Hello or FinishTask, or Token for a
	// token request.
	Method string
	// TaskID is empty if the message concerns no task.
	TaskID string
	// Host is the connector's host id.
	Host string
	// Message is the received message; for UploadAsset, its metadata.
	Message proto.Message
	// File is the path of the uploaded asset; empty for other methods.
	File string
}

// Start runs a control plane until the test ends.
func Start(tb testing.TB) *Plane {
	tb.Helper()
	p := &Plane{
		dir:      tb.TempDir(),
		changed:  make(chan struct{}),
		issued:   map[string]*token{},
		proofs:   map[string]bool{},
		handed:   map[string]*v1.Task{},
		dropped:  map[string]bool{},
		finished: map[string]bool{},
		nonce:    random(),
		secret:   newKey(),
	}
	rpc := grpc.NewServer(
		grpc.UnaryInterceptor(p.unary),
		grpc.StreamInterceptor(p.stream))
	v1.RegisterBatonServiceServer(rpc, p)
	v1.RegisterConnectorConfigServiceServer(rpc, p)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/v1/token", p.token)
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			rpc.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	p.listener = &refusingListener{Listener: p.server.Listener, open: map[net.Conn]bool{}}
	p.server.Listener = p.listener
	p.server.EnableHTTP2 = true
	certificate, authority := newCertificate()
	p.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	p.server.Config.ErrorLog = discard
	p.caFile = filepath.Join(p.dir, "ca.pem")
	if err := os.WriteFile(p.caFile, authority, 0o600); err != nil {
		tb.Fatal(err)
	}
	p.clientID = "loopback@" + p.Host() + "/connector"
	p.server.StartTLS()
	tb.Cleanup(func() {
		p.listener.refuse(true) // cuts open connections, so Close need not wait
		p.server.Close()
		rpc.Stop()
	})
	return p
}

// Host is the plane's host:port.
func (p *Plane) Host() string { return p.listener.Addr().String() }

// ClientID is the id of the one connector that the plane knows.
func (p *Plane) ClientID() string { return p.clientID }

// ClientSecret is that connector's secret.
func (p *Plane) ClientSecret() string { return p.secret.text }

// OtherSecret is a well-formed secret of another connector.
func (*Plane) OtherSecret() string { return newKey().text }

// CAFile is the path of the certificate authority that a connector must trust
// (SSL_CERT_FILE) to reach the plane.
func (p *Plane) CAFile() string { return p.caFile }

// Unreachable cuts all connections and refuses new ones, until Reachable.
func (p *Plane) Unreachable() { p.listener.refuse(true) }

// WaitRefused waits until the plane, since Unreachable, has refused a
// connection. It returns an error under the same conditions as Wait.
func (p *Plane) WaitRefused(alive context.Context) error {
	ctx, cancel := context.WithTimeout(alive, maxWait)
	defer cancel()
	p.listener.mu.Lock()
	refused := p.listener.refused
	p.listener.mu.Unlock()
	select {
	case <-refused:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reachable ends Unreachable.
func (p *Plane) Reachable() { p.listener.refuse(false) }

// Events returns the events so far, oldest first.
func (p *Plane) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Event(nil), p.events...)
}

// Violations returns the connectors' breaches of the protocol.
func (p *Plane) Violations() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.violations...)
}

// Wait returns the first event since the start that matches. It returns an
// error when alive is done or after maxWait.
func (p *Plane) Wait(alive context.Context, match func(Event) bool) (Event, error) {
	ctx, cancel := context.WithTimeout(alive, maxWait)
	defer cancel()
	for seen := 0; ; {
		p.mu.Lock()
		fresh, changed := p.events[seen:], p.changed
		seen = len(p.events)
		p.mu.Unlock()
		for _, event := range fresh {
			if match(event) {
				return event, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// note records an event.
func (p *Plane) note(event Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, event)
	close(p.changed)
	p.changed = make(chan struct{})
}

// violation records a breach of the protocol.
func (p *Plane) violation(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.violations = append(p.violations, text)
}

// refusingListener can act like a host that does not answer.
type refusingListener struct {
	net.Listener

	mu       sync.Mutex
	refusing bool
	refused  chan struct{} // closed at the first refusal
	closed   bool
	open     map[net.Conn]bool
}

func (l *refusingListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		if l.refusing {
			if !l.closed {
				l.closed = true
				close(l.refused)
			}
			l.mu.Unlock()
			_ = conn.Close()
			continue
		}
		l.open[conn] = true
		l.mu.Unlock()
		return &trackedConn{Conn: conn, listener: l}, nil
	}
}

func (l *refusingListener) isRefusing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusing
}

func (l *refusingListener) refuse(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusing = on
	if !on {
		return
	}
	l.refused, l.closed = make(chan struct{}), false
	for conn := range l.open {
		_ = conn.Close()
	}
	clear(l.open)
}

type trackedConn struct {
	net.Conn
	listener *refusingListener
}

func (c *trackedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c.Conn)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
