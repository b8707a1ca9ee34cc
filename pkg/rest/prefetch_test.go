package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

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
