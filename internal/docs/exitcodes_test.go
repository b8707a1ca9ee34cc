package docs

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
)

// exitCodes returns the meanings of the exit codes in a page's table.
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

// TestDocsAgreeOnExitCodes compares all pages with the table in
// docs/operations.md: the README gives its codes the same meanings, and every
// code in the prose is in the table.
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

// TestDocumentedExitCodes checks that the table has every exit code that an
// answer to the first request can cause. For some answers it checks the exact
// code.
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
			exit, _, _ := run(t, fixture.Binary(t, "baton-rudderstack"), env)
			if code := strconv.Itoa(exit); code != want || known[code] == "" {
				t.Errorf("exit code %s, want %s; documented as %q", code, want, known[code])
			}
		})
	}
}

// TestDocsNameTheFieldsOfTheSummary compares the example of a JSON summary in
// docs/operations.md with the output of a run: the same fields in the same
// order.
func TestDocsNameTheFieldsOfTheSummary(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	s := fixture.Start(t, fixture.Guru, simulator.Size{Users: 12, Groups: 3, MembersPerGroup: 4})
	bin, dir := fixture.Binary(t, s.Connector), t.TempDir()
	succeeds := func(env []string, args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t, bin, slices.Concat(s.Env, []string{"BATON_FILE=" + filepath.Join(dir, "sync.c1z")}, env), args...)
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		return stdout
	}
	inJSON := "BATON_OUTPUT_FORMAT=json"
	succeeds(nil)
	summary := succeeds([]string{inJSON, "BATON_CHANGES=" + filepath.Join(dir, "changes.csv")})
	code, failure, _ := run(t, bin, append(slices.Clone(s.Env), inJSON, "BATON_API_TOKEN=wrong"))
	if code != 16 {
		t.Fatalf("exit code %d", code)
	}
	for marker, said := range map[string]string{"summary": summary, "failure": failure, "check": succeeds([]string{inJSON}, "check")} {
		shown := marked(t, string(text), marker)
		if got, want := jsonKeys(t, said), jsonKeys(t, shown); !slices.Equal(got, want) {
			t.Errorf("%s: a run prints %v, docs/operations.md shows %v", marker, got, want)
		}
	}
}

// jsonKeys returns the keys of a JSON text in order.
func jsonKeys(t *testing.T, text string) []string {
	t.Helper()
	if !json.Valid([]byte(text)) {
		t.Fatalf("not JSON:\n%s", text)
	}
	var keys []string
	for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(text, -1) {
		keys = append(keys, m[1])
	}
	return keys
}
