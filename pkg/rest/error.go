package rest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/uhttp"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Error is a failed request. Its message has one line: what failed, where, the likely
// cause and the next step. It has a gRPC code, which wrapping with %w keeps.
type Error struct {
	// URL is the request's URL without its query.
	URL string
	// Status is the HTTP status of the answer, 0 if there was none.
	Status int
	// Code tells the SDK what to do: it retries after Unavailable and
	// DeadlineExceeded, and ends the sync after any other code.
	Code codes.Code
	// What describes the failure in a few words, perhaps the vendor's.
	What string
	Advice
	// RetryAt is the time to retry; zero means at once or never.
	RetryAt time.Time
	// Refused is set if nothing listens at the address.
	Refused bool
	// Outage is set if the sync ends because the vendor was out of reach for too
	// long.
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

// GRPCStatus returns the code and, in its details, when to retry.
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

// reason describes the failure in a few words, without the vendor's.
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

// statusError explains an answer outside 2xx. A 429, and a 5xx that names a time to
// wait, pause all requests.
func (c *Client) statusError(ctx context.Context, resp *http.Response, body []byte, item bool, slot *slot, fault fault) *Error {
	e := fault(uhttp.GrpcCodeFromHTTPStatus(resp.StatusCode), "")
	e.Status = resp.StatusCode
	e.What = statusLine(resp.StatusCode)
	if reason := unreadable(resp.Header, body); reason != "" {
		e.What += " (" + c.redact.line(reason) + ")"
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
			// Requests in progress when the pause began are refused too and
			// lengthen it a little. That is the same pause: log it once.
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

// The next step after a failure that a retry may heal. The words must also fit the
// check before a sync, which tries only a few times.
const (
	asks  = "the sync asks again; if it ends with this, run it again later"
	waits = "the sync waits and continues; if it fails with this message, run it again later"
)

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
		return Advice{"the base URL is probably not the API's", "check the base URL"}
	default:
		return Advice{"the vendor does not accept this request", "check the base URL; if it is right, report this message"}
	}
}
