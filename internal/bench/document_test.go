package main

import (
	"os"
	"strings"
	"testing"
)

const (
	document = "../../docs/performance.md"
	figures  = "../../docs/performance/results.json"
)

// TestDocumentHoldsTheResults checks that the table in the document equals the
// measured results. To update the document, put the output of `go run
// ./internal/bench -summary docs/performance/results.json` between the two
// marks.
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
	if strings.TrimSpace(tables) != strings.TrimSpace(results.summary()) {
		t.Error("the table is not that of the results")
	}
}

// TestDocumentShowsItsChart checks that the chart exists and is small enough
// for a page.
func TestDocumentShowsItsChart(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "](performance/time.svg)") {
		t.Error("the document does not show performance/time.svg")
	}
	info, err := os.Stat("../../docs/performance/time.svg")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 60_000 {
		t.Errorf("the chart has %d bytes", info.Size())
	}
}
