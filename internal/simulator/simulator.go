package simulator

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// TB is the part of testing.TB that a server needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// Request is one request as a server saw it.
type Request struct {
	// N counts from 1.
	N      int
	Method string
	// Path is decoded and includes the prefix.
	Path string
	// Query is the raw query.
	Query string
	// Header holds Accept, Accept-Encoding, User-Agent, Content-Type, Cookie
	// and Range.
	Header http.Header
	// Authorized reports whether the credential was right.
	Authorized bool
	// Status is the answer's status, or 0 if no answer was sent.
	Status int
	At     time.Time
}

// vendor holds the differences between the two vendors.
type vendor interface {
	prefix() string
	authorized(r *http.Request) bool
	refuse(w http.ResponseWriter, status int)
	serve(w http.ResponseWriter, r *http.Request)
	person(i int) *Person
	everyone() *Team
	groupID(i int) string
	present(p *Person) User
	presentTeam(t *Team) Group
}

// Server is one vendor's API. It is an http.Handler. Start makes it listen.
type Server struct {
	vendor  vendor
	dir     *store
	handler http.Handler
	options options

	mu          sync.Mutex
	requests    []Request
	otherOrigin []Request
	violations  []string
	hook        func(n int, r *http.Request)
	revoked     bool

	url, otherURL string
	listener      *httptest.Server
	other         *httptest.Server
	servers       []*http.Server // in memory
	transport     *http.Transport
	stop          chan struct{}
	stopped       sync.Once
}

type options struct {
	faults  []chosen
	latency time.Duration
	jitter  time.Duration
	seed    int
	fast    bool
	tls     bool
	memory  bool
}

// Option changes how a server behaves.
type Option func(*options)

// WithLatency delays each answer by latency and up to jitter more.
func WithLatency(latency, jitter time.Duration) Option {
	return func(o *options) { o.latency, o.jitter = latency, jitter }
}

// WithSeed sets the seed for jitter and for shares of requests.
func WithSeed(seed int) Option { return func(o *options) { o.seed = seed } }

// WithFast makes RudderStack keep each resource as the SCIM library rendered
// it, and build the pages itself. Its answers have the same bytes.
func WithFast() Option { return func(o *options) { o.fast = true } }

// WithTLS makes the server speak https and HTTP/2. CertificatePEM returns its certificate.
func WithTLS() Option { return func(o *options) { o.tls = true } }

func newServer(v vendor, fold func(string) string, size Size, opts []Option) *Server {
	s := &Server{vendor: v, dir: newStore(fold), stop: make(chan struct{})}
	for _, opt := range opts {
		opt(&s.options)
	}
	switch v := v.(type) {
	case *rudderstack:
		v.Server = s
		v.library = newLibrary(v)
	case *guru:
		v.Server = s
	}
	s.fill(size)
	for _, c := range s.options.faults {
		if !c.fault.serves(v) {
			panic("simulator: the fault " + c.fault.Name + " is not one of this vendor")
		}
		if c.fault.seed != nil {
			c.fault.seed(s)
		}
	}
	s.handler = s.withFaults(http.HandlerFunc(v.serve))
	s.dir.serving = true
	return s
}

// quiet discards net/http's messages about broken connections.
var quiet = log.New(io.Discard, "", 0)

// Start listens on loopback or, with WithMemory, within the process. With a
// test, the server closes when the test ends, and any request other than a GET
// fails the test.
func (s *Server) Start(tb TB) *Server {
	other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.otherOrigin = append(s.otherOrigin, record(len(s.otherOrigin)+1, r))
		s.mu.Unlock()
		_, _ = io.WriteString(w, `{"totalResults":0}`)
	})
	if s.options.memory {
		s.startInMemory(other)
	} else {
		s.startOnLoopback(other)
	}
	if tb != nil {
		tb.Cleanup(func() {
			tb.Helper()
			s.Close()
			for _, violation := range s.Violations() {
				tb.Errorf("the vendor was sent %s", violation)
			}
		})
	}
	return s
}

func (s *Server) startOnLoopback(other http.Handler) {
	s.other = httptest.NewUnstartedServer(other)
	s.listener = httptest.NewUnstartedServer(s)
	for _, listener := range []*httptest.Server{s.other, s.listener} {
		listener.Config.ErrorLog = quiet
	}
	s.other.Start()
	if s.options.tls {
		s.listener.EnableHTTP2 = true
		s.listener.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		s.listener.StartTLS()
	} else {
		s.listener.Start()
	}
	s.url, s.otherURL = s.listener.URL, s.other.URL
}

// Close stops listening. It abandons answers that hang.
func (s *Server) Close() {
	s.stopped.Do(func() {
		close(s.stop)
		if s.transport != nil {
			s.transport.CloseIdleConnections()
		}
		for _, server := range s.servers {
			_ = server.Close()
		}
		for _, listener := range []*httptest.Server{s.listener, s.other} {
			if listener != nil {
				listener.CloseClientConnections()
				listener.Close()
			}
		}
	})
}

// URL is the base URL for a connector, with the prefix.
func (s *Server) URL() string { return s.url + s.vendor.prefix() }

// CertificatePEM returns the certificate that a client must trust if the server
// has TLS.
func (s *Server) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.listener.Certificate().Raw})
}

// OnRequest makes the server call f before it answers each request, with the
// request's number from 1. f may change the directory.
func (s *Server) OnRequest(f func(n int, r *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// RevokeCredential makes every further request fail with 401.
func (s *Server) RevokeCredential() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = true
}

// Requests lists the requests so far, in order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ForgetRequests empties the list that Requests returns.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Violations lists the requests other than GET. The server refused all of them.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// OtherOrigin lists the requests that arrived at the other origin in some faults.
func (s *Server) OtherOrigin() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.otherOrigin)
}

func record(n int, r *http.Request) Request {
	kept := http.Header{}
	for _, name := range []string{"Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Cookie", "Range"} {
		if values := r.Header.Values(name); len(values) > 0 {
			kept[name] = values
		}
	}
	return Request{N: n, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: kept, Authorized: r.Header.Get("Authorization") != "", At: time.Now()}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	revoked, hook := s.revoked, s.hook
	seen := record(len(s.requests)+1, r)
	seen.Authorized = !revoked && s.vendor.authorized(r)
	s.requests = append(s.requests, seen)
	if r.Method != http.MethodGet {
		s.violations = append(s.violations, r.Method+" "+r.URL.Path)
	}
	s.mu.Unlock()

	noted := &statusNote{ResponseWriter: w}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.requests {
			if at := len(s.requests) - 1 - i; s.requests[at].N == seen.N && s.requests[at].At.Equal(seen.At) {
				s.requests[at].Status = noted.status
				return
			}
		}
	}()
	if hook != nil {
		hook(seen.N, r)
	}
	if !s.pause(r.Context(), s.latency(seen.N)) {
		return
	}
	path, inside := strings.CutPrefix(r.URL.Path, s.vendor.prefix()+"/")
	switch {
	case !inside:
		http.Error(noted, "no such path", http.StatusNotFound)
	case r.Method != http.MethodGet:
		noted.Header().Set("Allow", http.MethodGet)
		s.vendor.refuse(noted, http.StatusMethodNotAllowed)
	case !seen.Authorized:
		s.vendor.refuse(noted, http.StatusUnauthorized)
	default:
		s.handler.ServeHTTP(noted, r.WithContext(context.WithValue(r.Context(), pathKey{}, "/"+path)))
	}
}

type pathKey struct{}

// pathOf returns a request's path below the prefix.
func pathOf(r *http.Request) string {
	path, _ := r.Context().Value(pathKey{}).(string)
	return path
}

func (s *Server) latency(n int) time.Duration {
	if s.options.jitter <= 0 {
		return s.options.latency
	}
	return s.options.latency + time.Duration(hash("jitter", n+s.options.seed<<32)%uint64(s.options.jitter)) //nolint:gosec // positive
}

// pause waits, unless the client leaves or the server closes.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.stop:
	}
	return false
}

// statusNote records the status that was sent.
type statusNote struct {
	http.ResponseWriter
	status int
}

func (n *statusNote) WriteHeader(status int) {
	if n.status == 0 {
		n.status = status
	}
	n.ResponseWriter.WriteHeader(status)
}

func (n *statusNote) Write(b []byte) (int, error) {
	if n.status == 0 {
		n.status = http.StatusOK
	}
	return n.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (n *statusNote) Unwrap() http.ResponseWriter { return n.ResponseWriter }
