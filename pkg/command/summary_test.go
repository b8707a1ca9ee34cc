package command

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Whoever waits for a long sync sees that it goes on, on a terminal and where
// the log is read by a machine, and the SDK's own lines beside it.
func TestALongSyncSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ format, progress, sdk string }{
		{"json", `"msg":"sync progress: memberships `, `"msg":"Synced resources"`},
		{"console", "\tsync progress: memberships ", "\tSynced resources\t"},
	} {
		t.Run(row.format, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			var slow atomic.Bool
			v.answers(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/members") && slow.CompareAndSwap(false, true) {
					<-time.After(11 * time.Second) // longer than a sync keeps silent
				}
				return false
			})
			run := invoke(t, v).env("BATON_LOG_FORMAT="+row.format, "BATON_WORKERS=1").exits(0)
			for _, want := range []string{row.progress, row.sdk} {
				if strings.Count(run.stderr.String(), want) < 1 {
					t.Errorf("no %q in\n%s", want, run.stderr.String())
				}
			}
		})
	}
}

// A row that is read twice, because rows have moved, is in the file once, and
// the summary tells of the file.
func TestTheSummaryCountsWhatIsInTheFile(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.answers(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path + "?" + r.URL.RawQuery {
		case "/users?page=2":
			fmt.Fprint(w, `{"rows":[{"id":"4","Disabled":true},{"id":"20"},{"id":"20"}],"last":true}`)
		case "/groups/1/members?page=0":
			fmt.Fprint(w, `{"rows":[{"id":"3"},{"id":"4"},{"id":"3"},{"id":"4"}],"last":true}`)
		default:
			return false
		}
		return true
	})
	run := invoke(t, v).exits(0)
	said := run.summary()
	for name, n := range map[string]int{"users": 21, "disabled": 4, "enabled": 17, "service": 1, "groups": 3, "memberships": 22} {
		if said[name] != float64(n) {
			t.Errorf("the summary tells of %v %s, want %d", said[name], name, n)
		}
	}
	if want := "baton resources -f " + run.file; said["look"] != want {
		t.Errorf("it says %v, want %s", said["look"], want)
	}
}
