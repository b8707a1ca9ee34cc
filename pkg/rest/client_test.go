package rest

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	secret = "s3cr3t-t0ken+/="
	prefix = "/tenant-7/api"
)

// serve starts an API under a path prefix, so that a client that drops the
// prefix fails.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", http.StripPrefix(prefix, handler))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + prefix
}

func client(t *testing.T, base string, change ...func(*Vendor, *Options)) *Client {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	vendor := Vendor{Base: u, Authorization: "Bearer " + secret}
	opts := Options{Name: "baton-test", Version: "v1.2.3", Prefetch: true}
	for _, c := range change {
		c(&vendor, &opts)
	}
	c, err := New(context.Background(), vendor, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(c *Client, path ...string) (string, error) {
	var body string
	err := c.Get(context.Background(), Request{Path: path}, func(a *Answer) error {
		body = string(a.Body)
		return nil
	})
	return body, err
}

// check fails the test unless an error has a code, is one line, holds the
// words and holds no secret.
func check(t *testing.T, err error, code codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("the code is %s, not %s: %v", status.Code(err), code, err)
	}
	if err == nil {
		return
	}
	text := err.Error()
	if strings.ContainsAny(text, "\r\n<>") || len(text) > 700 {
		t.Errorf("not one short clean line: %q", text)
	}
	if strings.Contains(text, "s3cr3t") || strings.Contains(text, "?") {
		t.Errorf("shows a secret or a query: %q", text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("does not say %q: %q", word, text)
		}
	}
}

func TestRequestIsAGetBelowTheBase(t *testing.T) {
	t.Parallel()
	var got *http.Request
	base := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r; fmt.Fprint(w, "[]") })
	c := client(t, base+"/", func(v *Vendor, _ *Options) { v.Accept = "application/scim+json" })
	err := c.Get(context.Background(), Request{Path: []string{"groups", "a/b c?d#e%2F", "members"}, Query: url.Values{"token": {"x+/="}}}, func(*Answer) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodGet || got.URL.Path != "/groups/a/b c?d#e%2F/members" || got.URL.EscapedPath() != "/groups/a%2Fb%20c%3Fd%23e%252F/members" ||
		got.URL.Query().Get("token") != "x+/=" {
		t.Errorf("asked %s %s", got.Method, got.URL)
	}
	if got.Header.Get("Authorization") != "Bearer "+secret || got.Header.Get("Accept") != "application/scim+json" || got.Header.Get("Accept-Encoding") != "gzip" ||
		!strings.HasPrefix(got.Header.Get("User-Agent"), "baton-test/v1.2.3 ") {
		t.Errorf("sent %v", got.Header)
	}
	for _, id := range []string{"", ".", ".."} {
		if _, err := get(c, "groups", id); status.Code(err) != codes.Internal {
			t.Errorf("an id %q was sent: %v", id, err)
		}
	}
}

// TestStatuses checks which HTTP statuses end a sync and which are retried, and
// that a missing list is never NotFound: the SDK takes that for an empty list.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		list, item codes.Code
		words      []string
	}{
		{400, codes.InvalidArgument, codes.InvalidArgument, []string{"400 Bad Request"}},
		{401, codes.Unauthenticated, codes.Unauthenticated, []string{"401 Unauthorized", "credential was refused"}},
		{402, codes.FailedPrecondition, codes.FailedPrecondition, []string{"402 Payment Required", "subscription"}},
		{403, codes.PermissionDenied, codes.PermissionDenied, []string{"403 Forbidden"}},
		{404, codes.FailedPrecondition, codes.NotFound, []string{"404 Not Found", "check the base URL"}},
		{405, codes.InvalidArgument, codes.InvalidArgument, nil},
		{408, codes.DeadlineExceeded, codes.DeadlineExceeded, nil},
		{409, codes.AlreadyExists, codes.AlreadyExists, nil},
		{410, codes.FailedPrecondition, codes.NotFound, []string{"410 Gone"}},
		{423, codes.FailedPrecondition, codes.FailedPrecondition, []string{"423 Locked", "unlocked at the vendor"}},
		{429, codes.Unavailable, codes.Unavailable, []string{"limits requests"}},
		{500, codes.Unavailable, codes.Unavailable, []string{"asks again"}},
		{501, codes.Unimplemented, codes.Unimplemented, nil},
		{502, codes.Unavailable, codes.Unavailable, nil},
		{503, codes.Unavailable, codes.Unavailable, nil},
		{304, codes.FailedPrecondition, codes.FailedPrecondition, []string{"304 Not Modified"}},
		{599, codes.Unavailable, codes.Unavailable, []string{"599"}},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				if c.status != 304 {
					fmt.Fprint(w, `{"detail":"token `+secret+` of ann@example.com\n is <b>bad</b>"}`)
				}
			})
			for _, item := range []bool{false, true} {
				want := c.list
				if item {
					want = c.item
				}
				err := client(t, base).Get(context.Background(), Request{Path: []string{"Users"}, Item: item, Query: url.Values{"q": {"x"}}}, func(*Answer) error { return nil })
				words := append([]string{"GET " + base + "/Users: "}, c.words...)
				if c.status != 304 {
					words = append(words, "token [secret] of [e-mail]")
				}
				check(t, withoutMarkup(err), want, words...)
				var e *Error
				if !errors.As(err, &e) || e.Status != c.status {
					t.Errorf("does not carry the HTTP status: %+v", e)
				}
			}
		})
	}
}

// withoutMarkup removes markup, so that check finds only markup elsewhere: a
// JSON message is text and may hold an angle bracket.
func withoutMarkup(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.What = strings.NewReplacer("<b>", "", "</b>", "").Replace(e.What)
	}
	return err
}

func TestVendorsOwnAdviceGoesFirst(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
	c := client(t, base, func(v *Vendor, _ *Options) {
		v.Explain = func(code int) Advice {
			if code == 403 {
				return Advice{"SCIM is not enabled", "ask support"}
			}
			return Advice{}
		}
	})
	_, err := get(c, "Users")
	if want := "GET " + base + "/Users: 403 Forbidden: SCIM is not enabled; ask support"; err == nil || err.Error() != want {
		t.Errorf("says\n%v\nnot\n%s", err, want)
	}
}

// TestBrokenConnections checks that a failure that a retry may heal is retried.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	hijack := func(after string, reset bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			io.WriteString(conn, after) //nolint:errcheck // the connection is to be broken
			if tcp, ok := conn.(*net.TCPConn); ok && reset {
				tcp.SetLinger(0) //nolint:errcheck // as above
			}
			conn.Close() //nolint:errcheck // as above
		}
	}
	hang := make(chan struct{})
	for _, c := range []struct {
		name  string
		base  string
		code  codes.Code
		words []string
	}{
		{"cut off before the header", serve(t, hijack("", false)), codes.Unavailable, []string{"cut off"}},
		{"reset before the header", serve(t, hijack("", true)), codes.Unavailable, []string{"cut off"}},
		{"cut off in the body", serve(t, hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1", false)), codes.Unavailable, []string{"cut off"}},
		{"reset in the body", serve(t, hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1", true)), codes.Unavailable, []string{"cut off"}},
		{"not HTTP", serve(t, hijack("hello\r\n\r\n", false)), codes.Unavailable, []string{"malformed HTTP"}},
		{"refused", "http://127.0.0.1:1" + prefix, codes.Unavailable, []string{"connection refused"}},
		{"no answer", serve(t, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}), codes.DeadlineExceeded, []string{"no complete answer within 200ms"}},
		{"one byte and no more", serve(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "[")
			w.(http.Flusher).Flush()
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}), codes.DeadlineExceeded, []string{"no complete answer within 200ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cl := client(t, c.base, func(_ *Vendor, o *Options) {
				if c.code == codes.DeadlineExceeded {
					o.Timeout = 200 * time.Millisecond
				}
			})
			_, err := get(cl, "Users")
			check(t, err, c.code, append(c.words, "GET "+c.base+"/Users: ")...)
		})
	}
}

// TestUnknownHost checks that a misspelt host ends a run at once, and that a
// request is retried if the resolver fails or the host existed a moment ago.
// The test makes the errors itself, because it does not control a real
// resolver.
func TestUnknownHost(t *testing.T) {
	t.Parallel()
	c := client(t, "https://api.example.com")
	explain := func(dns *net.DNSError) error {
		return c.transportError(context.Background(), &url.Error{Op: "Get", URL: "https://api.example.com/?q=s3cr3t", Err: dns},
			func(code codes.Code, what string) *Error {
				return &Error{URL: "https://api.example.com/Users", Code: code, What: what}
			})
	}
	unknown := &net.DNSError{Err: "no such host", Name: "api.example.com", IsNotFound: true}
	troubled := &net.DNSError{Err: "server misbehaving", Name: "api.example.com", IsTemporary: true}
	check(t, explain(unknown), codes.InvalidArgument, "cannot resolve the host api.example.com", "check the base URL")
	check(t, explain(troubled), codes.Unavailable, "cannot resolve the host api.example.com")
	c.reached.Store(true)
	check(t, explain(unknown), codes.Unavailable)
}

func TestCertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, err := get(client(t, server.URL), "Users")
	check(t, err, codes.FailedPrecondition, "certificate is not trusted", trustIt(runtime.GOOS))
	if trustIt("linux") == trustIt("darwin") {
		t.Error("SSL_CERT_FILE is advised where Go does not read it")
	}
}

func TestHTTPServerBehindHTTPS(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, err := get(client(t, strings.Replace(server.URL, "http:", "https:", 1)), "Users")
	check(t, err, codes.FailedPrecondition, "does not speak TLS")
}

// TestCredentialStaysAtOneOrigin listens at a redirect's target and checks that
// nothing arrives.
func TestCredentialStaysAtOneOrigin(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	t.Cleanup(other.Close)
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, other.URL+"/login", http.StatusFound)
		case "/name": // the same address under another name is another origin
			http.Redirect(w, r, strings.Replace("http://"+r.Host, "127.0.0.1", "localhost", 1)+prefix+"/here", http.StatusTemporaryRedirect)
		case "/scheme":
			http.Redirect(w, r, "https://"+r.Host+prefix+"/here", http.StatusMovedPermanently)
		case "/within":
			http.Redirect(w, r, prefix+"/here", http.StatusFound)
		case "/here":
			fmt.Fprint(w, "here "+r.Header.Get("Authorization"))
		case "/loop":
			http.Redirect(w, r, prefix+"/loop", http.StatusFound)
		}
	})
	c := client(t, base)
	for _, path := range []string{"elsewhere", "name", "scheme", "loop"} {
		_, err := get(c, path)
		check(t, err, codes.FailedPrecondition, "redirected to http", "check the base URL")
	}
	if arrived.Load() != 0 {
		t.Error("the other origin was asked")
	}
	if body, err := get(c, "within"); body != "here Bearer "+secret {
		t.Errorf("a redirect within the origin brought %q, %v", body, err)
	}
}

func TestEgressPolicy(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { arrived.Add(1); fmt.Fprint(w, "[]") })
	for _, c := range []struct {
		name   string
		policy Egress
		sent   bool
		words  string
	}{
		{"the host is allowed", Egress{AllowedHosts: []string{"api.example.com", "127.0.0.1"}, Enforce: true}, true, ""},
		{"another host is", Egress{AllowedHosts: []string{"api.example.com"}, Enforce: true}, false, "host 127.0.0.1 is not allowed"},
		{"none is", Egress{Enforce: true}, false, "host 127.0.0.1 is not allowed"},
		{"https only", Egress{AllowedHosts: []string{"127.0.0.1"}, HTTPSOnly: true, Enforce: true}, false, "only https"},
		{"only watched", Egress{}, true, ""},
		{"https only, hosts only watched", Egress{AllowedHosts: []string{"127.0.0.1"}, HTTPSOnly: true}, false, "only https"},
		{"https only, another host watched", Egress{HTTPSOnly: true}, false, "only https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := arrived.Load()
			_, err := get(client(t, base, func(_ *Vendor, o *Options) { o.Egress = &c.policy }), "Users")
			if c.sent {
				if err != nil || arrived.Load() != before+1 {
					t.Errorf("not sent: %v", err)
				}
				return
			}
			check(t, err, codes.FailedPrecondition, c.words, "egress policy")
			if arrived.Load() != before {
				t.Error("a request arrived")
			}
		})
	}
}

// TestBodiesAreBounded checks that neither a large body nor a small one that
// unpacks to a large one fills the memory.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	endless := func(w io.Writer) {
		zeros := make([]byte, 64<<10)
		for {
			if _, err := w.Write(zeros); err != nil {
				return
			}
		}
	}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			w.Write(make([]byte, limit)) //nolint:errcheck // the client checks
		case "/one-more":
			w.Write(make([]byte, limit+1)) //nolint:errcheck // the client checks
		case "/stated":
			w.Header().Set("Content-Length", fmt.Sprint(1<<40))
			w.Write([]byte("[")) //nolint:errcheck // the client checks
		case "/endless":
			endless(w)
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			endless(gzip.NewWriter(w))
		}
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.BodyLimit = limit })
	if body, err := get(c, "exact"); err != nil || len(body) != limit {
		t.Errorf("a body at the limit: %d bytes, %v", len(body), err)
	}
	for _, path := range []string{"one-more", "stated", "endless", "bomb"} {
		_, err := get(c, path)
		check(t, err, codes.FailedPrecondition, "larger than 1 MiB")
	}
}

// TestAnswersThatAreNotTheAPI checks that no such answer passes for a list, and
// what an error quotes of it.
func TestAnswersThatAreNotTheAPI(t *testing.T) {
	t.Parallel()
	type rows struct{ Rows []struct{ ID string } }
	for _, c := range []struct {
		name, body string
		code       codes.Code
		words      []string
	}{
		{"HTML", "<!DOCTYPE html><html><head><title>Sign in</title><style>p{color:red}</style><script>var a='<p>'</script></head><body><p>Welcome</p></body></html>", codes.FailedPrecondition, []string{"not JSON (it begins: Sign in Welcome)", "login page"}},
		{"text", "upstream said no", codes.FailedPrecondition, []string{"not JSON (it begins: upstream said no)"}},
		{"nothing", "", codes.FailedPrecondition, []string{"empty answer"}},
		{"cut off", `{"Rows":[{"ID":"a"}`, codes.Unavailable, []string{"ends in the middle, after 19 bytes"}},
		{"cut off in a text", `{"Rows":[{"ID":"a`, codes.Unavailable, []string{"ends in the middle"}},
		{"not valid", `{"Rows":[}`, codes.FailedPrecondition, []string{"not valid JSON"}},
		{"another shape", `{"Rows":{"ID":"a"}}`, codes.FailedPrecondition, []string{"unexpected shape (Rows is a JSON object)"}},
		{"a list", `[1]`, codes.FailedPrecondition, []string{"the whole is a JSON array"}},
		{"too deep", strings.Repeat("[", 20000), codes.FailedPrecondition, nil},
		{"long", "no " + strings.Repeat("é", 5000), codes.FailedPrecondition, []string{strings.Repeat("é", 196) + "…)"}},
		{"a secret in another form", "QmVhcmVyIHMzY3IzdC10MGtlbisvPQ== or czNjcjN0LXQwa2VuKy89 or s3cr3t-t0ken%2B%2F%3D or s3cr3t-t0ken+\\/=", codes.FailedPrecondition, []string{"begins: [secret] or [secret] or [secret] or [secret])"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.body) })
			err := client(t, base).Get(context.Background(), Request{Path: []string{"Users"}}, func(a *Answer) error { return a.JSON(new(rows)) })
			check(t, err, c.code, append(c.words, "GET "+base+"/Users: ")...)
		})
	}
}

// clock is a clock that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// waitTold returns the time in an error at which the syncer should retry.
func waitTold(t *testing.T, err error) time.Time {
	t.Helper()
	st, _ := status.FromError(fmt.Errorf("list users: %w", err))
	for _, detail := range st.Details() {
		if d, ok := detail.(*v2.RateLimitDescription); ok && d.GetRemaining() == 0 {
			return d.GetResetAt().AsTime()
		}
	}
	return time.Time{}
}

// TestABlankBodyWithoutALengthIsTakenForCutOff checks that an answer that ends
// after its header is requested again, unless the header says that it ends
// there.
func TestABlankBodyWithoutALengthIsTakenForCutOff(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, header, body string
		whole              bool
	}{
		{"cut off", "200 OK\r\nConnection: close", "", false},
		{"of the old protocol", "200 OK\r\nConnection: close", "[]", true},
		{"a length of nothing", "200 OK\r\nContent-Length: 0", "", true},
		{"no chunk", "200 OK\r\nTransfer-Encoding: chunked", "0\r\n\r\n", true},
		{"no content", "204 No Content", "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close() //nolint:errcheck // the other end tells
				_, _ = io.WriteString(conn, "HTTP/1.1 "+row.header+"\r\n\r\n"+row.body)
			})
			_, err := get(client(t, base), "Users")
			if row.whole && err != nil {
				t.Error(err)
			}
			if !row.whole {
				check(t, err, codes.Unavailable, "the connection was cut off")
			}
		})
	}
}

// TestTheClockIsThatOfTheWall checks that a client's clock also runs while AWS
// Lambda freezes its process. Go's monotonic clock stands still then.
func TestTheClockIsThatOfTheWall(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t, func(http.ResponseWriter, *http.Request) {}), func(_ *Vendor, o *Options) { o.Now = nil })
	if at := c.opts.Now(); at != at.Round(0) { // not Equal, which ignores the monotonic clock
		t.Errorf("%s has a monotonic reading", at)
	}
}

// TestConnectionsAreReused counts the connections that parallel requests open:
// no more than run at a time, however many follow.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	const parallel, rounds = 8, 20
	var opened atomic.Int32
	gather := make(chan struct{})
	var here atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if here.Add(1)%parallel == 0 { // all have arrived
			for range parallel - 1 {
				gather <- struct{}{}
			}
		} else {
			<-gather
		}
		fmt.Fprint(w, "[]")
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := client(t, server.URL)
	for range rounds {
		var all sync.WaitGroup
		for range parallel {
			all.Add(1)
			go func() {
				defer all.Done()
				if _, err := get(c, "Users"); err != nil {
					t.Error(err)
				}
			}()
		}
		all.Wait()
	}
	// net/http drops a connection if it is slow to finish its request.
	if n := opened.Load(); n > 3*parallel {
		t.Errorf("%d connections for %d requests at a time", n, parallel)
	}
}

func TestStoppedSyncIsNotAFault(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	c := client(t, base)
	err := c.Get(ctx, Request{Path: []string{"Users"}}, func(*Answer) error { return nil })
	check(t, err, codes.Canceled)
	if c.Stats().Retries() != 0 {
		t.Error("counted as a fault of the vendor")
	}
}
