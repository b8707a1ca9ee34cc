package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestOutageEnds checks that a vendor that is out of reach for too long ends
// the sync. A vendor that comes back, or that was seldom called, does not.
func TestOutageEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// each step has the time since the one before and the vendor's answer
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

// TestOnePlaceOutOfReachEndsASync checks that a request that always fails ends
// its sync, even if other requests succeed meanwhile, such as those of a health
// check or another sync. A request refused for a narrow limit has an hour more.
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

// TestALateAnswerDoesNotHideAnOutage checks an answer that was in progress when
// the vendor went down. It must not make an outage look like one failing
// request, which a later run could not continue after.
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
	// Now only this request has failed for longer than the limit.
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

// TestALimitIsNamedWhereItEndsASync checks that the last line of a sync that a
// rate limit has ended names the limit, even if the last request was not sent.
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

// TestALimitAndAFaultAreNoOutage checks a request that a rate limit refuses for
// long and that fails now and then. It must not end after the time for which
// failures may last: the failures are too far apart.
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

// TestAnotherFormOfAListHealsNothing checks that a list that always fails ends
// its sync, even if another form of it, at the same path with another query,
// succeeds all the while.
func TestAnotherFormOfAListHealsNothing(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := &clock{t: began}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("excludedAttributes") {
			w.WriteHeader(500)
		}
	})
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	ask := func(query url.Values) error {
		return c.Get(context.Background(), Request{Path: []string{"Groups"}, Query: query}, func(*Answer) error { return nil })
	}
	for now.now().Sub(began) <= DefaultOutage {
		check(t, ask(url.Values{"startIndex": {"1"}, "excludedAttributes": {"members"}}), codes.Unavailable)
		if err := ask(url.Values{"startIndex": {"1"}}); err != nil {
			t.Fatal(err)
		}
		now.add(30 * time.Second)
	}
	check(t, ask(url.Values{"startIndex": {"1"}, "excludedAttributes": {"members"}}), codes.Aborted, "/Groups: 500", "to this request, while others were answered")
}

// TestALongPauseHoldsNobodyBack checks that a vendor that asks for a pause of a
// day ends the sync that it asks. The next sync finds out by itself whether
// that still holds.
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

// TestOutageEndsWhereRequestsMayTakeLong checks that a vendor that lets every
// request hang counts as out of reach, however long the user lets a request
// take.
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
