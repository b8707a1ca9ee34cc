package fidelity

import (
	"context"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// TestFidelity reads vendors with every known behaviour, in a bubble whose
// clock jumps over all waits. It reads each vendor twice. The first time it
// works as the binaries do: a connector, with prefetch and four calls at a
// time. The second time it works as a function that the cloud starts anew for
// each call: the source itself, without prefetch, one call at a time, keeping
// only the cursor. It then reads the members of groups both in one walk and
// group by group.
func TestFidelity(t *testing.T) {
	t.Parallel()
	for _, b := range behaviours {
		for _, vendor := range b.vendors() {
			t.Run(vendor+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				b.run(t, vendor, "connector", rest.Options{Prefetch: true}, 4, (*reading).ofConnector)
				if b.warm {
					return
				}
				read := (*reading).ofSource
				if b.connector {
					read = (*reading).ofConnector
				}
				b.run(t, vendor, "cold starts", rest.Options{}, 1, read)
			})
		}
	}
}

func (b behaviour) run(t *testing.T, vendor, mode string, opts rest.Options, workers int, read func(*reading, context.Context, directory.Source) error) {
	t.Run(mode, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := b.simulated(t, vendor)
			if b.options != nil {
				b.options(&opts)
			}
			if b.set != nil {
				b.set(server.Server)
			}
			source := server.Source(t, opts)
			if !opts.Prefetch {
				source = coldly(func() directory.Source { return server.Source(t, opts) })
			}
			core, logs := observer.New(zapcore.DebugLevel)
			ctx, cancel := context.WithTimeout(ctxzap.ToContext(context.Background(), zap.New(core)), long)
			defer cancel()
			r := &reading{name: server.Connector, workers: workers}
			err := read(r, ctx, source)
			server.Close()

			most := b.requests
			if most == 0 {
				most = maxRequests
			}
			if !opts.Prefetch {
				most = 3*most + 2*len(server.GroupIDs())
			}
			if asked := len(server.Requests()); asked > most {
				t.Errorf("the vendor was sent %d requests, more than %d", asked, most)
			}
			for _, request := range server.OtherOrigin() {
				t.Errorf("another origin was sent %s %s", request.Method, request.Path)
			}
			noLeak(t, r, server.Secrets(), err, logs)
			if b.warns != "" && !strings.Contains(fixture.Logged(logs), b.warns) {
				t.Errorf("no warning says %q, but:\n%s", b.warns, fixture.Logged(logs))
			}
			if b.code != codes.OK {
				b.failed(t, server, err)
				return
			}
			if err != nil {
				t.Fatalf("the reading failed: %v", err)
			}
			r.isTrue(t, server.Truth())
		})
	})
}

// isTrue compares a reading with the vendor's truth.
func (r *reading) isTrue(t *testing.T, truth simulator.Truth) {
	t.Helper()
	if wrong := r.got.Wrong(truth); wrong != "" {
		t.Errorf("not the vendor's truth: %s", wrong)
	}
	if r.inOneWalk == nil {
		return
	}
	r.got.Grants = r.inOneWalk
	if wrong := r.got.Wrong(truth); wrong != "" {
		t.Errorf("in one walk, not the vendor's truth: %s", wrong)
	}
}

// noLeak searches for the credential in everything that a reading leaves:
// cursors, rows, the error and the log with all details. It searches for users'
// addresses in cursors, the error and the log at the usual level.
func noLeak(t *testing.T, r *reading, secrets []string, err error, logs *observer.ObservedLogs) {
	t.Helper()
	usual := fixture.Logged(logs.Filter(func(e observer.LoggedEntry) bool { return e.Level > zapcore.DebugLevel }))
	cursors := strings.Join(r.cursors, "\n")
	for _, cursor := range r.cursors {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if plain, err := encoding.DecodeString(strings.TrimRight(cursor, "=")); err == nil {
				cursors += "\n" + string(plain)
			}
		}
	}
	if err != nil {
		usual += err.Error()
	}
	if at := fixture.Showing(usual+fixture.Logged(logs)+cursors+string(r.rows), secrets...); at != "" {
		t.Errorf("a secret shows: %s", at)
	}
	if at := fixture.AnyAddress.FindString(usual + cursors); at != "" {
		t.Errorf("the address %s shows in a cursor, an error or the log", at)
	}
}

// failed checks how a reading failed.
func (b behaviour) failed(t *testing.T, server *fixture.Vendor, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("the reading did not fail")
	}
	text := err.Error()
	if got := status.Code(err); got != b.code {
		t.Errorf("the code is %s, not %s: %s", got, b.code, text)
	}
	for _, word := range b.words {
		if !strings.Contains(text, word) {
			t.Errorf("the error does not say %q: %s", word, text)
		}
	}
	where := server.URL()
	if b.connector { // it compares answers that are each valid alone
		where = ""
	}
	checkErrorText(t, server.Connector, where, text)
}

var (
	quoted = regexp.MustCompile(`\((?:it begins|the vendor says): (.*?)\)(?::|;|$)`)
	asking = regexp.MustCompile(`[?&](?:startIndex|count|cursor|token|excludedAttributes)=`)
)

// checkErrorText checks the rules for every error: one line that says what
// failed, where, the likely cause and the next step, without a query or markup,
// and with at most 200 characters of the vendor's answer. If several workers
// fail together, the SDK puts each error on its own line.
func checkErrorText(t *testing.T, connector, base, text string) {
	t.Helper()
	said := false
	for line := range strings.SplitSeq(text, "\n") {
		at := strings.Index(line, connector+": ")
		if at < 0 {
			if !strings.HasSuffix(line, "context canceled") {
				t.Errorf("the error is not one line or does not name the connector: %s", text)
			}
			continue
		}
		line = line[at:]
		said = true
		switch {
		case strings.Count(line, connector+": ") != 1:
			t.Errorf("the error names the connector twice: %s", line)
		case strings.ContainsAny(line, "\r\t<\x00\x1b"):
			t.Errorf("the error holds a control character or markup: %q", line)
		case !utf8.ValidString(line):
			t.Errorf("the error is not UTF-8: %q", line)
		case base != "" && !strings.Contains(line, "GET "+base):
			t.Errorf("the error does not say where: %s", line)
		case asking.MatchString(line):
			t.Errorf("the error shows a query: %s", line)
		case !strings.Contains(line, "; "):
			t.Errorf("the error does not say what to do: %s", line)
		case utf8.RuneCountInString(line) > 900:
			t.Errorf("the error is %d characters long: %s", utf8.RuneCountInString(line), line)
		}
		for _, body := range quoted.FindAllStringSubmatch(line, -1) {
			if n := utf8.RuneCountInString(body[1]); n > 200 {
				t.Errorf("the error quotes %d characters of the answer: %s", n, line)
			}
		}
	}
	if !said {
		t.Errorf("the error does not name the connector: %s", text)
	}
}
