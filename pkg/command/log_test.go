package command

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// At Guru the ids of members are e-mail addresses, and a log is not the place
// for them.
func TestTheLogNamesNobody(t *testing.T) {
	t.Parallel()
	core, seen := observer.New(zapcore.InfoLevel)
	log := zap.New(&filtered{core}).With(zap.Int("workers", 4))
	log.Warn("grants of unlisted principals", zap.Int("count", 1), zap.Strings("principal_examples", []string{"ann@example.com"}))
	log.Error("error running connector")
	log.Debug("details")
	entries := seen.All()
	if len(entries) != 1 || len(entries[0].Context) != 2 || entries[0].ContextMap()["principal_examples"] != nil {
		t.Errorf("the log holds %+v", entries)
	}
}

// A vendor that warns a thousand times has said one thing.
func TestAWarningIsKeptOnce(t *testing.T) {
	t.Parallel()
	var shown []string
	kept := &warnings{show: func(text string) { shown = append(shown, text) }}
	log := zap.New(kept, zap.AddCaller())
	for range 3 {
		log.Warn("a group was deleted", zap.String("group", "7"))
		log.Info("nothing of note")
	}
	log.Warn("the vendor limits requests: waiting", zap.String("wait", "3s"))
	if got := kept.list(); len(got) != 1 || got[0] != "a group was deleted (group: 7)" || len(shown) != 1 {
		t.Errorf("kept %q, shown %q", got, shown)
	}
}
