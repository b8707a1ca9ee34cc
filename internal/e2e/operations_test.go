package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exitCodes are the meanings of the exit codes that a table of a page gives.
func exitCodes(t *testing.T, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, row := range table(t, string(text), "Exit code ") {
		for _, code := range strings.Split(row[0], ", ") {
			if out[code] != "" {
				t.Errorf("%s has the exit code %s twice", page, code)
			}
			out[code] = row[1]
		}
	}
	return out
}

// TestDocsAgreeOnExitCodes holds all pages to the table of docs/operations.md:
// the README's says the same of the codes that it has, and a code in the prose
// is one of the table.
func TestDocsAgreeOnExitCodes(t *testing.T) {
	t.Parallel()
	master, short := exitCodes(t, "docs/operations.md"), exitCodes(t, "README.md")
	if len(master) < 14 || len(short) < 5 {
		t.Errorf("found only %d and %d codes", len(master), len(short))
	}
	for code, meaning := range short {
		if master[code] != meaning {
			t.Errorf("the exit code %s means %q in the README and %q in docs/operations.md", code, meaning, master[code])
		}
	}
	named := regexp.MustCompile(`(?i)exit codes? (?:of |is )?([0-9]+)`)
	for _, d := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(d.text, -1) {
			if master[m[1]] == "" {
				t.Errorf("%s: %s is not in the table of docs/operations.md", d.path, m[0])
			}
		}
	}
}

// TestDocumentedExitCodes shows that whatever a vendor answers to the first
// request, the exit code is in the table, and which one it is for some.
func TestDocumentedExitCodes(t *testing.T) {
	t.Parallel()
	known := exitCodes(t, "docs/operations.md")
	const never = 0
	for status, want := range map[int]string{
		never: "4", http.StatusBadRequest: "3", http.StatusUnauthorized: "16", http.StatusForbidden: "7", http.StatusNotFound: "9",
		http.StatusRequestTimeout: "4", http.StatusConflict: "6", http.StatusGone: "9", http.StatusTeapot: "3", http.StatusTooManyRequests: "14",
		http.StatusInternalServerError: "14", http.StatusNotImplemented: "12", http.StatusServiceUnavailable: "14", http.StatusOK: "9",
	} {
		t.Run(strings.TrimSpace(strconv.Itoa(status)+" "+http.StatusText(status)), func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if status == never {
					<-over
					return
				}
				w.WriteHeader(status)
			}))
			t.Cleanup(func() { close(over); server.Close() })
			env := credentials(server.URL + "/scim/v2")
			if status == never {
				env = append(env, "BATON_HTTP_TIMEOUT_SECONDS=1")
			}
			p := start(t, binary(t, "baton-rudderstack"), env)
			if code := strconv.Itoa(p.wait()); code != want || known[code] == "" {
				t.Errorf("exit code %s, want %s; documented as %q", code, want, known[code])
			}
		})
	}
}

// TestDocsNameTheFieldsOfTheSummary holds the list of fields in
// docs/operations.md against the line that a run ends with.
func TestDocsNameTheFieldsOfTheSummary(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "with the fields ")
	list, _, ends := strings.Cut(after, ". ")
	if !found || !ends {
		t.Fatal("docs/operations.md does not list the fields of the summary")
	}
	told := spans(list)
	slices.Sort(told)
	s := startSite(t, "baton-guru", small)
	run := s.sync(t, nil)
	run.succeeds(t, s.truth())
	var line map[string]any
	if err := json.Unmarshal([]byte(run.lastLine()), &line); err != nil {
		t.Fatalf("the last line is not JSON: %s", run.lastLine())
	}
	for _, usual := range []string{"level", "ts", "caller", "msg"} {
		delete(line, usual)
	}
	if got := slices.Sorted(maps.Keys(line)); !slices.Equal(got, told) {
		t.Errorf("the summary has the fields %v, docs/operations.md lists %v", got, told)
	}
}
