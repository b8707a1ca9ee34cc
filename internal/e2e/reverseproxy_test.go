package e2e

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// reverseProxy stands in front of a vendor, at another origin. A test can make
// it answer itself.
type reverseProxy struct {
	*httptest.Server

	mu      sync.Mutex
	instead func(w http.ResponseWriter, r *http.Request) bool
	plain   []string
}

// startReverseProxy starts a reverse proxy in front of a setup's vendor, with
// TLS if a certificate is given, and points the setup's settings to it.
func (s *setup) startReverseProxy(t testing.TB, certificate *tls.Certificate) *reverseProxy {
	t.Helper()
	at, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	f := &reverseProxy{}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		instead := f.instead
		f.mu.Unlock()
		if instead == nil || !instead(w, r) {
			s.ServeHTTP(w, r)
		}
	}))
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	if certificate == nil {
		f.Start()
	} else {
		f.Listener = &tlsOnly{Listener: f.Listener, proxy: f}
		f.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		f.EnableHTTP2 = true
		f.StartTLS()
	}
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	s.Env = moved(s.Env, strings.TrimSuffix(s.URL(), at.Path), f.URL)
	return f
}

// answers sets a function that answers requests. If it returns false, the
// request goes to the vendor.
func (f *reverseProxy) answers(instead func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = instead
}

// arrivedPlain lists the first lines that arrived without TLS.
func (f *reverseProxy) arrivedPlain() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.plain...)
}

// tlsOnly records what arrives at a TLS server without TLS.
type tlsOnly struct {
	net.Listener
	proxy *reverseProxy
}

func (l *tlsOnly) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsOnlyConn{Conn: conn, from: bufio.NewReader(conn), proxy: l.proxy}, nil
}

type tlsOnlyConn struct {
	net.Conn
	from   *bufio.Reader
	proxy  *reverseProxy
	looked bool
}

// handshake is the first byte of a TLS connection (RFC 8446, section 5.1).
const handshake = 22

func (c *tlsOnlyConn) Read(p []byte) (int, error) {
	if !c.looked {
		c.looked = true
		if first, err := c.from.Peek(1); err == nil && first[0] != handshake {
			line, _ := c.from.ReadString('\n')
			c.proxy.mu.Lock()
			c.proxy.plain = append(c.proxy.plain, line)
			c.proxy.mu.Unlock()
			return 0, io.EOF
		}
	}
	return c.from.Read(p)
}
