package rest

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
)

// redirectError refuses a redirect to another origin.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "redirected to " + e.to }

// checkRedirect allows redirects within the origin only, because they carry the
// credential.
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

// checkEgress refuses a request that the egress policy does not allow.
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
	e := fault(codes.FailedPrecondition, notSent)
	e.Advice = Advice{Cause: "the egress policy of this connector says that " + breach, Next: "correct the base URL or the policy in C1"}
	return e
}
