package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
)

// vendorHost is a host name that only a proxy of these tests can reach. RFC
// 6761, section 6.2, keeps it out of every DNS.
const vendorHost = "vendor.test"

// thisHost is an address that leads to loopback (net.Dial). Go sends it through
// a proxy, unlike loopback's own addresses.
const thisHost = "0.0.0.0"

// authority returns a certificate for loopback, thisHost and vendorHost from a
// private certificate authority, and the file that a client must trust.
func authority(t testing.TB) (certificate *tls.Certificate, file string) {
	t.Helper()
	made := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Private authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, rootKey := made(root, root, nil)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{vendorHost}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, leafKey := made(leaf, root, rootKey)
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}, file
}

// TestAPrivateAuthorityIsTrustedWhereItIsNamed checks that a vendor behind a
// private authority needs only SSL_CERT_FILE. Without it a sync fails before it
// sends the credential, and says what is missing.
func TestAPrivateAuthorityIsTrustedWhereItIsNamed(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		certificate, file := authority(t)
		s.startReverseProxy(t, certificate)

		run := s.sync(t, nil)
		if code := run.wait(); code != int(codes.FailedPrecondition) {
			t.Errorf("exit code %d", code)
		}
		if line := run.lastLine(); !strings.Contains(line, "certificate is not trusted") || !strings.Contains(line, "SSL_CERT_FILE") {
			t.Errorf("it said %s", line)
		}
		if n := len(s.Requests()); n != 0 {
			t.Errorf("%d requests were sent to a server that is not trusted", n)
		}
		// The SDK's switch to print whole answers must print none.
		run = s.sync(t, nil, "SSL_CERT_FILE="+file, "BATON_DEBUG_PRINT_RESPONSE_BODY=true")
		run.succeeds(t, s.Now())
		if strings.Contains(run.stdout.String()+run.stderr.String(), "@example.com") {
			t.Error("an answer is printed")
		}
	})
}

// TestNothingIsSentInTheClear checks that a redirect from https to http during
// a sync, on the same host and port, ends the sync before anything is sent.
func TestNothingIsSentInTheClear(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		certificate, file := authority(t)
		f := s.startReverseProxy(t, certificate)
		f.answers(func(w http.ResponseWriter, r *http.Request) bool {
			if len(s.Requests()) < 4 {
				return false
			}
			http.Redirect(w, r, "http://"+r.Host+r.URL.RequestURI(), http.StatusPermanentRedirect)
			return true
		})
		run := s.sync(t, nil, "SSL_CERT_FILE="+file)
		if code := run.wait(); code != int(codes.FailedPrecondition) {
			t.Errorf("exit code %d", code)
		}
		if line := run.lastLine(); !strings.Contains(line, "redirected to http://") || !strings.Contains(line, "configured origin only") {
			t.Errorf("it said %s", line)
		}
		if came := f.arrivedPlain(); len(came) > 0 {
			t.Errorf("without TLS arrived %q", came)
		}
		if fixture.Finished(t, run.file) {
			t.Error("the file holds a finished sync")
		}
	})
}

// proxy is an HTTP proxy that opens tunnels (RFC 9110, section 9.3.6) to one
// server, for any host.
type proxy struct {
	*httptest.Server
	// login is the required login; empty for none.
	login string

	mu    sync.Mutex
	asked []http.Request
}

func startProxy(t testing.TB, to, login string) *proxy {
	t.Helper()
	p := &proxy{login: login}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, http.Request{Method: r.Method, Host: r.Host, Header: r.Header})
		p.mu.Unlock()
		if p.login != "" && r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.login)) {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		server, err := new(net.Dialer).DialContext(r.Context(), "tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer server.Close() //nolint:errcheck // the tunnel has ended
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close() //nolint:errcheck // as above
		if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
	}))
	t.Cleanup(p.Close)
	return p
}

// requests lists the requests to the proxy.
func (p *proxy) requests() []http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]http.Request(nil), p.asked...)
}

// TestAProxyFromTheEnvironmentIsUsed checks that a sync reads a vendor that
// only a proxy can reach, that the proxy sees a tunnel but neither credential
// nor users, and that an error about a proxy that refuses shows no password.
func TestAProxyFromTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	const login = "proxy-user:pr0xy-pass"
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, simulator.Size{Users: 130, Groups: 4, MembersPerGroup: 7})
		certificate, file := authority(t)
		f := s.startReverseProxy(t, certificate)
		direct := f.Listener.Addr().String()
		s.Env = moved(s.Env, "https://"+direct, "https://"+vendorHost)
		p := startProxy(t, direct, login)
		through := func(userinfo string) []string {
			at := strings.Replace(p.URL, "http://", "http://"+userinfo, 1)
			return []string{"HTTPS_PROXY=" + at, "SSL_CERT_FILE=" + file}
		}

		s.sync(t, nil, through(login+"@")...).succeeds(t, s.Now())
		asked := p.requests()
		if len(asked) == 0 {
			t.Error("the proxy was not asked")
		}
		for _, request := range asked {
			if request.Method != http.MethodConnect || request.Host != vendorHost+":443" {
				t.Errorf("the proxy was asked for %s %s", request.Method, request.Host)
			}
			var head bytes.Buffer
			_ = request.Header.Write(&head)
			if request.Header.Get("Authorization") != "" || strings.Contains(head.String(), s.Credential) {
				t.Errorf("the proxy was sent the credential")
			}
		}

		refused := len(s.Requests())
		down := through("proxy-user:wr0ng-pass@")
		down[0] = "HTTPS_PROXY=http://proxy-user:wr0ng-pass@127.0.0.1:" + freePort(t)
		for name, c := range map[string]struct {
			env  []string
			code codes.Code
			says string
		}{
			"a wrong password":     {through("proxy-user:wr0ng-pass@"), codes.FailedPrecondition, "the proxy asks for a login"},
			"a proxy that is down": {down, codes.Unavailable, "cannot reach the proxy"},
		} {
			run := s.sync(t, nil, append(c.env, "BATON_LOG_LEVEL=debug")...)
			if code := run.wait(); code != int(c.code) {
				t.Errorf("%s: exit code %d", name, code)
			}
			if line := run.lastLine(); !strings.Contains(line, c.says) || !strings.Contains(line, "https://"+vendorHost) || !strings.Contains(line, "HTTPS_PROXY") {
				t.Errorf("%s: it said %s", name, line)
			}
			if strings.Contains(run.stderr.String(), "wr0ng-pass") {
				t.Errorf("%s: the password of the proxy shows", name)
			}
		}
		if n := len(s.Requests()); n != refused {
			t.Errorf("%d requests went past the proxy", n-refused)
		}
	})
}

// TestAHostInNoProxyIsReachedDirectly checks that requests to a vendor in
// NO_PROXY, in any usual notation, do not use the proxy, and that requests to
// others do.
func TestAHostInNoProxyIsReachedDirectly(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		certificate, file := authority(t)
		f := s.startReverseProxy(t, certificate)
		direct := f.Listener.Addr().String()
		_, port, err := net.SplitHostPort(direct)
		if err != nil {
			t.Fatal(err)
		}
		s.Env = moved(s.Env, "https://"+direct, "https://"+net.JoinHostPort(thisHost, port))
		for _, c := range []struct {
			noProxy string
			direct  bool
		}{
			{"", false},
			{vendorHost + ",10.0.0.0/8," + thisHost + ":1", false},
			{thisHost, true},
			{vendorHost + ", " + net.JoinHostPort(thisHost, port), true},
			{"0.0.0.0/8", true},
			{"*", true},
		} {
			p := startProxy(t, direct, "")
			s.sync(t, nil, "HTTPS_PROXY="+p.URL, "NO_PROXY="+c.noProxy, "SSL_CERT_FILE="+file).succeeds(t, s.Now())
			if n := len(p.requests()); (n == 0) != c.direct {
				t.Errorf("NO_PROXY=%s: the proxy was asked %d times", c.noProxy, n)
			}
		}
	})
}

// moved replaces the beginning of URLs in settings.
func moved(env []string, from, to string) []string {
	out := make([]string, len(env))
	for i := range env {
		out[i] = strings.Replace(env[i], from, to, 1)
	}
	return out
}
