package rest

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/uhttp"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Error says what failed, where, why and what to do. It is one line of text
// and carries a gRPC code, so that wrapping it with %w keeps both.
type Error struct {
	// URL is where, without its query.
	URL string
	// Status is the HTTP status, 0 where no answer came.
	Status int
	// Code is what the SDK acts on.
	Code codes.Code
	// What failed, in a few words, the vendor's own words included.
	What string
	Advice
	// RetryAt is when to ask again; zero where the vendor did not say.
	RetryAt time.Time
	// Refused says that nothing listens at the address.
	Refused bool
	// Outage says that the vendor has been out of reach for longer than a sync
	// waits, and may be back at any time.
	Outage bool
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s: %s", e.URL, e.What)
	if e.Cause != "" {
		b.WriteString(": " + e.Cause)
	}
	if e.Next != "" {
		b.WriteString("; " + e.Next)
	}
	return b.String()
}

// GRPCStatus gives the code and, in its details, how long to wait.
func (e *Error) GRPCStatus() *status.Status {
	st := status.New(e.Code, e.Error())
	if e.RetryAt.IsZero() {
		return st
	}
	detailed, err := st.WithDetails(v2.RateLimitDescription_builder{
		Status:  v2.RateLimitDescription_STATUS_OVERLIMIT,
		Limit:   1,
		ResetAt: timestamppb.New(e.RetryAt),
	}.Build())
	if err != nil {
		return st
	}
	return detailed
}

func (e *Error) retryable() bool {
	return e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded
}

// reason is what failed in a few words, none of them the vendor's.
func (e *Error) reason() string {
	if e.Status != 0 && (e.Status < 200 || e.Status > 299) {
		return statusLine(e.Status)
	}
	before, _, _ := strings.Cut(e.What, `"`) // net/http quotes what it cannot read
	return strings.TrimSpace(before)
}

func statusLine(httpStatus int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", httpStatus, http.StatusText(httpStatus)))
}

// statusError explains an answer outside 2xx.
func (c *Client) statusError(ctx context.Context, resp *http.Response, body []byte, item bool, slot *slot, fault fault) *Error {
	e := fault(uhttp.GrpcCodeFromHTTPStatus(resp.StatusCode), "")
	e.Status = resp.StatusCode
	e.What = statusLine(resp.StatusCode)
	if odd := unreadable(resp.Header, body); odd != "" {
		e.What += " (" + c.redact.line(odd) + ")"
	} else if said := c.redact.vendorWords(body); said != "" {
		e.What += fmt.Sprintf(" (the vendor says: %s)", said)
	}
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		e.Code = codes.FailedPrecondition
		if item {
			e.Code = codes.NotFound
		}
	case resp.StatusCode < 200 || resp.StatusCode >= 300 && resp.StatusCode < 400,
		resp.StatusCode == http.StatusPaymentRequired, resp.StatusCode == http.StatusLocked:
		e.Code = codes.FailedPrecondition
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500 && e.retryable() && resp.Header.Get("Retry-After") != "":
		now := c.opts.Now()
		until, added := slot.refused(now, retryAt(resp.Header, now))
		e.RetryAt = until
		if added > 0 {
			c.opts.Stats.waited.Add(int64(added))
			c.opts.Stats.waitForLimit(until, e.reason())
			// Requests that were under way when the pause began are refused as
			// well and lengthen it a little. That is the same pause.
			if added >= minPause {
				ctxzap.Extract(ctx).Warn("the vendor limits requests: waiting",
					zap.Int("status", resp.StatusCode), zap.Duration("wait", added.Round(time.Second)))
			}
		}
	}
	if c.vendor.Explain != nil {
		e.Advice = c.vendor.Explain(resp.StatusCode)
	}
	if e.Advice == (Advice{}) {
		e.Advice = generalAdvice(resp.StatusCode)
	}
	return e
}

// What a retry may heal is retried: for ever in a sync, and a few times in the
// check before it, which may end with the same words.
const (
	asks  = "the sync asks again; if it ends with this, run it again later"
	waits = "the sync waits and goes on; if it ends with this, run it again later"
)

// trustIt says how a private certificate authority is made known: Go reads
// SSL_CERT_FILE where the system has no store of its own.
func trustIt(system string) string {
	switch system {
	case "darwin", "ios", "windows":
		return "add its CA certificates to the system's store"
	default:
		return "point SSL_CERT_FILE to its CA certificates"
	}
}

func generalAdvice(httpStatus int) Advice {
	switch {
	case httpStatus == http.StatusUnauthorized:
		return Advice{"the credential was refused", "check that it is complete and has not been revoked"}
	case httpStatus == http.StatusForbidden:
		return Advice{"the credential is valid but may not read this", "use one with the needed permission"}
	case httpStatus == http.StatusNotFound, httpStatus == http.StatusGone:
		return Advice{"nothing is served at this path", "check the base URL"}
	case httpStatus == http.StatusPaymentRequired:
		return Advice{"the vendor asks for payment: the plan has lapsed or does not include its API", "check the subscription at the vendor"}
	case httpStatus == http.StatusLocked:
		return Advice{"the vendor has locked the account", "have it unlocked at the vendor, then run the sync again"}
	case httpStatus == http.StatusTooManyRequests:
		return Advice{"the vendor limits requests", waits}
	case httpStatus == http.StatusRequestTimeout, httpStatus >= 500 && httpStatus != http.StatusNotImplemented:
		return Advice{"the vendor's server has a fault", asks}
	case httpStatus >= 300 && httpStatus < 400:
		return Advice{"the base URL is likely not that of the API", "check the base URL"}
	default:
		return Advice{"the vendor does not accept this request", "check the base URL; if it is right, report this message"}
	}
}

// redirectError stops a redirect that would leave the origin.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "redirected to " + e.to }

func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if sameOrigin(req.URL, c.vendor.Base) && len(via) <= maxRedirects {
		return nil
	}
	return &redirectError{to: req.URL.Scheme + "://" + req.URL.Host}
}

func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		if u.Scheme == "http" {
			return "80"
		}
		return "443"
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func (c *Client) checkEgress(ctx context.Context, u *url.URL, fault fault) error {
	policy := c.opts.Egress
	if policy == nil {
		return nil
	}
	breach, refused := "", policy.Enforce
	allowed := false
	for _, host := range policy.AllowedHosts {
		allowed = allowed || strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(u.Hostname(), "."))
	}
	if !allowed {
		breach = "the host " + u.Hostname() + " is not allowed"
	}
	if policy.HTTPSOnly && u.Scheme != "https" {
		breach, refused = "only https may be used", true
	}
	if breach == "" {
		return nil
	}
	if !refused {
		ctxzap.Extract(ctx).Warn("this connector's egress policy would refuse a request", zap.String("why", breach))
		return nil
	}
	e := fault(codes.FailedPrecondition, "not sent")
	e.Advice = Advice{Cause: "the egress policy of this connector says that " + breach, Next: "correct the base URL or the policy in C1"}
	return e
}

// transportError explains why no complete answer came.
func (c *Client) transportError(ctx context.Context, err error, fault fault) *Error {
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fault(codes.DeadlineExceeded, "the call ran out of time")
		}
		return fault(codes.Canceled, "the sync was stopped")
	}
	var redirect *redirectError
	if errors.As(err, &redirect) {
		e := fault(codes.FailedPrecondition, c.redact.line(redirect.Error()))
		e.Advice = Advice{Cause: "the credential is sent to the configured origin only", Next: "check the base URL"}
		return e
	}
	e := fault(status.Code(err), "")
	var dns *net.DNSError
	var unknownCA x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var named x509.HostnameError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	var dial *net.OpError
	var deflate flate.CorruptInputError
	switch {
	case errors.As(err, &dial) && dial.Op == "proxyconnect":
		e.Code = codes.Unavailable
		e.What = "cannot reach the proxy (" + c.redact.line(innermost(err)) + ")"
		e.Advice = Advice{"the proxy is down or its address is misspelt", "check HTTPS_PROXY"}
	case errors.Is(err, gzip.ErrHeader):
		e.Code = codes.FailedPrecondition
		e.What = "the answer is not gzip, although its Content-Encoding says so"
		e.Advice = Advice{"a proxy or the vendor's server is misconfigured", "tell who runs it"}
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &deflate):
		e.Code = codes.Unavailable
		e.What = "the gzip of the answer is broken"
		e.Advice = Advice{"the vendor or a proxy damaged it", asks}
	case errors.As(err, &dns):
		e.What = "cannot resolve the host " + c.redact.line(dns.Name)
		e.Advice = Advice{"the host name is misspelt or DNS is out of reach from here", "check the base URL and the network"}
		// Before any answer an unknown host is a typo; after one it is a
		// resolver in trouble.
		if !dns.IsNotFound || c.reached.Load() {
			e.Code = codes.Unavailable
		} else {
			e.Code = codes.InvalidArgument
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Code = codes.FailedPrecondition
		e.What = "the server's certificate is not valid at this time (" + c.redact.line(innermost(err)) + ")"
		e.Advice = Advice{"it has lapsed, or this machine's clock is wrong", "check the clock; if it is right, tell who runs the server"}
	case errors.As(err, &named):
		e.Code = codes.FailedPrecondition
		e.What = "the server's certificate is that of another host (" + c.redact.line(innermost(err)) + ")"
		e.Advice = Advice{"the host in the base URL is not the server's name, or a proxy answered", "check the base URL"}
	case errors.As(err, &unknownCA), errors.As(err, &verify):
		e.Code = codes.FailedPrecondition
		e.What = "the server's certificate is not trusted (" + c.redact.line(innermost(err)) + ")"
		e.Advice = Advice{"a proxy or a private certificate authority", trustIt(runtime.GOOS)}
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Code = codes.FailedPrecondition
		e.What = "the server does not speak TLS"
		e.Advice = Advice{"an http server behind an https URL", "check the base URL"}
	case strings.Contains(err.Error(), "response headers exceeded"), strings.Contains(err.Error(), "response header list larger"):
		e.Code = codes.FailedPrecondition
		e.What = "the header of the answer is too large"
		e.Advice = Advice{"this is not an answer of the vendor's API", "check the base URL"}
	case strings.HasSuffix(err.Error(), http.StatusText(http.StatusProxyAuthRequired)):
		// net/http has no other sign of a proxy's 407.
		e.Code = codes.FailedPrecondition
		e.What = "the proxy asks for a login"
		e.Advice = Advice{"HTTPS_PROXY holds none or a wrong one", "set HTTPS_PROXY=http://user:password@host:port"}
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Code = codes.Unavailable
		e.What = "connection refused"
		e.Refused = true
		e.Advice = Advice{"nothing listens there, or a firewall is in the way", "check the base URL and the network"}
	case errors.As(err, &timeout) && timeout.Timeout(), e.Code == codes.DeadlineExceeded:
		e.Code = codes.DeadlineExceeded
		e.What = "no complete answer within " + c.opts.Timeout.String()
		e.Advice = Advice{"the vendor or the network is slow", asks + "; --http-timeout-seconds gives it longer"}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE):
		e.Code = codes.Unavailable
		e.What = "the connection was cut off"
		e.Advice = Advice{"the vendor or the network failed in the middle of an answer", asks}
	default:
		if e.Code == codes.Unknown {
			e.Code = codes.Unavailable
		}
		e.What = c.redact.line(innermost(err))
		e.Advice = Advice{"the vendor cannot be reached from here", "check the base URL and the network"}
	}
	return e
}

// innermost is the text of the deepest error, which holds no URL.
func innermost(err error) string {
	for {
		switch x := err.(type) { //nolint:errorlint // this walks the chain itself
		case interface{ Unwrap() error }:
			if x.Unwrap() == nil {
				return err.Error()
			}
			err = x.Unwrap()
		case interface{ Unwrap() []error }:
			all := x.Unwrap()
			if len(all) == 0 {
				return err.Error()
			}
			err = all[len(all)-1]
		default:
			return err.Error()
		}
	}
}
