package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru"
	guruconfig "github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack"
	rudderstackconfig "github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

// simulatorEnv makes this program a simulated vendor, in its own process so
// that its work adds to no other process's figures.
const simulatorEnv = "BENCH_SIMULATOR"

type simulatorSpec struct {
	Vendor string
	Size   Size
}

// ready is the message of a simulated vendor that serves.
type ready struct {
	// Env is the environment for its connector.
	Env     []string
	Content Content
}

// Content describes the rows of a directory: their counts, and a sum over them
// that does not depend on the order.
type Content struct {
	Users, Groups, Grants int
	Sum                   uint64
}

// add counts one user, group or grant.
func (c *Content) add(count *int, parts ...string) {
	*count++
	c.Sum += directory.Fingerprint(strings.Join(parts, "\x00"))
}

func (c *Content) user(id string)               { c.add(&c.Users, "user", id) }
func (c *Content) group(id string)              { c.add(&c.Groups, "group", id) }
func (c *Content) grant(group, kind, id string) { c.add(&c.Grants, "grant", group, kind, id) }

// simulate serves a vendor until its input ends. It writes ready. Each line
// that it reads is a new latency; for each it writes the number of requests
// since the line before.
func simulate(spec string, in io.Reader, out io.Writer) error {
	var s simulatorSpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return err
	}
	var server *simulator.Server
	var env func() []string
	switch s.Vendor {
	case "rudderstack":
		v := simulator.NewRudderStack(s.Size.simulated(), simulator.WithFast())
		server, env = v.Server, v.Env
	case "guru":
		v := simulator.NewGuru(s.Size.simulated())
		server, env = v.Server, v.Env
	default:
		return fmt.Errorf("no vendor %q", s.Vendor)
	}
	server.Start(nil)
	defer server.Close()
	delayed := &slow{Handler: server}
	listener := httptest.NewServer(delayed)
	defer listener.Close()
	settings := env()
	for i := range settings {
		settings[i] = strings.Replace(settings[i], origin(server.URL()), listener.URL, 1)
	}
	if err := json.NewEncoder(out).Encode(ready{Env: settings, Content: contentOf(server.Truth())}); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		latency, err := time.ParseDuration(lines.Text())
		if err != nil {
			return err
		}
		delayed.latency.Store(int64(latency))
		if violations := server.Violations(); len(violations) > 0 {
			return fmt.Errorf("the vendor was sent %s", violations[0])
		}
		if _, err := fmt.Fprintln(out, len(server.Requests())); err != nil {
			return err
		}
		server.ForgetRequests()
	}
	return nil
}

// slow answers after a latency that can change.
type slow struct {
	http.Handler
	latency atomic.Int64
}

func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if latency := time.Duration(s.latency.Load()); latency > 0 {
		time.Sleep(latency)
	}
	s.Handler.ServeHTTP(w, r)
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host
}

func contentOf(truth simulator.Truth) Content {
	var content Content
	for id := range truth.Users {
		content.user(id)
	}
	for id := range truth.Groups {
		content.group(id)
	}
	for g := range truth.Grants {
		kind := "user"
		if g.Nested {
			kind = "group"
		}
		content.grant(g.Group, kind, g.Principal)
	}
	return content
}

// vendor is a simulated vendor in another process.
type vendor struct {
	ready
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startVendor(ctx context.Context, spec simulatorSpec) (*vendor, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	v := &vendor{cmd: exec.CommandContext(ctx, self)}
	v.cmd.Env = append(os.Environ(), simulatorEnv+"="+string(text))
	v.cmd.Stderr = os.Stderr
	if v.in, err = v.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	v.out = bufio.NewReader(out)
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := v.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &v.ready)
	}
	if err != nil {
		v.stop()
		return nil, fmt.Errorf("the simulated vendor does not start: %w", err)
	}
	return v, nil
}

// requests returns the number of requests since the last call, and sets the
// latency of the next ones.
func (v *vendor) requests(latency time.Duration) (int, error) {
	if _, err := fmt.Fprintln(v.in, latency); err != nil {
		return 0, fmt.Errorf("ask the simulated vendor: %w", err)
	}
	line, err := v.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("ask the simulated vendor: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// setting returns a value from its connector's environment.
func (v *vendor) setting(name string) string {
	for _, entry := range v.Env {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// source opens the vendor's own source in this process.
func (v *vendor) source(ctx context.Context, name string) (directory.Source, error) {
	opts := rest.Options{Name: "bench", Version: "bench", Prefetch: true}
	if name == "guru" {
		return guru.New(ctx, &guruconfig.Guru{
			UserEmail: v.setting("BATON_USER_EMAIL"), ApiToken: v.setting("BATON_API_TOKEN"), BaseUrl: v.setting("BATON_BASE_URL"),
		}, opts)
	}
	return rudderstack.New(ctx, &rudderstackconfig.Rudderstack{
		RudderstackScimBaseUrl: v.setting("BATON_RUDDERSTACK_SCIM_BASE_URL"), RudderstackScimToken: v.setting("BATON_RUDDERSTACK_SCIM_TOKEN"),
	}, opts)
}

func (v *vendor) stop() {
	_ = v.in.Close() // the process ends with its input
	_ = v.cmd.Wait() // its exit status changes no figure
}
