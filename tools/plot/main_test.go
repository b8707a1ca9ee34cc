package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlots checks that the results become a chart small enough for a page, and
// that it omits what was not measured.
func TestPlots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from := filepath.Join(dir, "results.json")
	text := `{"cases":[
		{"case":"growth","vendor":"guru","users":1000,"runs":{"floor":[{"wall_s":0.2}],"connector":[{"wall_s":0.3},{"wall_s":0.5},{"wall_s":0.4}]}},
		{"case":"large","vendor":"guru","users":100000,"runs":{"floor":[{"wall_s":11}],"connector":[{"wall_s":12}]}}]}`
	if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(from, dir); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "time.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">Guru, no latency<", ">100,000<"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the plot does not say %q", want)
		}
	}
	if strings.Contains(string(svg), ">RudderStack, no latency<") {
		t.Error("the plot names what was not measured")
	}
	if len(svg) > 60_000 {
		t.Errorf("the plot has %d bytes", len(svg))
	}
}
