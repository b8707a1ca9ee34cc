package simulator

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// The authorities of the servers in memory. No packet ever goes to them.
const (
	memoryAuthority    = "127.0.0.1:1"
	memoryAuthorityOf2 = "127.0.0.1:2"
)

// WithMemory makes the server listen within the process. It opens no socket,
// and only Transport reaches it. Everything then waits on channels and timers,
// so a test can run in a testing/synctest bubble.
func WithMemory() Option { return func(o *options) { o.memory = true } }

// Transport returns a client transport for a server made with WithMemory, and
// for the other origin in some faults. It refuses connections to any other
// address. Close closes its connections. It is nil for a server on loopback.
func (s *Server) Transport() http.RoundTripper {
	if s.transport == nil {
		return nil
	}
	return s.transport
}

// startInMemory is Start for a server made with WithMemory.
func (s *Server) startInMemory(other http.Handler) {
	listeners := map[string]*memoryListener{
		memoryAuthority:    newMemoryListener(memoryAuthority),
		memoryAuthorityOf2: newMemoryListener(memoryAuthorityOf2),
	}
	for authority, handler := range map[string]http.Handler{memoryAuthority: s, memoryAuthorityOf2: other} {
		server := &http.Server{Handler: handler, ErrorLog: quiet} //nolint:gosec // its only client is in this process
		s.servers = append(s.servers, server)
		go server.Serve(listeners[authority]) //nolint:errcheck // ends with Close
	}
	s.url, s.otherURL = "http://"+memoryAuthority, "http://"+memoryAuthorityOf2
	s.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			if l, ok := listeners[address]; ok {
				return l.dial(ctx)
			}
			return nil, errRefused
		},
	}
}

// memoryListener accepts the server ends of pipes.
type memoryListener struct {
	address memoryAddress
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newMemoryListener(authority string) *memoryListener {
	return &memoryListener{address: memoryAddress(authority), conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *memoryListener) Addr() net.Addr { return l.address }

type memoryAddress string

var errRefused = &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}

func (memoryAddress) Network() string  { return "memory" }
func (a memoryAddress) String() string { return string(a) }
