package rest

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// TestFailuresInARowWaitLonger checks the wait that the syncer is asked for
// after failures for which the vendor names no time. It grows with each failure
// and starts over after a success.
func TestFailuresInARowWaitLonger(t *testing.T) {
	t.Parallel()
	now := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	answer := 500
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) })
	c := client(t, base, func(_ *Vendor, o *Options) { o.Now = now.now })
	for range 2 {
		for i := range 40 {
			_, err := get(c, "Users")
			check(t, err, codes.Unavailable)
			if want := min(time.Duration(i+1)*time.Second, maxBackOff); waitTold(t, err).Sub(now.now()) != want {
				t.Errorf("after %d failures it is told to wait %s, not %s", i+1, waitTold(t, err).Sub(now.now()), want)
			}
			now.add(time.Second)
		}
		answer = 200
		if _, err := get(c, "Users"); err != nil {
			t.Error(err)
		}
		answer = 500
	}
}
