package rest

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// transportError explains why a request got no complete answer.
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
		e.Advice = Advice{"a proxy or the vendor's server is misconfigured", "tell whoever runs it"}
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &deflate):
		e.Code = codes.Unavailable
		e.What = "the gzip of the answer is broken"
		e.Advice = Advice{"the vendor or a proxy damaged it", asks}
	case errors.As(err, &dns):
		e.What = "cannot resolve the host " + c.redact.line(dns.Name)
		e.Advice = Advice{"the host name is misspelt, or DNS is unreachable", "check the base URL and the network"}
		// Before any answer an unknown host is a typo; after one it is a
		// failing resolver.
		if !dns.IsNotFound || c.reached.Load() {
			e.Code = codes.Unavailable
		} else {
			e.Code = codes.InvalidArgument
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Code = codes.FailedPrecondition
		e.What = "the server's certificate is not valid at this time (" + c.redact.line(innermost(err)) + ")"
		e.Advice = Advice{"it has expired, or this machine's clock is wrong", "check the clock; if it is right, tell whoever runs the server"}
	case errors.As(err, &named):
		e.Code = codes.FailedPrecondition
		e.What = "the server's certificate is another host's (" + c.redact.line(innermost(err)) + ")"
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

// innermost returns the text of the deepest error, which holds no URL.
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

// trustIt explains how to trust a private certificate authority on a system. Go
// reads SSL_CERT_FILE if the system has no certificate store of its own.
func trustIt(system string) string {
	switch system {
	case "darwin", "ios", "windows":
		return "add its CA certificates to the system's store"
	default:
		return "point SSL_CERT_FILE to its CA certificates"
	}
}
