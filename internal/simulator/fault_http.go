package simulator

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// httpFaults are faults of HTTP. They strike requests for any path.
var httpFaults = []Fault{
	limited("rate-limit-seconds", "429 with Retry-After: 1", Right, func(h http.Header) { h.Set("Retry-After", "1") }),
	limited("rate-limit-date", "429 with Retry-After as an HTTP date one second ahead", Right, func(h http.Header) {
		h.Set("Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
	}),
	limited("rate-limit-reset", "429 with X-RateLimit-Reset in seconds since 1970 and no Retry-After", Right, func(h http.Header) {
		h.Set("X-RateLimit-Limit", "100")
		h.Set("X-RateLimit-Remaining", "0")
		h.Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10))
	}),
	limited("rate-limit-odd", "429 with headers of words where numbers belong, besides RateLimit-Reset: 1", Right, func(h http.Header) {
		oddLimits(h)
		h.Set("Retry-After", "soon")
		h.Set("RateLimit-Reset", "1")
	}),
	limited("rate-limit-bare", "429 that does not say how long to wait", Right, func(http.Header) {}),
	limited("rate-limit-long", "429 with Retry-After: 86400", Fails, func(h http.Header) { h.Set("Retry-After", "86400") }),
	atMost("two-at-a-time", 2),
	atMost("three-at-a-time", 3),
	{
		Name: "odd-limit-headers", Vendor: "both", Outcome: Right, What: "good answers carry rate limit headers of words where numbers belong",
		wrap: before(func(_ *Server, w http.ResponseWriter, _ *http.Request) { oddLimits(w.Header()) }),
	},

	failing("server-error", http.StatusInternalServerError, When{Every: 4}, Right),
	failing("bad-gateway", http.StatusBadGateway, When{Every: 4}, Right),
	failing("unavailable", http.StatusServiceUnavailable, When{Every: 4}, Right),
	failing("gateway-timeout", http.StatusGatewayTimeout, When{Every: 4}, Right),
	failing("request-timeout", http.StatusRequestTimeout, When{Every: 4}, Right),
	{
		Name: "outage", Vendor: "both", Outcome: Fails, What: "503 from the 4th request on, for ever", When: When{From: 4},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "upstream connect error", http.StatusServiceUnavailable)
		}),
	},
	failing("bad-request", http.StatusBadRequest, When{From: 3}, Fails),
	failing("unauthorized", http.StatusUnauthorized, When{From: 3}, Fails),
	failing("forbidden", http.StatusForbidden, When{From: 3}, Fails),
	failing("not-found", http.StatusNotFound, When{From: 3}, Fails),
	failing("gone", http.StatusGone, When{From: 3}, Fails),

	{
		Name: "reset", Vendor: "both", Outcome: Right, What: "the connection is reset before an answer", When: When{Every: 4},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) { cutOff(w) }),
	},
	{
		Name: "reset-body", Vendor: "both", Outcome: Right, What: "the connection is reset in the middle of the body", When: When{Every: 4},
		wrap: captured(func(_ *Server, w http.ResponseWriter, _ *http.Request, body []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)+100))
			_, _ = w.Write(body[:len(body)/2])
			_ = http.NewResponseController(w).Flush()
			cutOff(w)
		}),
	},
	{
		Name: "truncated", Vendor: "both", Outcome: Right, What: "half of the body arrives, as a whole answer", When: When{Every: 4},
		wrap: captured(func(_ *Server, w http.ResponseWriter, _ *http.Request, body []byte) {
			_, _ = w.Write(body[:len(body)/2])
		}),
	},
	{
		Name: "slow-body", Vendor: "both", Outcome: Right, What: "the body arrives in 8 parts, 5 milliseconds apart",
		wrap: captured(func(s *Server, w http.ResponseWriter, r *http.Request, body []byte) {
			s.drip(w, r, body, len(body)/8+1, 5*time.Millisecond)
		}),
	},
	{
		Name: "one-byte-a-second", Vendor: "both", Outcome: Either, What: "the body arrives a byte a second", When: When{Every: 4},
		wrap: captured(func(s *Server, w http.ResponseWriter, r *http.Request, body []byte) {
			s.drip(w, r, body, 1, time.Second)
		}),
	},
	{
		Name: "hang", Vendor: "both", Outcome: Either, What: "no answer ever comes", When: When{Every: 4},
		wrap: instead(func(s *Server, _ http.ResponseWriter, r *http.Request) { s.pause(r.Context(), 24*time.Hour) }),
	},

	said("html-login", "a login page with 200", "text/html; charset=utf-8",
		"<!DOCTYPE html>\n<html><head><title>Sign in</title><script>var a = '<b>';</script></head><body><h1>Sign in to Example</h1><form action=\"/login\"></form></body></html>"),
	said("json-error", `200 with {"error": …}`, "application/json", `{"error":{"code":"internal","message":"something went wrong"}}`),
	said("null", "200 with null", "application/json", "null"),
	said("text", "200 with a line of text", "text/plain", "OK, but the service is being upgraded."),
	said("string", "200 with a JSON string", "application/json", `"ok"`),
	said("empty-object", "200 with {}", "application/json", "{}"),
	said("other-object", "200 with an object that holds another kind of list", "application/json", `{"items":[],"total":0,"page":1}`),
	said("no-body", "200 without a body", "application/json", ""),
	{
		Name: "no-content", Vendor: "both", Outcome: Fails, What: "204 for everything", When: When{From: 1},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	},

	{
		Name: "redirect-elsewhere", Vendor: "both", Outcome: Fails, What: "a redirect to another origin, which records what arrives", When: When{From: 3},
		wrap: instead(func(s *Server, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.otherURL+r.URL.RequestURI(), http.StatusFound)
		}),
	},
	{
		Name: "redirect-loop", Vendor: "both", Outcome: Fails, What: "a redirect to itself, for ever", When: When{From: 3},
		wrap: instead(func(_ *Server, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}),
	},
	{
		Name: "redirect-within", Vendor: "both", Outcome: Either, What: "one redirect to the same path of the same origin", When: When{},
		wrap: func(_ *Server, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				if q.Has("moved") {
					next.ServeHTTP(w, r)
					return
				}
				q.Set("moved", "1")
				http.Redirect(w, r, r.URL.EscapedPath()+"?"+q.Encode(), http.StatusTemporaryRedirect)
			})
		},
	},

	{
		Name: "gzip", Vendor: "both", Outcome: Right, What: "answers are compressed where the client takes that",
		wrap: captured(func(_ *Server, w http.ResponseWriter, r *http.Request, body []byte) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				_, _ = w.Write(body)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(body)
			_ = z.Close()
		}),
	},
	{
		Name: "gzip-bomb", Vendor: "both", Outcome: Fails, What: "1 MiB of gzip that unpacks to 1 GiB of blanks", When: When{From: 3},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			for part, i := blanks(), 0; i < 64; i++ { // gzip members one after another form one stream
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}),
	},
	{
		Name: "huge-body", Vendor: "both", Outcome: Fails, What: "1 GiB of blanks", When: When{From: 3},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			part := bytes.Repeat([]byte(" "), 1<<20)
			for range 1024 {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}),
	},
	{
		Name: "huge-header", Vendor: "both", Outcome: Fails, What: "a header of 12 MiB", When: When{From: 3},
		wrap: before(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Trace", strings.Repeat("a", 12<<20))
		}),
	},
	{
		Name: "deep-nesting", Vendor: "both", Outcome: Fails, What: "100,000 lists within each other where an object belongs", When: When{From: 3},
		wrap: captured(func(_ *Server, w http.ResponseWriter, _ *http.Request, body []byte) {
			deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
			switch {
			case bytes.HasPrefix(body, []byte("{")):
				_, _ = io.WriteString(w, `{"nested":`+deep+","+string(body[1:]))
			default:
				_, _ = io.WriteString(w, deep)
			}
		}),
	},
	{
		Name: "plain-json", Vendor: "both", Outcome: Right, What: "the content type is application/json; charset=utf-8",
		wrap: captured(func(_ *Server, w http.ResponseWriter, _ *http.Request, body []byte) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = w.Write(body)
		}),
	},
	{
		Name: "no-keep-alive", Vendor: "both", Outcome: Right, What: "every answer closes its connection",
		wrap: before(func(_ *Server, w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }),
	},
}

func limited(name, what, outcome string, headers func(http.Header)) Fault {
	return Fault{
		Name: name, Vendor: "both", Outcome: outcome, What: what, When: When{Every: 3},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			headers(w.Header())
			http.Error(w, "Too many requests", http.StatusTooManyRequests)
		}),
	}
}

// atMost limits the requests in progress. Each takes 5 milliseconds.
func atMost(name string, most int64) Fault {
	return Fault{
		Name: name, Vendor: "both", Outcome: Right, What: fmt.Sprintf("429 that does not say how long to wait, if %d requests are under way already", most),
		wrap: func(s *Server, next http.Handler) http.Handler {
			var underWay atomic.Int64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer underWay.Add(-1)
				if underWay.Add(1) > most {
					http.Error(w, "Too many requests at a time", http.StatusTooManyRequests)
					return
				}
				if s.pause(r.Context(), 5*time.Millisecond) {
					next.ServeHTTP(w, r)
				}
			})
		},
	}
}

func oddLimits(h http.Header) {
	h.Set("X-RateLimit-Limit", "unlimited")
	h.Set("X-RateLimit-Remaining", "many")
	h.Set("X-RateLimit-Reset", "-1")
	h.Set("RateLimit-Limit", "100, 100;w=60")
	h.Set("RateLimit-Remaining", "")
}

func failing(name string, status int, when When, outcome string) Fault {
	which := fmt.Sprintf("every %dth request", when.Every)
	if when.From > 0 {
		which = "from the 3rd request on"
	}
	return Fault{
		Name: name, Vendor: "both", Outcome: outcome, What: fmt.Sprintf("%d %s, %s", status, http.StatusText(status), which), When: when,
		wrap: instead(func(s *Server, w http.ResponseWriter, _ *http.Request) { s.deny(w, status, http.StatusText(status)) }),
	}
}

// deny sends a refusal in the vendor's own form.
func (s *Server) deny(w http.ResponseWriter, status int, words string) {
	if _, isGuru := s.vendor.(*guru); isGuru {
		guruError(w, status, words)
		return
	}
	scimError(w, status, words)
}

func said(name, what, contentType, body string) Fault {
	return Fault{
		Name: name, Vendor: "both", Outcome: Fails, What: what, When: When{From: 3},
		wrap: instead(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}),
	}
}

// instead replaces the right answer.
func instead(answer func(s *Server, w http.ResponseWriter, r *http.Request)) func(*Server, http.Handler) http.Handler {
	return func(s *Server, _ http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(s, w, r) })
	}
}

// before calls do ahead of the right answer.
func before(do func(s *Server, w http.ResponseWriter, r *http.Request)) func(*Server, http.Handler) http.Handler {
	return func(s *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			do(s, w, r)
			next.ServeHTTP(w, r)
		})
	}
}

// captured passes the body of a 200 to send, with its headers copied. It
// forwards any other answer unchanged.
func captured(send func(s *Server, w http.ResponseWriter, r *http.Request, body []byte)) func(*Server, http.Handler) http.Handler {
	return func(s *Server, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			for name, values := range recorder.Header() {
				w.Header()[name] = values
			}
			if recorder.Code == http.StatusOK {
				send(s, w, r, recorder.Body.Bytes())
				return
			}
			w.WriteHeader(recorder.Code)
			_, _ = w.Write(recorder.Body.Bytes())
		})
	}
}

// cutOff resets the connection, or only the stream if the connection carries several.
func cutOff(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (s *Server) drip(w http.ResponseWriter, r *http.Request, body []byte, part int, wait time.Duration) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	for len(body) > 0 {
		part = min(part, len(body))
		if _, err := w.Write(body[:part]); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		body = body[part:]
		if len(body) > 0 && !s.pause(r.Context(), wait) {
			return
		}
	}
}

// blanks is a gzip stream of 16 MiB of blanks.
var blanks = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	part := bytes.Repeat([]byte(" "), 1<<20)
	for range 16 {
		_, _ = z.Write(part)
	}
	_ = z.Close()
	return out.Bytes()
})
