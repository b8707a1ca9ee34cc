package e2e

import (
	"io"
	"net/http"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator/controlplane"
)

// TestDaemonOutlivesAnOutageOfTheTokenEndpoint checks that a gateway's error at
// C1's token endpoint only delays a daemon's start. The daemon must not report
// a refused credential.
func TestDaemonOutlivesAnOutageOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(t *testing.T, open newSetup) {
		s, plane := open(t, small), controlplane.Start(t)
		page := func(status int) func(http.ResponseWriter) {
			return func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, "<html><title>Sorry</title></html>")
			}
		}
		plane.AnswerTokens(page(http.StatusServiceUnavailable), page(http.StatusTooManyRequests), page(http.StatusOK))
		d := startDaemon(t, s, plane, nil)
		d.hello()
		fixture.CompareTruth(t, d.synced(plane.Enqueue(controlplane.FullSync())[0]), s.Now())
	})
}
