package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const (
	document = "../../docs/performance.md"
	figures  = "../../docs/performance/results.json"
)

// TestDocumentHoldsTheResults shows that the tables that people read are the
// ones that were measured. To bring new results into the document, put the
// output of `go run ./internal/bench -report docs/performance/results.json`
// between the two marks.
func TestDocumentHoldsTheResults(t *testing.T) {
	t.Parallel()
	results, err := loadResults(figures)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- results -->\n")
	tables, _, closed := strings.Cut(rest, "<!-- end of results -->")
	if !found || !closed {
		t.Fatal("the marks around the results are missing")
	}
	if strings.TrimSpace(tables) != strings.TrimSpace(results.tables()) {
		t.Error("the tables are not those of the results")
	}
}

// TestDocumentShowsItsPlots shows that every plot is there, is shown, and is
// small enough for a page.
func TestDocumentShowsItsPlots(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`\]\(performance/([a-z0-9-]+\.svg)\)`).FindAllStringSubmatch(string(text), -1)
	if len(shown) != 5 {
		t.Errorf("%d plots are shown, not 5", len(shown))
	}
	for _, plot := range shown {
		info, err := os.Stat("../../docs/performance/" + plot[1])
		if err != nil {
			t.Error(err)
		} else if info.Size() > 60_000 {
			t.Errorf("%s has %d bytes", plot[1], info.Size())
		}
	}
}
