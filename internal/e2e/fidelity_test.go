package e2e

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru"
	guruconfig "github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack"
	rudderstackconfig "github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

// behaviour is one way in which a vendor may behave, and how a sync must end
// that meets it: with the vendor's truth in the c1z, or with an error and no
// finished sync. Each is a row of docs/fidelity.md and a subtest of
// TestFidelity.
type behaviour struct {
	// vendor is ofRudderStack, ofGuru or ofBoth.
	vendor string
	// name is the subtest's.
	name string
	// does is what the vendor does, in plain words.
	does string
	// fault is the simulator's; empty for the name, "-" for none.
	fault string
	// on says which requests the fault strikes: those for users, groups or
	// members, or all that the simulator's own default says.
	on collection
	// from and to are the first and the last of those requests that it
	// strikes, as in simulator.When. Of users and groups the credentials check
	// asks for one page before the sync begins, which is number 1.
	from, to int
	// more are further options of the simulator.
	more []simulator.Option
	// size is that of the directory; usualSize where it is empty.
	size *simulator.Size
	// set changes the directory before the sync or, with OnRequest, during it.
	set func(s *simulator.Server)
	// options change those of the source.
	options func(*rest.Options)
	// outage has the vendor's clock run fast, so that a failure that would be
	// retried for long ends at the second try.
	outage bool
	// waits says that the syncer waits before it tries again, so that the test
	// takes long and does little.
	waits bool
	// tolerant lets grants dangle, as the SDK does in production.
	tolerant bool

	// code is that of the error; OK where the c1z must hold the truth.
	code codes.Code
	// words must all be in the error.
	words []string
	// warns must be in a warning in the log.
	warns string
	// but is what docs/fidelity.md adds to the outcome.
	but string
	// requests is the most that the vendor may be sent; 0 for maxRequests.
	requests int
}

const (
	ofRudderStack = "rudderstack"
	ofGuru        = "guru"
	ofBoth        = "both"
)

// maxRequests bounds the requests of a sync of a directory of usualSize,
// which takes at most 25: a client that spins, or that walks on through pages
// that bring nothing, sends more.
const maxRequests = 60

// endless is how long a sync of a row may take: far longer than any does.
const endless = 5 * time.Minute

type collection string

const (
	users   collection = "users"
	groups  collection = "groups"
	members collection = "members"
)

// path is the pattern of simulator.When.
func (c collection) path(vendor string) string {
	switch {
	case c == "":
		return ""
	case vendor == ofRudderStack && c == users:
		return "/Users"
	case vendor == ofRudderStack:
		return "/Groups" // which carries the members
	case c == users:
		return "/members"
	case c == groups:
		return "/groups/usergroups"
	default:
		return "/groups/*/members"
	}
}

// usualSize has several pages of users and of what holds members, and groups
// at the edges of a page.
func usualSize(vendor string) simulator.Size {
	sizes := []int{0, 1, 100, 101, 150}
	if vendor == ofRudderStack {
		for range 100 {
			sizes = append(sizes, 2)
		}
	}
	return simulator.Size{Users: 230, GroupSizes: sizes}
}

// behaviours is the registry of all.
var behaviours = slices.Concat(bothBehaviours(), rudderStackBehaviours(), []behaviour{nobody}, guruBehaviours(), changeBehaviours())

// vendors are those that the behaviour is of.
func (b behaviour) vendors() []string {
	if b.vendor == ofBoth {
		return []string{ofRudderStack, ofGuru}
	}
	return []string{b.vendor}
}

// simulated starts a vendor that behaves so.
func (b behaviour) simulated(t testing.TB, vendor string) *vendorServer {
	t.Helper()
	size := usualSize(vendor)
	if b.size != nil {
		size = *b.size
	}
	opts := append(slices.Clone(b.more), simulator.WithFast())
	fault := b.fault
	if fault == "" {
		fault = b.name
	}
	if fault != "-" {
		if when := (simulator.When{Path: b.on.path(vendor), From: b.from, To: b.to}); when != (simulator.When{}) {
			opts = append(opts, simulator.WithFault(fault, when))
		} else {
			opts = append(opts, simulator.WithFault(fault))
		}
	}
	return startVendor(t, vendor, size, opts...)
}

// vendorServer is one vendor's simulator and what a source needs to read it.
type vendorServer struct {
	*simulator.Server
	// connector is the name of the binary that reads it.
	connector string
	// env is what that binary reads from its environment.
	env     []string
	secrets []string
	open    func(ctx context.Context, opts rest.Options) (directory.Source, error)
}

func startVendor(t testing.TB, vendor string, size simulator.Size, opts ...simulator.Option) *vendorServer {
	t.Helper()
	if vendor == ofRudderStack {
		s := simulator.NewRudderStack(size, opts...).Start(t)
		return &vendorServer{
			Server: s.Server, connector: "baton-rudderstack", env: s.Env(), secrets: []string{s.Token()},
			open: func(ctx context.Context, opts rest.Options) (directory.Source, error) {
				return rudderstack.New(ctx, &rudderstackconfig.Rudderstack{RudderstackScimBaseUrl: s.URL(), RudderstackScimToken: s.Token()}, opts)
			},
		}
	}
	s := simulator.NewGuru(size, opts...).Start(t)
	return &vendorServer{
		Server: s.Server, connector: "baton-guru", env: s.Env(), secrets: []string{s.Token(), simulator.GuruRowToken},
		open: func(ctx context.Context, opts rest.Options) (directory.Source, error) {
			return guru.New(ctx, &guruconfig.Guru{BaseUrl: s.URL(), UserEmail: s.Email(), ApiToken: s.Token()}, opts)
		},
	}
}

// source opens a source that reads the vendor.
func (v *vendorServer) source(t testing.TB, opts rest.Options) directory.Source {
	t.Helper()
	opts.Name, opts.Version = v.connector, "test"
	source, err := v.open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// ofGroups hides that a source can list all memberships in one walk, so that
// it is asked group by group, as by syncers that do not know of such a walk
// and by targeted syncs.
type ofGroups struct{ directory.Source }

// TestFidelity syncs from vendors that behave in every way that is known of
// such vendors. Each sync is run as the binaries run it, with read-ahead and
// all workers; one that must be right is run a second time in the way of a
// function that is frozen between calls: without read-ahead, one call at a
// time, group by group.
func TestFidelity(t *testing.T) {
	t.Parallel()
	var waiting sync.WaitGroup
	turns := make(chan struct{}, 8)
	for _, b := range behaviours {
		for _, vendor := range b.vendors() {
			test := func(t *testing.T) {
				b.run(t, vendor, rest.Options{ReadAhead: true}, syncOptions{}, false)
				if b.code == codes.OK {
					b.run(t, vendor, rest.Options{}, syncOptions{workers: 1}, true)
				}
			}
			if b.waits {
				// More of them at a time than there are processors.
				waiting.Go(func() {
					turns <- struct{}{}
					defer func() { <-turns }()
					t.Run(vendor+"/"+b.name, test)
				})
				continue
			}
			t.Run(vendor+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	}
	waiting.Wait()
}

func (b behaviour) run(t *testing.T, vendor string, opts rest.Options, how syncOptions, byGroup bool) {
	t.Helper()
	server := b.simulated(t, vendor)
	if b.options != nil {
		b.options(&opts)
	}
	if b.outage {
		clock := newClock()
		opts.Now, opts.Outage = clock.now, 3*time.Minute
		server.OnRequest(func(int, *http.Request) { clock.advance(4 * time.Minute) })
	}
	if b.set != nil {
		b.set(server.Server)
	}
	source := server.source(t, opts)
	if byGroup {
		source = ofGroups{source}
	}
	how.tolerant = b.tolerant
	core, logs := observer.New(zapcore.InfoLevel)
	// A sync that goes round and round fails its own row, not the whole run.
	ctx, cancel := context.WithTimeout(ctxzap.ToContext(context.Background(), zap.New(core)), endless)
	defer cancel()
	path, err := syncSource(ctx, t, server.connector, source, how)

	asked := server.Requests()
	most := b.requests
	if most == 0 {
		most = maxRequests
	}
	if byGroup {
		most += len(server.GroupIDs())
	}
	if len(asked) > most {
		t.Errorf("the vendor was sent %d requests, more than %d", len(asked), most)
	}
	for _, request := range server.Elsewhere() {
		t.Errorf("another origin was sent %s %s", request.Method, request.Path)
	}
	log := logged(logs)
	for _, secret := range server.secrets {
		if strings.Contains(log, secret) || err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the secret %q shows", secret)
		}
	}
	if b.warns != "" && !strings.Contains(log, b.warns) {
		t.Errorf("no warning says %q, but:\n%s", b.warns, log)
	}
	if b.code == codes.OK {
		if err != nil {
			t.Fatalf("the sync failed: %v", err)
		}
		compareDerived(t, compareTruth(t, path, server.Truth()), server.Truth())
		return
	}
	b.failed(t, server, path, err)
}

// failed checks how a sync failed.
func (b behaviour) failed(t *testing.T, server *vendorServer, path string, err error) {
	t.Helper()
	if finishedSync(t, path) {
		t.Errorf("a sync that should have failed is finished in the file; it ended with %v", err)
	}
	if err == nil {
		t.Fatal("the sync did not fail")
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
	checkErrorText(t, server.connector, server.URL(), text)
}

var (
	quoted = regexp.MustCompile(`\((?:it begins|the vendor says): (.*?)\)(?::|;|$)`)
	asking = regexp.MustCompile(`[?&](?:startIndex|count|cursor|token|excludedAttributes)=`)
)

// checkErrorText checks what holds for every error: one line that says what
// failed, where, the likely cause and the next step, with no query, no markup
// and no more than 200 characters of what the vendor answered. The SDK puts
// the errors of workers that fail together on lines of their own.
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
		case !strings.Contains(line, "GET "+base):
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

// logged is all that was logged, a line an entry.
func logged(logs *observer.ObservedLogs) string {
	var b strings.Builder
	for _, entry := range logs.All() {
		fmt.Fprintf(&b, "%s %s %v\n", entry.Level, entry.Message, entry.ContextMap())
	}
	return b.String()
}

// clock is one that moves only when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
