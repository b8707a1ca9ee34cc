package rest

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestWaitingTellsWhyNothingHappens checks that the user sees until when a sync
// waits and why, in words that quote nothing of the vendor's answer, and that
// both disappear once the vendor answers.
func TestWaitingTellsWhyNothingHappens(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	answer := func(http.ResponseWriter) {}
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	stats := &Stats{}
	if _, _, ok := stats.Waiting(); ok {
		t.Error("waits before there is a client")
	}
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now, o.Stats = now.now, stats })
	expect := func(wait time.Duration, want string) {
		t.Helper()
		until, reason, ok := stats.Waiting()
		if ok != (wait > 0) || reason != want || ok && !until.Equal(now.now().Add(wait)) {
			t.Errorf("waits until %s for %q (%t), not %s for %q", until, reason, ok, wait, want)
		}
	}
	ask := func(with func(http.ResponseWriter), path string) {
		answer = with
		_, _ = get(c, path)
	}
	unavailable := func(w http.ResponseWriter) {
		w.WriteHeader(503)
		fmt.Fprint(w, "ann@example.com is locked out")
	}
	limited := func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
	}
	good := func(w http.ResponseWriter) { fmt.Fprint(w, "[]") }

	expect(0, "")
	ask(unavailable, "Users")
	expect(time.Second, "503 Service Unavailable")
	now.add(time.Second)
	expect(0, "")
	ask(unavailable, "Users")
	expect(2*time.Second, "503 Service Unavailable")
	ask(good, "Groups")
	expect(0, "")

	ask(limited, "Users")
	expect(30*time.Second, "429 Too Many Requests")
	now.add(10 * time.Second)
	ask(good, "Groups") // not sent
	expect(20*time.Second, "429 Too Many Requests")
	now.add(20 * time.Second)
	expect(0, "")
	ask(good, "Users")
	ask(func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = fmt.Fprint(conn, "ann@example.com\r\n\r\n")
		conn.Close() //nolint:errcheck // the connection is to be broken
	}, "Users")
	expect(time.Second, "malformed HTTP response")
}
