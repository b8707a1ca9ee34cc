package command

import (
	"fmt"
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"
)

// A row that is read twice, because rows have moved, is in the file once. The
// summary counts the file's rows.
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
	said := invoke(t, v).env("BATON_OUTPUT_FORMAT=json").exits(0).summary()
	if want := (counts{Users: 21, Enabled: 17, Disabled: 4, Service: 1, Groups: 3, Memberships: 22}); said.Counts != want {
		t.Errorf("the summary says %+v, want %+v", said.Counts, want)
	}
}

// A script that reads the failure goes by its name.
func TestAFailureInJSONNamesItsCode(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		exitConfig: "Unknown", int(codes.Aborted): "Aborted", int(codes.Unauthenticated): "Unauthenticated",
		exitStalled: "Stalled", 129: "Interrupted", 143: "Interrupted",
	} {
		if got := newJSONFailure(&failure{code: code, line: "a line"}).Error; got.Name != want || got.Code != code || got.Message != "a line" {
			t.Errorf("code %d: it says %+v, want the name %s", code, got, want)
		}
	}
}
