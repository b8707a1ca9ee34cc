package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// summary is the result of a finished one-shot sync. Its JSON form is
// documented in docs/operations.md: fields are added, never changed.
type summary struct {
	Connector string    `json:"connector"`
	Version   string    `json:"version"`
	File      string    `json:"file"`
	SyncID    string    `json:"sync_id"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Counts    counts    `json:"counts"`
	// Changes is nil if the file held no finished sync before.
	Changes *changes `json:"changes"`
	// ChangesFile is the file of --changes, if one was requested.
	ChangesFile string   `json:"changes_file,omitempty"`
	Requests    int64    `json:"requests"`
	Retries     int64    `json:"retries"`
	Waited      float64  `json:"waited_seconds"`
	Warnings    []string `json:"warnings"`
}

type counts struct {
	Users       int `json:"users"`
	Enabled     int `json:"enabled"`
	Disabled    int `json:"disabled"`
	Service     int `json:"service"`
	Groups      int `json:"groups"`
	Memberships int `json:"memberships"`
}

func newCounts(c connector.Counts) counts {
	return counts{
		Users: c.Users, Enabled: c.Users - c.Disabled, Disabled: c.Disabled, Service: c.Service,
		Groups: c.Groups, Memberships: c.Memberships,
	}
}

// text returns the summary for a user to read.
func (s *summary) text() string {
	var b strings.Builder
	line := func(what string, n int, detail string) {
		fmt.Fprintf(&b, "%s\n", strings.TrimRight(fmt.Sprintf("  %-12s%9s   %s", what, connector.Thousands(n), detail), " "))
	}
	fmt.Fprintf(&b, "%s: synced to %s in %s\n", s.Connector, s.File, round(s.EndedAt.Sub(s.StartedAt)))
	service := ""
	if s.Counts.Service > 0 {
		service = fmt.Sprintf("; service accounts: %s", connector.Thousands(s.Counts.Service))
	}
	line("users", s.Counts.Users, fmt.Sprintf("%s enabled, %s disabled%s",
		connector.Thousands(s.Counts.Enabled), connector.Thousands(s.Counts.Disabled), service))
	line("groups", s.Counts.Groups, "")
	line("memberships", s.Counts.Memberships, "")
	waited := ""
	if s.Retries > 0 || s.Waited > 0 {
		waited = fmt.Sprintf("%s retries, waited %s for rate limits", connector.Thousands(int(s.Retries)), round(time.Duration(s.Waited*float64(time.Second))))
	}
	line("requests", int(s.Requests), waited)
	if c := s.Changes; c != nil {
		fmt.Fprintf(&b, "  Since the sync of %s:\n", c.Since.UTC().Format("2006-01-02 15:04 UTC"))
		fmt.Fprintf(&b, "    users        +%s  -%s  %s newly disabled\n", connector.Thousands(c.Users.Added), connector.Thousands(c.Users.Removed), connector.Thousands(c.Users.Disabled))
		fmt.Fprintf(&b, "    groups       +%s  -%s\n", connector.Thousands(c.Groups.Added), connector.Thousands(c.Groups.Removed))
		fmt.Fprintf(&b, "    memberships  +%s  -%s\n", connector.Thousands(c.Memberships.Added), connector.Thousands(c.Memberships.Removed))
	}
	if s.ChangesFile != "" {
		fmt.Fprintf(&b, "  Changes: %s\n", s.ChangesFile)
	}
	fmt.Fprintf(&b, "  Look at it: %s\n", look(s.File))
	return b.String()
}

// jsonFailure is a failed run with --output-format json.
type jsonFailure struct {
	Error struct {
		Code    int    `json:"code"`
		Name    string `json:"name"`
		Message string `json:"message"`
	} `json:"error"`
}

func newJSONFailure(f *failure) jsonFailure {
	var out jsonFailure
	out.Error.Code, out.Error.Message = f.code, f.line
	switch {
	case f.code > 128:
		out.Error.Name = "Interrupted"
	case f.code == exitStalled:
		out.Error.Name = "Stalled"
	default:
		out.Error.Name = codes.Code(f.code).String() //nolint:gosec // a gRPC code
	}
	return out
}

// writeJSON writes a value as indented JSON and a line break.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// sayWait bounds the time to write a message: the reader of a pipe may have
// stopped reading.
const sayWait = 2 * time.Second

// say writes a message to stdout or stderr. It gives up after sayWait. A message
// that cannot be written does not change how the run ends.
func say(to *os.File, write func(io.Writer)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		write(to)
	}()
	select {
	case <-done:
	case <-time.After(sayWait):
	}
}

// look returns the command that shows a c1z.
func look(file string) string { return "baton resources -f " + shellWord(file) }

// round rounds a duration to the precision that a user needs.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// shellWord quotes a path for a shell, if it needs quotes.
func shellWord(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:\\", r)
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
