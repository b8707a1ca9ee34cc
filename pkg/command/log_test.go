package command

import (
	"net/http"
	"strings"
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

// A thousand equal warnings of a vendor must appear once.
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

// net/http prints unexpected data from a server, up to 4 KiB of it, to Go's own
// log. A server may send the token back.
func TestWhatAServerSendsOutOfTurnIsNotPrinted(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.at("/check", func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = buffer.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}out of turn")
		_ = buffer.Flush()
		_ = conn // the client closes it
	})
	run := invoke(t, v).exits(0)
	if said := run.said(); strings.Contains(said, "out of turn") || strings.Contains(said, "Unsolicited") {
		t.Errorf("it printed what the server sent: %s", said)
	}
}
