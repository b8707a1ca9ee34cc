package command

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/conductorone/baton-sdk/pkg/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// summarise tells of a finished sync, in the form of the other lines on
// stderr: to a person where the log is for a person, and as one log line
// where it is JSON.
func (p *program) summarise(ctx context.Context, done summary, file string, took time.Duration) error {
	if p.v.GetString("log-format") == logging.LogFormatConsole {
		fmt.Fprint(os.Stderr, done.text(p.info.Name, file, took))
		return nil
	}
	options := []logging.Option{
		logging.WithLogFormat(p.v.GetString("log-format")), logging.WithLogLevel(p.v.GetString("log-level")),
	}
	if paths := p.v.GetStringSlice("log-path"); len(paths) > 0 {
		options = append(options, logging.WithOutputPaths(paths))
	}
	ctx, err := logging.Init(ctx, options...)
	if err != nil {
		return fmt.Errorf("the sync is finished, but its summary cannot be logged: %w", err)
	}
	fields := append(done.fields(), zap.Duration("took", took), zap.String("file", file), zap.String("look", look(file)))
	if !done.Resumed.IsZero() {
		fields = append(fields, zap.Time("resumed", done.Resumed))
	}
	ctxzap.Extract(ctx).Info("sync finished", fields...)
	return nil
}

func (s summary) text(name, file string, took time.Duration) string {
	var b strings.Builder
	line := func(what string, n int, detail string) {
		fmt.Fprintf(&b, "  %-12s%9s%s\n", what, connector.Thousands(n), detail)
	}
	fmt.Fprintf(&b, "%s: sync finished in %s: %s\n", name, round(took), file)
	line("users", s.Users, fmt.Sprintf("   %s enabled, %s disabled, %s service",
		connector.Thousands(s.Users-s.Disabled), connector.Thousands(s.Disabled), connector.Thousands(s.Service)))
	line("groups", s.Groups, "")
	line("memberships", s.Memberships, "")
	if !s.Resumed.IsZero() {
		fmt.Fprintf(&b, "  %-12s%9s   with the sync that an outage ended; it began at %s\n", "went on", "", s.Resumed.UTC().Format(time.RFC3339))
	}
	line("requests", int(s.Requests), fmt.Sprintf("   %s retries, %s waited for rate limits",
		connector.Thousands(int(s.Retries)), round(s.Waited)))
	fmt.Fprintf(&b, "  Look at it: %s\n", look(file))
	return b.String()
}

// look is the command that shows a c1z.
func look(file string) string { return "baton resources -f " + shellWord(file) }

// round keeps what a person reads of a duration.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// shellWord quotes a path for a shell where it must be.
func shellWord(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:\\", r)
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
