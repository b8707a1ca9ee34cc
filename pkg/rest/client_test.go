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
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
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
	opts := Options{Name: "baton-test", Version: "v1.2.3", ReadAhead: true}
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

// TestStatuses shows which HTTP status ends a sync and which one is asked
// again, and that a list that is not there is never "not found": the SDK takes
// that for an empty one.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		list, item codes.Code
		words      []string
	}{
		{400, codes.InvalidArgument, codes.InvalidArgument, []string{"400 Bad Request"}},
		{401, codes.Unauthenticated, codes.Unauthenticated, []string{"401 Unauthorized", "credential was refused"}},
		{403, codes.PermissionDenied, codes.PermissionDenied, []string{"403 Forbidden"}},
		{404, codes.FailedPrecondition, codes.NotFound, []string{"404 Not Found", "check the base URL"}},
		{405, codes.InvalidArgument, codes.InvalidArgument, nil},
		{408, codes.DeadlineExceeded, codes.DeadlineExceeded, nil},
		{409, codes.AlreadyExists, codes.AlreadyExists, nil},
		{410, codes.FailedPrecondition, codes.NotFound, []string{"410 Gone"}},
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

// withoutMarkup lets check look for markup elsewhere: a JSON message is text,
// and may hold an angle bracket.
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

// TestBrokenConnections shows that what a second try may heal is asked again.
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

// TestUnknownHost shows that a misspelt host ends a run at once, while a
// resolver in trouble, or a host that was there a moment ago, is asked again.
// The errors are made here: what a real resolver answers is not up to a test.
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

// TestCredentialStaysAtOneOrigin listens where a redirect leads and sees
// nothing arrive.
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

// TestBodiesAreBounded shows that neither a large body nor a small one that
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

// TestAnswersThatAreNotTheAPI shows that no such answer is ever a list, and
// what of it an error quotes.
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

// clock is a time that only the test moves.
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

// TestPauseHoldsAllRequestsBack shows that one 429 silences every worker until
// the time that the vendor named, and that the syncer is told that time.
func TestPauseHoldsAllRequestsBack(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if arrived.Add(1) == 1 {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(429)
		}
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	until := now.now().Add(30 * time.Second)
	for range 3 {
		_, err := get(c, "Users")
		check(t, err, codes.Unavailable)
		if got := waitTold(t, err); !got.Equal(until) {
			t.Errorf("told to wait until %s, not %s", got, until)
		}
		now.add(9 * time.Second)
	}
	c.Ahead(context.Background(), Request{Path: []string{"Users"}})
	if arrived.Load() != 1 {
		t.Errorf("%d requests arrived during the pause", arrived.Load())
	}
	now.add(3 * time.Second)
	if _, err := get(c, "Users"); err != nil {
		t.Error(err)
	}
	if s := c.Stats(); s.Requests() != 2 || s.Retries() != 3 || s.Waited() != 30*time.Second {
		t.Errorf("counted %d requests, %d retries, %s", s.Requests(), s.Retries(), s.Waited())
	}
}

// TestFailuresInARowWaitLonger shows how long the syncer is told to wait after
// failures for which the vendor names no time: longer each time, and after a
// success from the beginning.
func TestFailuresInARowWaitLonger(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	answer := 500
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) })
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	for range 2 {
		for i := range 40 {
			_, err := get(c, "Users")
			check(t, err, codes.Unavailable)
			if want := min(time.Duration(i+1)*time.Second, maxBackOff); waitTold(t, err).Sub(now.now()) != want {
				t.Errorf("after %d failures it is told to wait %s, not %s", i+1, waitTold(t, err).Sub(now.now()), want)
			}
			now.add(time.Second)
		}
		answer = 200
		if _, err := get(c, "Users"); err != nil {
			t.Error(err)
		}
		answer = 500
	}
}

// TestAPauseIsLoggedOnce shows that workers whose requests are refused one
// after the other log one pause and not one each, and that the next pause is
// logged again.
func TestAPauseIsLoggedOnce(t *testing.T) {
	t.Parallel()
	const workers = 4
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var arrived sync.WaitGroup
	answer := make(chan struct{})
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		<-answer
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
	})
	core, logs := observer.New(zap.WarnLevel)
	ctx := ctxzap.ToContext(context.Background(), zap.New(core))
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	for pause := range 2 {
		// All are on their way before the first is refused, and each is refused
		// a little later than the one before.
		arrived.Add(workers)
		refused := make(chan error)
		for range workers {
			go func() { refused <- c.Get(ctx, Request{Path: []string{"Users"}}, func(*Answer) error { return nil }) }()
		}
		arrived.Wait()
		for range workers {
			answer <- struct{}{}
			check(t, <-refused, codes.Unavailable, "429")
			now.add(100 * time.Millisecond)
		}
		if n := logs.Len(); n != pause+1 {
			t.Errorf("%d pauses were logged %d times: %v", pause+1, n, logs.All())
		}
		now.add(time.Minute)
	}
	if waited := c.Stats().Waited(); waited != 2*(30*time.Second+300*time.Millisecond) {
		t.Errorf("counted %s", waited)
	}
}

// waitTold is what an error tells the syncer about when to ask again.
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

func TestRetryAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, header, value string
		want                time.Duration
	}{
		{"seconds", "Retry-After", "30", 30 * time.Second},
		{"seconds with blanks", "Retry-After", " 30 ", 30 * time.Second},
		{"a fraction", "Retry-After", "1.5", 1500 * time.Millisecond},
		{"nothing to wait", "Retry-After", "0", time.Second},
		{"an HTTP date", "Retry-After", "Fri, 02 Jan 2026 03:05:05 GMT", time.Minute},
		{"an RFC 850 date", "Retry-After", "Friday, 02-Jan-26 03:05:05 GMT", time.Minute},
		{"a date gone by", "Retry-After", "Fri, 02 Jan 2026 03:00:00 GMT", time.Second},
		{"RFC 3339", "X-RateLimit-Reset", "2026-01-02T03:05:05Z", time.Minute},
		{"seconds since 1970", "X-RateLimit-Reset", fmt.Sprint(now.Add(time.Minute).Unix()), time.Minute},
		{"milliseconds since 1970", "X-RateLimit-Reset", fmt.Sprint(now.Add(time.Minute).UnixMilli()), time.Minute},
		{"seconds until", "RateLimit-Reset", "45", 45 * time.Second},
		{"words", "Retry-After", "soon", defaultPause},
		{"negative", "Retry-After", "-5", defaultPause},
		{"not a number", "Retry-After", "NaN", defaultPause},
		{"infinite", "Retry-After", "Inf", defaultPause},
		{"none", "X-Other", "1", defaultPause},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := retryAt(http.Header{http.CanonicalHeaderKey(c.header): {c.value}}, now).Sub(now); got != c.want {
				t.Errorf("waits %s, not %s", got, c.want)
			}
		})
	}
}

func TestOddLimitHeadersOnAGoodAnswerDoNoHarm(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Limit", "Retry-After"} {
			w.Header().Set(name, "unlimited")
		}
		fmt.Fprint(w, "[]")
	})
	c := client(t, base)
	for range 2 {
		if body, err := get(c, "Users"); body != "[]" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	}
}

// TestOutageEnds shows that a vendor that is out of reach for too long ends
// the sync, while one that comes back, or was asked seldom, does not.
func TestOutageEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// each step is how long after the one before, and what the vendor does
		steps []step
	}{
		{"down for 15 minutes", []step{{0, 503, "", 14}, {4 * time.Minute, 503, "", 14}, {4 * time.Minute, 502, "", 14}, {4 * time.Minute, 500, "", 14}, {3 * time.Minute, 503, "", 14}, {time.Second, 503, "", 10}}},
		{"back in between", []step{{0, 503, "", 14}, {4 * time.Minute, 503, "", 14}, {4 * time.Minute, 503, "", 14}, {2 * time.Minute, 200, "", 0}, {2 * time.Minute, 503, "", 14}, {4 * time.Minute, 503, "", 14}}},
		{"two faults an hour apart", []step{{0, 503, "", 14}, {time.Hour, 503, "", 14}}},
		{"a long pause, then good", []step{{0, 429, "3000", 14}, {25 * time.Minute, 429, "", 14}, {26 * time.Minute, 200, "", 0}}},
		{"a pause for ever", []step{{0, 429, "3700", 10}}},
		{"limits for ever", []step{{0, 429, "60", 14}, {4 * time.Minute, 429, "60", 14}, {4 * time.Minute, 429, "60", 14}, {4 * time.Minute, 429, "60", 14}, {4 * time.Minute, 429, "60", 14}, {time.Second + time.Minute, 429, "60", 10}}},
		{"a body that is always cut off", []step{{0, 201, "", 14}, {4 * time.Minute, 201, "", 14}, {4 * time.Minute, 201, "", 14}, {4 * time.Minute, 201, "", 14}, {4 * time.Minute, 201, "", 10}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			var current step
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if current.retryAfter != "" {
					w.Header().Set("Retry-After", current.retryAfter)
				}
				w.WriteHeader(current.status)
				if current.status == 201 {
					fmt.Fprint(w, "[")
				}
			})
			cl := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
			for i, s := range c.steps {
				now.add(s.after)
				current = s
				err := cl.Get(context.Background(), Request{Path: []string{"Users"}}, func(a *Answer) error {
					if a.Status == 201 {
						var rows []int
						return a.JSON(&rows)
					}
					return nil
				})
				if status.Code(err) != codes.Code(s.code) {
					t.Fatalf("step %d ended with %v", i, err)
				}
				if s.code == uint32(codes.Aborted) {
					why := "no good answer since 2026-01-02T03:04:05Z (limit 15m0s)"
					if s.retryAfter == "3700" {
						why = "asked for a pause until 2026-01-02T04:05:45Z, longer than a sync waits (1h0m0s)"
					}
					check(t, err, codes.Aborted, why, "run the sync again")
				}
				var e *Error
				ended := s.code == uint32(codes.Aborted) && s.retryAfter != "3700"
				if outage := errors.As(err, &e) && e.Outage; outage != ended {
					t.Errorf("step %d is the end of an outage: %t", i, outage)
				}
			}
		})
	}
}

// TestOnePlaceOutOfReachEndsASync shows that a request that always fails ends
// its sync, whatever else is read well in the meantime, as by a health check
// or another sync; and that one that is refused for a narrow limit has an hour
// more.
func TestOnePlaceOutOfReachEndsASync(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		status     int
		retryAfter string
		limit      time.Duration
	}{
		{"a fault", 500, "", DefaultOutage},
		{"a limit", 429, "20", DefaultOutage + maxPause},
		{"closed for a while", 503, "20", DefaultOutage + maxPause},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			now := &clock{t: began}
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/Groups") {
					if row.retryAfter != "" {
						w.Header().Set("Retry-After", row.retryAfter)
					}
					w.WriteHeader(row.status)
				}
			})
			c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
			for {
				_, err := get(c, "Groups")
				if now.now().Sub(began) > row.limit {
					check(t, err, codes.Aborted, fmt.Sprintf("/Groups: %d", row.status),
						"no good answer since 2026-01-02T03:04:05Z (limit "+row.limit.String()+") to this request, while others were answered")
					var e *Error
					if errors.As(err, &e) && e.Outage {
						t.Error("the vendor was there all the while")
					}
					break
				}
				check(t, err, codes.Unavailable)
				now.add(30 * time.Second)
				if _, err := get(c, "Users"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestALateAnswerDoesNotHideAnOutage shows that an answer that was under way
// when the vendor went does not make one failing request of an outage, which a
// later run could not go on after.
func TestALateAnswerDoesNotHideAnOutage(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Groups") {
			w.WriteHeader(503)
		}
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	_, err := get(c, "Groups")
	check(t, err, codes.Unavailable)
	now.add(2 * time.Second)
	if _, err := get(c, "Users"); err != nil {
		t.Fatal(err)
	}
	_, err = get(c, "Groups")
	check(t, err, codes.Unavailable)
	// So that only the place has been failing for longer than the limit.
	for range 15 {
		now.add(DefaultOutage / 15)
		if _, err = get(c, "Groups"); status.Code(err) != codes.Unavailable {
			break
		}
	}
	check(t, err, codes.Aborted, "no good answer since 2026-01-02T03:04:05Z (limit 15m0s); run the sync again when the vendor is back")
	var e *Error
	if !errors.As(err, &e) || !e.Outage {
		t.Errorf("not an outage: %v", err)
	}
}

// TestALimitIsNamedWhereItEndsASync shows that the last line of a sync that a
// limit has ended speaks of it also where the last request was not sent.
func TestALimitIsNamedWhereItEndsASync(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(429)
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	for range 100 {
		_, err := get(c, "Users")
		if status.Code(err) == codes.Aborted {
			check(t, err, codes.Aborted, "not sent, as the vendor has asked for a pause", "no good answer since")
			return
		}
		now.add(61 * time.Second)
	}
	t.Error("it does not end")
}

// TestALimitAndAFaultAreNoOutage shows that a place where a limit refuses for
// long, and where there is a fault now and then, is not given up after the time
// that a fault may last: the faults are too far apart for that.
func TestALimitAndAFaultAreNoOutage(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var refused int
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/Groups") {
			return
		}
		if refused++; refused%30 == 1 {
			w.WriteHeader(500)
			return
		}
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(429)
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	for range 90 { // 45 minutes
		_, err := get(c, "Groups")
		check(t, err, codes.Unavailable)
		now.add(30 * time.Second)
		if _, err := get(c, "Users"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestABlankBodyWithoutALengthIsTakenForCutOff shows that an answer which ends
// behind its header, where nothing says that it ends there, is asked for again.
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

// TestALongPauseHoldsNobodyBack shows that a vendor that asks for a pause of a
// day ends the sync that it asks, and that the next one finds out by itself
// whether that still holds.
func TestALongPauseHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if arrived.Add(1) == 1 {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(503)
		}
	})
	c := client(t, base)
	_, err := get(c, "Users")
	check(t, err, codes.Aborted, "asked for a pause until")
	if _, err := get(c, "Users"); err != nil {
		t.Error(err)
	}
}

// TestTheClockIsThatOfTheWall shows that time passes for a client while AWS
// Lambda keeps its process frozen, when Go's monotonic clock stands still.
func TestTheClockIsThatOfTheWall(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t, func(http.ResponseWriter, *http.Request) {}), func(_ *Vendor, o *Options) { o.Now = nil })
	if at := c.opts.Now(); at != at.Round(0) { // not Equal, which would pass over the monotonic clock
		t.Errorf("%s has a monotonic reading", at)
	}
}

// TestOutageEndsWhereRequestsMayTakeLong shows that a vendor that lets every
// request hang is out of reach, however long the user lets a request take.
func TestOutageEndsWhereRequestsMayTakeLong(t *testing.T) {
	t.Parallel()
	const timeout = 30 * time.Minute
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(504) })
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now, o.Timeout = now.now, timeout })
	_, err := get(c, "Users")
	check(t, err, codes.Unavailable)
	now.add(timeout + time.Minute) // the syncer's longest wait, and the request
	_, err = get(c, "Users")
	check(t, err, codes.Aborted, "no good answer since 2026-01-02T03:04:05Z")
}

type step struct {
	after      time.Duration
	status     int
	retryAfter string
	code       uint32
}

// TestReadAheadAsksOnce shows that an answer asked for early is used once and
// costs no second request, and that a failed one does no harm.
func TestReadAheadAsksOnce(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	now := &clock{t: time.Unix(1e9, 0)}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := arrived.Add(1)
		if r.URL.Path == "/bad" && n == 1 {
			w.WriteHeader(500)
		}
		fmt.Fprint(w, n)
	})
	request := func(path string) Request {
		return Request{Path: []string{path}, Query: url.Values{"startIndex": {"1"}}}
	}
	read := func(c *Client, path string) string {
		var body string
		if err := c.Get(context.Background(), request(path), func(a *Answer) error { body = string(a.Body); return nil }); err != nil {
			t.Error(err)
		}
		return body
	}
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	c.Ahead(context.Background(), request("bad"))
	if got := read(c, "bad"); got != "2" {
		t.Errorf("after a failed read-ahead came answer %s", got)
	}
	for range 3 {
		c.Ahead(context.Background(), request("good"))
	}
	if got := read(c, "good") + read(c, "good"); got != "34" {
		t.Errorf("came answers %s", got)
	}
	c.Ahead(context.Background(), request("old"))
	waitFor(t, c, 1)
	now.add(maxAheadAge + time.Second)
	if got := read(c, "old"); got != "6" {
		t.Errorf("an old answer was used: %s", got)
	}
	c.Ahead(context.Background(), request("before"))
	waitFor(t, c, 1)
	c.Forget()
	if got := read(c, "before"); got != "8" {
		t.Errorf("an answer from before the sync was used: %s", got)
	}
	for i := range 3 * maxAhead {
		c.Ahead(context.Background(), request(fmt.Sprint("many", i)))
	}
	waitFor(t, c, maxAhead)
	off := client(t, base, func(_ *Vendor, o *Options) { o.ReadAhead = false })
	off.Ahead(context.Background(), request("off"))
	if len(off.ahead.pending) != 0 {
		t.Error("reads ahead although it must not")
	}
}

// TestReadAheadGoesOn shows that an answer that came early can ask for the
// next before it is read, and that one that failed, or that belongs to a sync
// that is over, asks for nothing more.
func TestReadAheadGoesOn(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	var arrived atomic.Int32
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad":
			w.WriteHeader(404)
		case "/held":
			<-held
		}
		arrived.Add(1)
		fmt.Fprint(w, r.URL.Path)
	})
	request := func(path string) Request { return Request{Path: []string{path}} }
	c := client(t, base)
	c.Ahead(context.Background(), request("one"), func(a *Answer) {
		if string(a.Body) == "/one" {
			c.Ahead(context.Background(), request("two"))
		}
	})
	if err := c.Get(context.Background(), request("one"), func(*Answer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, 1)
	if err := c.Get(context.Background(), request("two"), func(*Answer) error { return nil }); err != nil || arrived.Load() != 2 {
		t.Fatalf("%d requests arrived, %v", arrived.Load(), err)
	}

	never := func(a *Answer) { t.Errorf("something follows on %s", a.Body) }
	c.Ahead(context.Background(), request("bad"), never)
	waitFor(t, c, 1)
	c.Forget()
	c.Ahead(context.Background(), request("held"), never)
	var late *early
	c.ahead.mu.Lock()
	for _, late = range c.ahead.pending {
	}
	c.ahead.mu.Unlock()
	c.Forget()
	close(held)
	<-late.done
}

// waitFor waits until n answers that were asked for early are there.
func waitFor(t *testing.T, c *Client, n int) {
	t.Helper()
	c.ahead.mu.Lock()
	pending := c.ahead.pending
	c.ahead.mu.Unlock()
	if len(pending) != n {
		t.Errorf("%d requests are ahead, not %d", len(pending), n)
	}
	for _, e := range pending {
		<-e.done
	}
}

// TestConnectionsAreReused counts the connections that parallel requests
// open: no more than run at a time, however many follow.
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
	// net/http drops a connection whose request it is slow to see off.
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
