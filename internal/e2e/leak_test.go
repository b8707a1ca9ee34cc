package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
)

// atInfo returns the lines of a log at the usual level.
func atInfo(log string) string {
	var out strings.Builder
	for line := range strings.Lines(log) {
		var entry struct{ Level string }
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Level != "debug" {
			out.WriteString(line)
		}
	}
	return out.String()
}

// scenario is one course of a run.
type scenario struct {
	name string
	// right means that the run succeeds.
	right bool
	// waits means that the run mostly waits.
	waits bool
	opts  []simulator.Option
	// set changes what lies between the connector and the vendor.
	set func(t *testing.T, s *setup)
	env []string
}

// scenarios are a few runs that succeed or fail. TestFidelity searches all
// behaviours for secrets in process. These runs add a binary's log, files and
// exit.
func scenarios() []scenario {
	with := func(fault string, when ...simulator.When) []simulator.Option {
		return []simulator.Option{simulator.WithFault(fault, when...)}
	}
	all := []scenario{
		{name: "no fault", right: true},
		{name: "unauthorized", opts: with("unauthorized")},
		{name: "html-login", opts: with("html-login")},
		{name: "member-without-id", opts: with("member-without-id")},
		{name: "redirect-elsewhere", opts: with("redirect-elsewhere")},
		{name: "odd-names", right: true, opts: with("odd-names")},
		{name: "unlisted-member", right: true, opts: with("unlisted-member")},
		{
			// It strikes long enough to reach the syncer: the connector itself
			// repeats the request for a prefetched page, or for a page after
			// others.
			name: "reset-body", right: true, waits: true, opts: with("reset-body", simulator.When{From: 5, To: 7}),
			env: []string{"BATON_WORKERS=1"},
		},
	}
	return append(all,
		scenario{name: "an outage of a day", set: instead(func(w http.ResponseWriter, _ *http.Request, _ *setup) {
			w.Header().Set("Retry-After", "86400")
			http.Error(w, "closed until tomorrow", http.StatusServiceUnavailable)
		})},
		scenario{name: "an echo", set: instead(func(w http.ResponseWriter, r *http.Request, _ *setup) {
			http.Error(w, "these may not: "+heard(r), http.StatusForbidden)
		})},
		scenario{name: "an echo elsewhere", set: instead(func(w http.ResponseWriter, r *http.Request, s *setup) {
			to := url.URL{
				Scheme: "http", User: url.UserPassword("me", s.Credential), Host: "127.0.0.1:1", Path: "/" + s.Credential,
				RawQuery: url.Values{"q": {heard(r)}}.Encode(),
			}
			http.Redirect(w, r, to.String(), http.StatusFound)
		})},
		scenario{name: "refused", set: func(t *testing.T, s *setup) {
			s.Env = moved(s.Env, originOf(t, s.URL()), "http://127.0.0.1:"+freePort(t))
		}},
		scenario{name: "no such host", set: func(t *testing.T, s *setup) {
			// A label of more than 63 characters (RFC 1035, section 2.3.4), so
			// no resolver asks a DNS.
			s.Env = moved(s.Env, originOf(t, s.URL()), "https://"+strings.Repeat("a", 64)+".test")
		}},
		scenario{name: "no trust", set: func(t *testing.T, s *setup) {
			certificate, _ := authority(t)
			s.startReverseProxy(t, certificate)
		}},
		scenario{name: "a redirect to http", set: func(t *testing.T, s *setup) {
			certificate, file := authority(t)
			s.Env = append(s.Env, "SSL_CERT_FILE="+file)
			s.startReverseProxy(t, certificate).answers(func(w http.ResponseWriter, r *http.Request) bool {
				if asksForMemberships(r) {
					http.Redirect(w, r, "http://"+r.Host+r.URL.RequestURI(), http.StatusPermanentRedirect)
				}
				return asksForMemberships(r)
			})
		}},
	)
}

// instead makes a reverse proxy answer the requests for memberships.
func instead(answer func(w http.ResponseWriter, r *http.Request, s *setup)) func(*testing.T, *setup) {
	return func(t *testing.T, s *setup) {
		t.Helper()
		s.startReverseProxy(t, nil).answers(func(w http.ResponseWriter, r *http.Request) bool {
			if !asksForMemberships(r) {
				return false
			}
			answer(w, r, s)
			return true
		})
	}
}

// heard returns the parts of a request that carry the credential.
func heard(r *http.Request) string {
	_, password, _ := r.BasicAuth()
	return r.Header.Get("Authorization") + " " + password
}

// originOf returns the origin of a URL.
func originOf(t testing.TB, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host
}

// leaky has several pages of users and of members.
var leaky = simulator.Size{Users: 130, Groups: 4, MembersPerGroup: 7}

// TestNothingLeaks runs the real binaries in every scenario, at the debug
// level, and searches for the credential in everything that they leave. At the
// usual level it searches for any user's address.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	for _, vendor := range fixture.Vendors {
		for _, c := range scenarios() {
			t.Run(vendor+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.leaves(t, vendor, "debug")
			})
		}
		t.Run(vendor+"/at the usual level", func(t *testing.T) {
			t.Parallel()
			for _, c := range scenarios()[:3] { // one succeeds and two fail
				c.leaves(t, vendor, "info")
			}
		})
	}
}

// leaves runs a binary and checks what it leaves.
func (c scenario) leaves(t *testing.T, vendor, level string) {
	t.Helper()
	s := startSetup(t, "baton-"+vendor, leaky, c.opts...)
	if c.set != nil {
		c.set(t, s)
	}
	run := s.sync(t, nil, append(c.env, "BATON_LOG_LEVEL="+level)...)
	code := run.wait()
	if (code == 0) != c.right {
		t.Errorf("exit code %d: %s", code, run.lastLine())
	}
	if (code == 0) != fixture.Finished(t, run.file) {
		t.Errorf("exit code %d does not say what the file holds", code)
	}
	said := run.stdout.String() + run.stderr.String()
	if (atInfo(said) == said) != (level == "info") {
		t.Error("the log is not of the level that was asked for")
	}
	if c.waits && !strings.Contains(said, "retrying") {
		t.Error("nothing had to be asked for again: this shows nothing")
	}
	left := said
	for _, dir := range []string{filepath.Dir(run.file), run.tmp, run.cmd.Dir} {
		left += everything(t, dir)
	}
	if at := fixture.Showing(left, s.Secrets()...); at != "" {
		t.Errorf("a secret shows: %s", at)
	}
	if at := fixture.AnyAddress.FindStringIndex(atInfo(said)); at != nil {
		t.Errorf("an address shows: …%s…", atInfo(said)[max(0, at[0]-200):at[1]])
	}
	if n := len(s.OtherOrigin()); n > 0 {
		t.Errorf("%d requests arrived at another origin", n)
	}
}

// TestNothingLeaksIntoC1 makes a daemon sync in every scenario, at the debug
// level, and searches for secrets in every message and every row that C1
// receives. Then it kills the daemon during a sync and checks what is left.
func TestNothingLeaksIntoC1(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane, tmp := open(t, leaky), controlplane.Start(t), t.TempDir()
		f := s.startReverseProxy(t, nil)
		d := startDaemon(t, s, plane, []string{"BATON_LOG_LEVEL=debug", "BATON_TMPDIR=" + tmp})
		for _, c := range scenarios() {
			if c.waits || c.set != nil {
				continue
			}
			behaving := open(t, leaky, c.opts...)
			f.answers(func(w http.ResponseWriter, r *http.Request) bool {
				behaving.ServeHTTP(w, r)
				return true
			})
			if end := d.finished(plane.Enqueue(controlplane.FullSync())[0]); end.HasSuccess() != c.right {
				t.Errorf("%s: it ended with %s", c.name, protojson.Format(end))
			}
		}
		s.killed(t, f, tmp, func() *process {
			plane.Enqueue(controlplane.FullSync())
			return d.process
		})

		secrets := append(s.Secrets(), plane.ClientSecret())
		if at := fixture.Showing(d.stdout.String()+d.stderr.String(), secrets...); at != "" {
			t.Errorf("a secret shows in the log: %s", at)
		}
		if !strings.Contains(d.stderr.String(), `"level":"debug"`) {
			t.Error("the log is not that of --log-level debug")
		}
		errs, files := 0, 0
		for _, event := range plane.Events() {
			if event.Message == nil {
				continue
			}
			raw, err := proto.Marshal(event.Message)
			if err != nil {
				t.Fatal(err)
			}
			text := protojson.Format(event.Message)
			if strings.Contains(text, "GET "+f.URL) {
				errs++
			}
			if event.File != "" {
				files++
				text += everything(t, event.File)
			}
			if at := fixture.Showing(text+string(raw), secrets...); at != "" {
				t.Errorf("a secret shows in %s: %s", event.Method, at)
			}
		}
		if errs == 0 || files == 0 {
			t.Errorf("C1 was told of %d failures and given %d files: this shows nothing", errs, files)
		}
	})
}

// TestNothingLeaksIntoTemporaryFiles kills a run during a sync, when no process
// can tidy up, and searches for the credential in what is left.
func TestNothingLeaksIntoTemporaryFiles(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s := open(t, small)
		f := s.startReverseProxy(t, nil)
		tmp := t.TempDir()
		s.killed(t, f, tmp, func() *process { return s.sync(t, nil, "BATON_LOG_LEVEL=debug", "BATON_TMPDIR="+tmp).process })
	})
}

// killed starts a sync, kills the process and its children while they read
// memberships, and checks the temporary files that they leave.
func (s *setup) killed(t *testing.T, f *reverseProxy, tmp string, begin func() *process) {
	t.Helper()
	reached := make(chan struct{}, 1000)
	f.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		if asksForMemberships(r) {
			reached <- struct{}{}
			<-r.Context().Done()
		}
		return false
	})
	p := begin()
	select {
	case <-reached:
	case <-p.alive.Done():
		t.Fatal("the process ended before it read memberships")
	case <-time.After(maxWait):
		t.Fatal("the process does not read memberships")
	}
	// The connector may prefetch members before the syncer stores the rows
	// ahead of them.
	until(t, "rows of the sync in its temporary files", func() bool { return fixture.AnyAddress.MatchString(rawFiles(tmp)) })
	for _, pid := range family(p.cmd.Process.Pid) {
		if one, err := os.FindProcess(pid); err == nil {
			_ = one.Signal(syscall.SIGKILL)
		}
	}
	p.wait()
	left := everything(t, tmp)
	if at := fixture.Showing(left, s.Secrets()...); at != "" {
		t.Errorf("a secret shows: %s", at)
	}
}

// rawFiles returns the text of all files below a directory while processes
// write to it.
func rawFiles(root string) string {
	var out strings.Builder
	_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			raw, _ := os.ReadFile(path) // it may be gone
			out.Write(raw)
		}
		return nil
	})
	return out.String()
}

// everything returns the text of a file, or of all files below a directory, and
// the whole content of each c1z among them, with its checkpoints.
func everything(t testing.TB, root string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out.WriteString(path + "\n")
		out.Write(raw)
		if filepath.Ext(path) == ".c1z" && len(raw) > 0 {
			out.WriteString(rowsOf(t, path))
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out.String()
}

func rowsOf(t testing.TB, path string) string {
	t.Helper()
	ctx := context.Background()
	store, err := dotc1z.NewStore(ctx, path, dotc1z.WithReadOnly(true), dotc1z.WithTmpDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(ctx) //nolint:errcheck // read only
	var out strings.Builder
	runs, ok := store.(interface {
		ListSyncRuns(ctx context.Context, pageToken string, pageSize uint32) ([]*c1zstore.SyncRun, string, error)
	})
	if !ok {
		t.Fatal("the syncs of a c1z cannot be listed")
	}
	all, _, err := runs.ListSyncRuns(ctx, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range all {
		fmt.Fprintf(&out, "%+v\n", *run)
	}
	for _, kind := range []string{"user", "group"} {
		for _, r := range fixture.Resources(ctx, t, store, kind) {
			out.WriteString(prototext.Format(r))
		}
	}
	for token := ""; ; {
		page, err := store.ListGrants(ctx, v2.GrantsServiceListGrantsRequest_builder{PageToken: token}.Build())
		if err != nil {
			return out.String() // an unfinished sync has none
		}
		for _, g := range page.GetList() {
			out.WriteString(prototext.Format(g))
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	return out.String()
}
