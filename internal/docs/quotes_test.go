package docs

import (
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
)

// TestDocsQuoteRealErrors checks that the connector prints each error line on a
// page. It makes the vendor answer accordingly.
func TestDocsQuoteRealErrors(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^(baton-[a-z]+): .*GET (https://[^/ ]+)(/\S*)/[A-Za-z]+: ([0-9]{3}) `)
	found := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			m := line.FindStringSubmatch(b.text)
			if b.language != "text" || m == nil {
				continue
			}
			found++
			status, err := strconv.Atoi(m[4])
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			t.Cleanup(server.Close)
			code, _, said := run(t, fixture.Binary(t, m[1]), credentials(server.URL+m[3]))
			if code == 0 {
				t.Errorf("%s:%d: it does not fail", d.path, b.line)
			}
			lines := strings.Split(strings.TrimSpace(said), "\n")
			if got := strings.Replace(lines[len(lines)-1], server.URL, m[2], 1); got+"\n" != b.text {
				t.Errorf("%s:%d shows\n%sand %s prints\n%s", d.path, b.line, b.text, m[1], got)
			}
		}
	}
	if found == 0 {
		t.Error("no page quotes an error line")
	}
}

// credentials returns settings for either connector with a base URL.
func credentials(base string) []string {
	return []string{
		"BATON_RUDDERSTACK_SCIM_BASE_URL=" + base, "BATON_RUDDERSTACK_SCIM_TOKEN=token",
		"BATON_BASE_URL=" + base, "BATON_USER_EMAIL=admin@example.com", "BATON_API_TOKEN=token",
		"BATON_LOG_FORMAT=json",
	}
}

// TestDocsQuoteWhatTheConnectorsSay checks that each phrase in the
// troubleshooting tables is part of a message of that connector: a string in
// its source, or an HTTP status that its source explains.
func TestDocsQuoteWhatTheConnectorsSay(t *testing.T) {
	t.Parallel()
	shared := []string{"rest", "command", "connector"}
	type quoting struct {
		path, head string
		packages   []string
		least      int
	}
	pages := []quoting{{"docs/operations.md", "You see", slices.Concat(shared, fixture.Vendors), 7}}
	for _, vendor := range fixture.Vendors {
		pages = append(pages, quoting{"docs/" + vendor + ".mdx", "Message", slices.Concat(shared, []string{vendor}), 9})
	}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join("../..", page.path))
		if err != nil {
			t.Fatal(err)
		}
		source := literals(t, page.packages...)
		rows := table(t, string(text), page.head)
		if len(rows) < page.least {
			t.Errorf("%s: found only %d rows", page.path, len(rows))
		}
		for _, row := range rows {
			phrases := spans(row[0])
			if len(phrases) == 0 {
				t.Errorf("%s quotes nothing in %q", page.path, row[0])
			}
			for _, phrase := range phrases {
				number, words, _ := strings.Cut(phrase, " ")
				status, err := strconv.Atoi(number)
				if err == nil && (words == "" && http.StatusText(status) != "" || words == http.StatusText(status)) {
					continue
				}
				if !says(source, phrase) {
					t.Errorf("%s quotes %q, which no message holds", page.path, phrase)
				}
			}
		}
	}
}
