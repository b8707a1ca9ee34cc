package command

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// A sync that hangs reports nothing, and the next one of a cron job waits for
// it or runs beside it.
func TestASyncWithoutProgressIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watchdog{limit: 15 * time.Minute, now: time.Now}
		stalled := w.watch(t.Context())
		closed := func() bool {
			synctest.Wait()
			select {
			case <-stalled:
				return true
			default:
				return false
			}
		}
		for range 4 { // each call restarts the time
			time.Sleep(14 * time.Minute)
			w.step()
			if closed() {
				t.Fatal("a sync that makes progress was ended")
			}
		}
		w.client.Store(&connected{stats: &rest.Stats{}, counter: &connector.Counter{}})
		time.Sleep(14 * time.Minute)
		if closed() {
			t.Fatal("a sync was ended before its time")
		}
		time.Sleep(2 * time.Minute)
		if !closed() {
			t.Fatal("a sync without progress goes on")
		}
	})
}

func TestASyncThatHangsExitsWithItsOwnCode(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.at("/groups", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"rows": [{"id": "hang"}], "last": true}`))
	})
	run := invoke(t, v).env(testStallLimit+"=100ms", "BATON_HTTP_TIMEOUT_SECONDS=1")
	run.exits(exitStalled).says("no progress for 1.1s", run.file+" is unchanged").leaves()
}
