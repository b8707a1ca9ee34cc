package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/conductorone/baton-sdk/pkg/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// modulePath starts the name of every function of this module. It tells the
// connector's own log entries from the SDK's.
const modulePath = "github.com/conductorone/baton-connectors/"

// startLog sets up the log of a one-shot sync, in the context and for the whole
// process. Without a terminal, or with --log-level, it is the SDK's log. On a
// terminal nothing is logged, but --log-path may name a file for the log. In any
// case, warnings also receives the connector's own warnings.
func (p *program[T]) startLog(ctx context.Context, warnings *warnings) (context.Context, error) {
	level := p.v.GetString("log-level")
	paths := p.v.GetStringSlice("log-path")
	options := []logging.Option{logging.WithLogFormat(p.v.GetString("log-format")), logging.WithLogLevel(level)}
	switch {
	case len(paths) > 0:
		options = append(options, logging.WithOutputPaths(paths))
	case p.quiet():
		options = append(options, logging.WithOutputPaths(nil), logging.WithLogLevel("warn"))
	}
	ctx, err := logging.Init(ctx, options...)
	if err != nil {
		return ctx, fmt.Errorf("cannot start the log: %w", err)
	}
	logger := ctxzap.Extract(ctx).WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewTee(&filtered{core}, warnings)
	}))
	zap.ReplaceGlobals(logger)
	return ctxzap.ToContext(ctx, logger), nil
}

// filtered is the SDK's log with two omissions. Entries at level error and above
// only repeat the run's failure, which adds the cause and the next step. And the
// SDK's warning of members who are not in the list of users names up to 25 of
// them (ingest_invariants.go in baton-sdk v0.26.0), by e-mail address at Guru.
type filtered struct{ zapcore.Core }

// With implements zapcore.Core.
func (c *filtered) With(fields []zap.Field) zapcore.Core { return &filtered{c.Core.With(fields)} }

// Check implements zapcore.Core.
func (c *filtered) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if entry.Level >= zapcore.ErrorLevel || !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements zapcore.Core.
func (c *filtered) Write(entry zapcore.Entry, fields []zap.Field) error {
	return c.Core.Write(entry, slices.DeleteFunc(slices.Clone(fields), func(f zap.Field) bool { return f.Key == "principal_examples" }))
}

func ours(entry zapcore.Entry) bool { return strings.HasPrefix(entry.Caller.Function, modulePath) }

// maxWarnings bounds how many different warnings a run keeps.
const maxWarnings = 20

// warnings collects the connector's own warnings of a run, each once. It is
// safe for concurrent use.
type warnings struct {
	// show prints a new warning; nil for none.
	show func(text string)

	mu   sync.Mutex
	seen []string
}

// list returns the warnings in the order of their first appearance.
func (w *warnings) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// add stores a new warning and shows it.
func (w *warnings) add(text string) {
	w.mu.Lock()
	known := slices.Contains(w.seen, text) || len(w.seen) >= maxWarnings
	if !known {
		w.seen = append(w.seen, text)
	}
	w.mu.Unlock()
	if !known && w.show != nil {
		w.show(text)
	}
}

// Enabled implements zapcore.Core.
func (w *warnings) Enabled(level zapcore.Level) bool { return level == zapcore.WarnLevel }

// With implements zapcore.Core.
func (w *warnings) With([]zap.Field) zapcore.Core { return w }

// Check implements zapcore.Core.
func (w *warnings) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if w.Enabled(entry.Level) {
		return checked.AddCore(entry, w)
	}
	return checked
}

// Write implements zapcore.Core.
func (w *warnings) Write(entry zapcore.Entry, fields []zap.Field) error {
	// The caller is not known earlier. The live line shows requests that wait,
	// and the summary counts them.
	if !ours(entry) || slices.ContainsFunc(fields, func(f zap.Field) bool { return f.Key == "wait" }) {
		return nil
	}
	text := entry.Message
	for _, f := range fields {
		text += fmt.Sprintf(" (%s: %s)", f.Key, fieldText(f))
	}
	w.add(text)
	return nil
}

// Sync implements zapcore.Core.
func (w *warnings) Sync() error { return nil }

// fieldText is a field's value as text.
func fieldText(f zap.Field) string {
	encoder := zapcore.NewMapObjectEncoder()
	f.AddTo(encoder)
	return fmt.Sprint(encoder.Fields[f.Key])
}
