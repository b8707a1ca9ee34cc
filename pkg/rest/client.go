// Package rest reads JSON from one vendor's HTTP API.
//
// A Client sends only GET requests, and only to one origin. A 2xx answer
// becomes an Answer to decode. Everything else becomes an *Error: its gRPC code
// steers the SDK, and its sentence informs the user. A Client never retries;
// the SDK's syncer does, after the wait that the error names.
//
// Read client.go first. Get takes a prefetched answer (prefetch.go) or waits
// for a slot (ratelimit.go), sends the request with a client of the pool
// (pool.go) and reads the body (body.go). A failure becomes an Error
// (transport.go, error.go) with a wait (backoff.go), or ends the sync
// (outage.go). redact.go and secrets.go remove credentials from everything that
// is shown.
package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/conductorone/baton-sdk/pkg/uhttp"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
)

const (
	// DefaultTimeout bounds one request, from dialing to the last byte. The
	// SDK's default of 300 seconds suits uploads. If a page takes longer than
	// this, it is better to request it again.
	DefaultTimeout = 60 * time.Second
	// DefaultOutage is the time for which a vendor may be out of reach before a
	// sync ends.
	DefaultOutage = 15 * time.Minute
	// defaultBodyLimit is the largest body in bytes, decompressed. The largest
	// plausible body is a SCIM page that embeds the members of its groups: 100
	// groups of 4,000 members each are about 50 MB.
	defaultBodyLimit = 128 << 20
	// maxRedirects is the number of redirects to follow within the origin.
	maxRedirects = 5
	// sdkTimeout is the SDK's default for --http-timeout-seconds. The context
	// does not show whether the user set it.
	sdkTimeout = 300 * time.Second
)

// Options are the settings of a client that do not depend on the vendor.
type Options struct {
	// Name and Version identify the connector to the vendor (User-Agent).
	Name, Version string
	// Egress is C1's policy for a cloud-hosted connector; nil for none.
	Egress *Egress
	// Prefetch allows prefetching. A Lambda function is frozen between two
	// calls, so it must not send requests in the background.
	Prefetch bool
	// UsersAlone is set if groups are not synced. A check of the credentials then
	// does not read them.
	UsersAlone bool
	// Outage is the time for which the vendor may be out of reach; 0 means
	// DefaultOutage.
	Outage time.Duration
	// Timeout bounds one request. 0 means the SDK's --http-timeout-seconds in
	// New's context, or DefaultTimeout if that is missing or the SDK's default
	// of 300.
	Timeout time.Duration
	// BodyLimit is the largest body in bytes; 0 means 128 MiB.
	BodyLimit int64
	// Now is the clock; nil for WallClock.
	Now func() time.Time
	// Transport carries the requests; nil for the network. Tests use it to call
	// a server in their own process.
	Transport http.RoundTripper
	// Stats counts the traffic; nil means a counter of the client's own.
	Stats *Stats
}

// Egress is C1's policy for outgoing requests (baton-sdk, servedpolicy.proto).
type Egress struct {
	// AllowedHosts are host names without a port.
	AllowedHosts []string
	// HTTPSOnly refuses http, even without Enforce.
	HTTPSOnly bool
	// Enforce refuses hosts that are not allowed. Without it, requests to them
	// are sent and logged (EgressMode).
	Enforce bool
}

// Vendor describes how to read one vendor's API.
type Vendor struct {
	// Base is the URL that all paths are joined to. Requests go only to its
	// origin.
	Base *url.URL
	// Authorization is the value of the Authorization header, a secret.
	Authorization string
	// Secrets are further values that no error may show in any form.
	Secrets []string
	// Accept is the value of the Accept header; empty for application/json.
	Accept string
	// Explain returns the likely cause of an HTTP status and the next step at
	// this vendor, or the zero Advice for a general one. It may be nil.
	Explain func(status int) Advice
}

// Advice is the second half of an error message.
type Advice struct {
	// Cause is the likely cause.
	Cause string
	// Next is the next step for the reader.
	Next string
}

// WallClock returns the time without Go's monotonic clock, which stops while AWS
// Lambda freezes a function between two calls: a vendor's pause would never pass.
func WallClock() time.Time { return time.Now().Round(0) }

// Client reads one vendor's API. It is safe for concurrent use.
type Client struct {
	vendor   Vendor
	opts     Options
	pool     *pool
	bodies   *bodies
	redact   *redactor
	limit    rateLimit
	outage   outage
	backOff  backOff
	prefetch *prefetch
	// reached is set once the vendor has answered.
	reached atomic.Bool
}

// New makes a client and sends nothing. It fails if the environment names a proxy
// that cannot be parsed, or if the SDK refuses the set-up.
func New(ctx context.Context, vendor Vendor, opts Options) (*Client, error) {
	if opts.Outage <= 0 {
		opts.Outage = DefaultOutage
	}
	if opts.BodyLimit <= 0 {
		opts.BodyLimit = defaultBodyLimit
	}
	if opts.Now == nil {
		opts.Now = WallClock
	}
	if opts.Stats == nil {
		opts.Stats = &Stats{}
	}
	opts.Stats.setClock(opts.Now)
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
		if stated, ok := ctx.Value(uhttp.ContextHTTPTimeoutKey).(time.Duration); ok && stated > 0 && stated != sdkTimeout {
			opts.Timeout = stated
		}
	}
	if vendor.Accept == "" {
		vendor.Accept = "application/json"
	}
	if vendor.Base.Scheme == "https" {
		if err := checkProxy(os.Getenv); err != nil {
			return nil, err
		}
	}
	c := &Client{
		vendor:   vendor,
		opts:     opts,
		bodies:   newBodies(opts.BodyLimit),
		redact:   newRedactor(append([]string{vendor.Authorization}, vendor.Secrets...)),
		prefetch: newPrefetch(),
	}
	quiet := quietPeriod + opts.Timeout
	c.outage.limit, c.outage.quiet, c.backOff.quiet = opts.Outage, quiet, quiet
	// The pool outlives the context of the constructor; it needs only its values.
	ctx = context.WithoutCancel(ctx)
	c.pool = newPool(func() (*http.Client, error) {
		hc, err := uhttp.NewClient(ctx,
			uhttp.WithLogger(false, nil),
			uhttp.WithUserAgent(opts.Name+"/"+opts.Version),
			uhttp.WithTimeout(opts.Timeout))
		if err != nil {
			return nil, err
		}
		if opts.Transport != nil {
			hc.Transport = opts.Transport
		}
		hc.CheckRedirect = c.checkRedirect
		return hc, nil
	})
	// Open one now, so that a fault in the set-up shows at once.
	if err := c.pool.prime(); err != nil {
		return nil, fmt.Errorf("set up the HTTP client: %w", err)
	}
	return c, nil
}

// WithTimeout returns a context with a timeout for requests. New uses it unless
// Options has a Timeout. The SDK's daemon passes --http-timeout-seconds in the same
// way.
func WithTimeout(ctx context.Context, timeout time.Duration) context.Context {
	return context.WithValue(ctx, uhttp.ContextHTTPTimeoutKey, timeout)
}

// Request is a GET request relative to the base URL.
type Request struct {
	// Path holds unescaped path elements, none of them empty, "." or "..".
	Path []string
	// Query may be nil. Its values never show in an error or a log.
	Query url.Values
	// Item is set if the path names one thing, which may no longer exist: 404 and
	// 410 then are NotFound. For a list they are FailedPrecondition, because the
	// SDK takes NotFound for an empty list.
	Item bool
}

// Get sends r and passes a 2xx answer to read. It returns read's error
// unchanged; any other failure is an *Error. After Unavailable and
// DeadlineExceeded the caller may try again. Once such failures have lasted
// longer than the outage limit, Get returns Aborted instead, which ends the
// sync.
func (c *Client) Get(ctx context.Context, r Request, read func(*Answer) error) error {
	u, err := c.resolve(r)
	if err != nil {
		return err
	}
	a, ok := c.prefetch.take(ctx, c.opts.Now, u.String())
	if !ok {
		a, err = c.send(ctx, u, r.Item)
	}
	if err == nil {
		err = read(a)
	}
	err = c.record(ctx, u.String(), err)
	if err == nil {
		c.prefetch.resume()
	}
	c.prefetch.startIdle(context.WithoutCancel(ctx), c)
	return err
}

// Stats returns the client's counters.
func (c *Client) Stats() *Stats { return c.opts.Stats }

func (c *Client) resolve(r Request) (*url.URL, error) {
	u := *c.vendor.Base
	path, raw := strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.EscapedPath(), "/")
	for _, element := range r.Path {
		switch element {
		case "", ".", "..":
			return nil, &Error{
				URL: c.vendor.Base.String(), Code: codes.Internal,
				What: fmt.Sprintf("cannot ask for %q: an id may not be empty or a dot", element),
			}
		}
		path += "/" + element
		raw += "/" + url.PathEscape(element)
	}
	u.Path, u.RawPath = path, raw
	u.RawQuery = r.Query.Encode()
	return &u, nil
}

// send sends a request as soon as it may be sent.
func (c *Client) send(ctx context.Context, u *url.URL, item bool) (*Answer, error) {
	slot, err := c.acquire(ctx, faultAt(u))
	if err != nil {
		return nil, err
	}
	defer slot.release()
	return c.exchange(ctx, u, item, slot)
}

// fault makes an error about a request.
type fault func(code codes.Code, what string) *Error

// faultAt returns a fault of the request to a URL.
func faultAt(u *url.URL) fault {
	shown := *u
	shown.RawQuery = ""
	return func(code codes.Code, what string) *Error {
		return &Error{URL: shown.String(), Code: code, What: what}
	}
}

// exchange sends a request and reads its answer. It returns a 2xx answer or an
// *Error.
func (c *Client) exchange(ctx context.Context, u *url.URL, item bool, slot *slot) (*Answer, error) {
	fault := faultAt(u)
	if err := c.checkEgress(ctx, u, fault); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fault(codes.Internal, "cannot build the request")
	}
	req.Header.Set("Authorization", c.vendor.Authorization)
	req.Header.Set("Accept", c.vendor.Accept)

	client, release, err := c.pool.acquire()
	if err != nil {
		return nil, fault(codes.Internal, "cannot set up the HTTP client: "+c.redact.line(err.Error()))
	}
	defer release()
	c.opts.Stats.requests.Add(1)
	start := c.opts.Now()
	resp, err := client.Do(req)
	if err != nil {
		return nil, c.transportError(ctx, err, fault)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written, so closing has nothing to report
	body, err := c.bodies.read(ctx, resp.Body, resp.ContentLength)
	ctxzap.Extract(ctx).Debug("read from the vendor",
		zap.String("path", u.Path), zap.Int("status", resp.StatusCode),
		zap.Int("bytes", len(body)), zap.Duration("took", c.opts.Now().Sub(start)))
	if errors.Is(err, errTooLarge) {
		e := fault(codes.FailedPrecondition, fmt.Sprintf("the answer is larger than %d MiB", c.opts.BodyLimit>>20))
		e.Advice = Advice{Cause: "this is not a page of a directory", Next: "check the base URL"}
		return nil, e
	}
	if err != nil {
		return nil, c.transportError(ctx, err, fault)
	}
	if len(body) == 0 && endless(resp) {
		return nil, c.transportError(ctx, io.ErrUnexpectedEOF, fault)
	}
	c.reached.Store(true)
	// RFC 8259, section 8.1: a reader may ignore a byte order mark.
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if resp.StatusCode == http.StatusAccepted && resp.Header.Get("Retry-After") != "" {
		e := fault(codes.Unavailable, statusLine(resp.StatusCode))
		e.Status = resp.StatusCode
		e.RetryAt = retryAt(resp.Header, c.opts.Now())
		e.Advice = Advice{"the vendor prepares the answer", waits}
		return nil, e
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, c.statusError(ctx, resp, body, item, slot, fault)
	}
	slot.succeeded()
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, fault: fault, redact: c.redact}, nil
}

// notSent is Error.What for a request that had to wait.
const notSent = "not sent"

// acquire waits for a slot to send one request. It fails if the vendor has asked for
// a pause.
func (c *Client) acquire(ctx context.Context, fault fault) (*slot, error) {
	paused := func() error {
		until, ok := c.limit.paused(c.opts.Now())
		if !ok {
			return nil
		}
		e := fault(codes.Unavailable, notSent)
		e.RetryAt = until
		e.Advice = Advice{Cause: "the vendor asked for a pause until " + until.UTC().Format(time.RFC3339), Next: waits}
		return e
	}
	if err := paused(); err != nil {
		return nil, err
	}
	slot, err := c.limit.acquire(ctx)
	if err != nil {
		return nil, c.transportError(ctx, err, fault)
	}
	if err := paused(); err != nil { // the pause began while the request waited
		slot.release()
		return nil, err
	}
	return slot, nil
}

// acquireInBackground returns a slot for a request that no caller waits for. It
// returns nil if the vendor limits requests, the last request failed, or the
// given number of requests are in flight.
func (c *Client) acquireInBackground(inFlight int) *slot {
	if _, paused := c.limit.paused(c.opts.Now()); paused || c.outage.ongoing() {
		return nil
	}
	return c.limit.tryAcquire(inFlight)
}

// endless reports whether an answer of status 200 does not state where its body ends.
// If such an answer has no body, it may have been cut off after its header.
func endless(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK && resp.ProtoMajor == 1 && resp.ContentLength < 0 &&
		len(resp.TransferEncoding) == 0 && !resp.Uncompressed
}

// record counts the outcome of a call. It returns the error of the call, and adds a
// time to retry if the vendor named none. If the outage limit has passed, it returns
// the error that ends the sync.
func (c *Client) record(ctx context.Context, url string, err error) error {
	now := c.opts.Now()
	if err == nil {
		c.outage.succeeded(now, url)
		c.backOff.succeeded()
		c.opts.Stats.answered()
		return nil
	}
	var e *Error
	if !errors.As(err, &e) || !e.retryable() {
		return err
	}
	c.opts.Stats.retries.Add(1)
	if g := c.outage.failed(now, url, e.RetryAt); g != nil {
		ctxzap.Extract(ctx).Error("no good answer for too long: giving up",
			zap.Time("since", g.since), zap.Duration("limit", g.limit), zap.Bool("this_request_alone", g.alone))
		return g.end(e, now)
	}
	if e.RetryAt.IsZero() {
		e.RetryAt = now.Add(c.backOff.failed(now))
	}
	if e.What != notSent {
		c.opts.Stats.waitForRetry(e.RetryAt, e.reason())
	}
	return err
}
