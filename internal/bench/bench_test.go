package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(simulatorEnv); spec != "" {
		if err := simulate(spec, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestBenchmarkWorks runs the whole benchmark at a size that takes a moment, so
// that a broken benchmark shows early. It compares each run with the vendor's
// directory.
func TestBenchmarkWorks(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "results.json")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-quick", "-o", file}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	results, err := loadResults(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(results.Cases) != 2 {
		t.Fatalf("%d vendors were measured, not 2:\n%s", len(results.Cases), out.String())
	}
	for i := range results.Cases {
		c := &results.Cases[i]
		// The number of requests shows what makes the connectors fast, on any
		// machine.
		if got := c.Runs["connector"][0].Requests; got != c.Fewest {
			t.Errorf("%s: the connector sent %d requests; the vendor's pages need %d", c.Vendor, got, c.Fewest)
		}
		if got := c.Runs["floor"][0].Requests; got != 0 {
			t.Errorf("%s: the floor sent %d requests", c.Vendor, got)
		}
		if got := c.Runs["naive"][0].Requests; got <= c.Groups {
			t.Errorf("%s: the naive way sent %d requests, which is not one a group", c.Vendor, got)
		}
	}
	for _, text := range []string{"| rudderstack | 120 | 110 | 330 | **connector** |", "| guru | 120 | 110 | 330 | naive |"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("the tables have no row %q:\n%s", text, out.String())
		}
	}
}

// TestWrongFileIsVoid checks that the benchmark drops the figures of a sync
// that has lost or added something.
func TestWrongFileIsVoid(t *testing.T) {
	t.Parallel()
	var right Content
	right.user("a")
	right.group("g")
	right.grant("g", "user", "a")
	for harm, wrong := range map[string]func(c *Content){
		"user lost":      func(c *Content) { c.group("g"); c.grant("g", "user", "a") },
		"user exchanged": func(c *Content) { c.user("b"); c.group("g"); c.grant("g", "user", "a") },
		"grant to another": func(c *Content) {
			c.user("a")
			c.group("g")
			c.grant("g", "group", "a")
		},
	} {
		var c Content
		wrong(&c)
		if c == right {
			t.Errorf("%s: it looks right", harm)
		}
	}
}
