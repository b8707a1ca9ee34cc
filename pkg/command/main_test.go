package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/conductorone/baton-sdk/pkg/field"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// asConnector makes this test binary a connector.
const asConnector = "TEST_AS_CONNECTOR"

// testStallLimit shortens the time without progress.
const testStallLimit = "TEST_STALL_LIMIT"

// testDeadConnector makes the child process of a daemon end before it serves, and
// shortens the time that it may take to start.
const testDeadConnector = "TEST_DEAD_CONNECTOR"

// testFullAfter is the number of writes of the SDK's store after which its disk is
// full.
const testFullAfter = "TEST_FULL_AFTER"

func TestMain(m *testing.M) {
	if os.Getenv(asConnector) != "" {
		if space, err := strconv.Atoi(os.Getenv(testFullAfter)); err == nil {
			var writes atomic.Int64
			vfs.Default = errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && writes.Add(1) > int64(space) {
					return fullErrors[0]
				}
				return nil
			}))
		}
		if limit, err := time.ParseDuration(os.Getenv(testStallLimit)); err == nil {
			stallLimit = limit
		}
		if os.Getenv(testDeadConnector) != "" {
			if slices.Contains(os.Args, "_connector-service") {
				os.Exit(1)
			}
			startLimit = time.Second
		}
		Run("1.2.3", connector.Info{Name: "baton-test", DisplayName: "Test", Description: "A test."}, testSchema, newTestSource)
		os.Exit(0)
	}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP, syscall.SIGQUIT} {
		if signal.Ignored(s) { // under nohup or in the background, a child would ignore it as well
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	os.Exit(m.Run())
}

type testConfig struct {
	BaseURL  string `mapstructure:"base-url"`
	APIToken string `mapstructure:"api-token"`
	Email    string `mapstructure:"user-email"`
	Outage   int    `mapstructure:"outage-seconds"`
}

func (c *testConfig) GetString(key string) string {
	return map[string]string{"base-url": c.BaseURL, "api-token": c.APIToken, "user-email": c.Email}[key]
}
func (c *testConfig) GetBool(string) bool { return false }
func (c *testConfig) GetInt(key string) int {
	return map[string]int{"outage-seconds": c.Outage}[key]
}
func (c *testConfig) GetStringSlice(string) []string     { return nil }
func (c *testConfig) GetStringMap(string) map[string]any { return nil }

var testSchema = field.NewConfiguration([]field.SchemaField{
	field.StringField("base-url", field.WithRequired(true), field.WithDescription("base")),
	field.StringField("api-token", field.WithRequired(true), field.WithIsSecret(true), field.WithDescription("token")),
	field.StringField("user-email", field.WithDescription("email")),
	field.IntField("outage-seconds", field.WithDefaultValue(60), field.WithDescription("outage")),
})

// testSource reads the vendor below.
type testSource struct{ client *rest.Client }

func newTestSource(ctx context.Context, cfg *testConfig, opts rest.Options) (directory.Source, error) {
	base, err := rest.Setting("base-url").BaseURL(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	secret, err := rest.Setting("api-token").Secret(cfg.APIToken)
	if err != nil {
		return nil, err
	}
	opts.Outage = time.Duration(cfg.Outage) * time.Second
	client, err := rest.New(ctx, rest.Vendor{Base: base, Authorization: "Bearer " + secret}, opts)
	return &testSource{client}, err
}

func (s *testSource) Check(ctx context.Context) error {
	return s.client.Get(ctx, rest.Request{Path: []string{"check"}}, func(*rest.Answer) error { return nil })
}

// Describe implements directory.Describer.
func (s *testSource) Describe(ctx context.Context) ([]directory.Fact, error) {
	err := s.client.Get(ctx, rest.Request{Path: []string{"owner"}}, func(*rest.Answer) error { return nil })
	return []directory.Fact{{Name: "token of", Value: "ann@example.com"}}, err
}

type testRow struct {
	ID                string `json:"id"`
	Disabled, Service bool
}

// rows reads one page of a list, 10 rows; the cursor is the page's number.
func rows[T any](ctx context.Context, s *testSource, cursor string, path []string, row func(testRow) T) (directory.Page[T], error) {
	var page directory.Page[T]
	at := 0
	if cursor != "" {
		var err error
		if at, err = strconv.Atoi(cursor); err != nil {
			return page, err
		}
	}
	var answer struct {
		Rows  []testRow `json:"rows"`
		Last  bool      `json:"last"`
		Total int       `json:"total"`
	}
	err := s.client.Get(ctx, rest.Request{Path: path, Query: url.Values{"page": {strconv.Itoa(at)}}}, func(a *rest.Answer) error { return a.JSON(&answer) })
	if err != nil {
		return page, err
	}
	for _, r := range answer.Rows {
		page.Rows = append(page.Rows, row(r))
	}
	if page.Total = answer.Total; !answer.Last {
		page.Next = strconv.Itoa(at + 1)
	}
	return page, nil
}

func (s *testSource) Users(ctx context.Context, cursor string) (directory.Page[directory.User], error) {
	return rows(ctx, s, cursor, []string{"users"}, func(r testRow) directory.User {
		if r.ID == "crash" {
			panic("a bug")
		}
		return directory.User{ID: r.ID, DisplayName: r.ID, Disabled: r.Disabled, Service: r.Service}
	})
}

func (s *testSource) Groups(ctx context.Context, cursor string) (directory.Page[directory.Group], error) {
	return rows(ctx, s, cursor, []string{"groups"}, func(r testRow) directory.Group {
		if r.ID == "hang" {
			<-ctx.Done()
		}
		return directory.Group{ID: r.ID, Name: r.ID}
	})
}

func (s *testSource) Group(_ context.Context, id string) (directory.Group, error) {
	return directory.Group{ID: id, Name: id}, nil
}

func (s *testSource) Members(ctx context.Context, groupID, cursor string) (directory.Page[directory.Member], error) {
	return rows(ctx, s, cursor, []string{"groups", groupID, "members"}, func(r testRow) directory.Member { return directory.Member{ID: r.ID} })
}

// vendor serves 25 users and 3 groups. Every fifth user is disabled and the
// first is a service. Group n has the first 10n users.
type vendor struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	// answer may answer a request itself; it reports whether it did.
	answer func(n int, w http.ResponseWriter, r *http.Request) bool
	// tenant opens every id.
	tenant string
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{}
	v.Server = httptest.NewServer(v)
	t.Cleanup(func() {
		v.CloseClientConnections()
		v.Close()
	})
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.paths = append(v.paths, r.URL.Path)
	n, answer := len(v.paths), v.answer
	v.mu.Unlock()
	if answer != nil && answer(n, w, r) {
		return
	}
	count := 0
	switch parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); {
	case parts[0] == "users":
		count = 25
	case len(parts) == 1:
		count = 3
	default:
		group, _ := strconv.Atoi(strings.TrimPrefix(parts[1], v.tenant))
		count = 10 * group
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	var out struct {
		Rows  []testRow `json:"rows"`
		Last  bool      `json:"last"`
		Total int       `json:"total"`
	}
	for i := page * 10; i < min(count, page*10+10); i++ {
		out.Rows = append(out.Rows, testRow{ID: v.tenant + strconv.Itoa(i), Disabled: i%5 == 4, Service: i == 0})
	}
	out.Last, out.Total = page*10+10 >= count, count
	_ = json.NewEncoder(w).Encode(out)
}

// answers sets a function that answers the requests for which it returns true.
func (v *vendor) answers(answer func(n int, w http.ResponseWriter, r *http.Request) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = answer
}

// at makes do answer the requests for a path.
func (v *vendor) at(path string, do func(w http.ResponseWriter, r *http.Request)) {
	v.answers(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		do(w, r)
		return true
	})
}

func (v *vendor) asked() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.paths...)
}

func fail(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// invocation is one start of the connector.
type invocation struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	tmp    string
	file   string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// invoke prepares a run in a directory of its own, against a vendor if there
// is one.
func invoke(t *testing.T, v *vendor, args ...string) *invocation {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i := &invocation{t: t, dir: t.TempDir(), tmp: t.TempDir()}
	i.file = filepath.Join(i.dir, "sync.c1z")
	i.cmd = exec.Command(self, args...)
	i.cmd.Dir = i.dir
	i.cmd.Env = []string{asConnector + "=1", "PATH=" + os.Getenv("PATH"), "BATON_TMPDIR=" + i.tmp, "TMPDIR=" + i.tmp, "BATON_FILE=" + i.file, "BATON_LOG_FORMAT=json"}
	if v != nil {
		i.cmd.Env = append(i.cmd.Env, "BATON_BASE_URL="+v.URL, "BATON_API_TOKEN=secret-token")
	}
	i.cmd.Stdout, i.cmd.Stderr = &i.stdout, &i.stderr
	return i
}

func (i *invocation) env(pairs ...string) *invocation {
	i.cmd.Env = append(i.cmd.Env, pairs...)
	return i
}

// again prepares another run with the same files.
func (i *invocation) again() *invocation {
	next := invoke(i.t, nil, i.cmd.Args[1:]...)
	next.dir, next.tmp, next.file = i.dir, i.tmp, i.file
	next.cmd.Dir, next.cmd.Env = i.cmd.Dir, append([]string(nil), i.cmd.Env...)
	return next
}

func (i *invocation) start() {
	i.t.Helper()
	i.cmd.WaitDelay = time.Minute
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = i.cmd.Process.Kill() })
}

// wait returns the exit code as a shell reports it.
func (i *invocation) wait() int {
	i.t.Helper()
	var exit *exec.ExitError
	if err := i.cmd.Wait(); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		i.t.Fatal(err)
	}
	if ws, ok := i.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return i.cmd.ProcessState.ExitCode()
}

// exits runs to the end and checks the exit code.
func (i *invocation) exits(want int) *invocation {
	i.t.Helper()
	i.start()
	if got := i.wait(); got != want {
		i.t.Fatalf("exit code %d, want %d\n%s%s", got, want, i.stdout.String(), i.stderr.String())
	}
	return i
}

// said returns the lines printed for the user, without the log.
func (i *invocation) said() string {
	var lines []string
	for _, line := range strings.Split(i.stderr.String(), "\n") {
		if line != "" && !strings.HasPrefix(line, "{") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// says checks that exactly one line was printed and holds the texts.
func (i *invocation) says(texts ...string) *invocation {
	i.t.Helper()
	said := i.said()
	if strings.Count(said, "\n") > 0 || !strings.HasPrefix(said, "baton-test: ") {
		i.t.Errorf("want one line that opens with the connector's name, got:\n%s", said)
	}
	for _, text := range texts {
		if strings.Count(said, text) != 1 {
			i.t.Errorf("the line holds %q %d times, want once:\n%s", text, strings.Count(said, text), said)
		}
	}
	if strings.Contains(i.stderr.String(), "secret-token") {
		i.t.Errorf("the secret shows:\n%s", i.stderr.String())
	}
	return i
}

// leaves checks that nothing is left of the run but the files named.
func (i *invocation) leaves(want ...string) {
	i.t.Helper()
	var got []string
	for _, dir := range []string{i.dir, i.tmp} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			i.t.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, e.Name())
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		i.t.Errorf("left %v, want %v", got, want)
	}
}

// summary is the result of a finished sync in JSON.
func (i *invocation) summary() summary {
	i.t.Helper()
	var said summary
	i.stdoutJSON(&said)
	return said
}

// failure is the result of a failed sync in JSON.
func (i *invocation) failure() jsonFailure {
	i.t.Helper()
	var said jsonFailure
	i.stdoutJSON(&said)
	return said
}

func (i *invocation) stdoutJSON(into any) {
	i.t.Helper()
	decoder := json.NewDecoder(&i.stdout)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil || decoder.More() {
		i.t.Fatalf("stdout is not one JSON object: %v", err)
	}
}

func (i *invocation) runs() []syncRun {
	i.t.Helper()
	runs, err := syncRuns(context.Background(), i.file, i.t.TempDir())
	if err != nil {
		i.t.Fatal(err)
	}
	return runs
}
