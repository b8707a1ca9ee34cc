package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/conductorone/baton-connectors/internal/bench/rows"
)

const module = "github.com/conductorone/baton-connectors/"

// bench is one run of this program.
type bench struct {
	dir      string
	out      io.Writer
	rounds   int
	profiles string
	files    int
}

// build builds the connectors and their variants with the flags of a release.
// With quick it uses the flags of tests, because those packages are already
// compiled.
func (b *bench) build(ctx context.Context, quick bool) error {
	env, flags := append(os.Environ(), "CGO_ENABLED=0"), []string{"-trimpath"}
	if quick {
		env, flags = os.Environ(), nil
	}
	packages := []string{"internal/bench/variant"}
	for _, vendor := range vendors {
		packages = append(packages, "cmd/baton-"+vendor)
	}
	for _, name := range packages {
		args := append([]string{"build", "-ldflags=-s -w", "-o", b.binary(filepath.Base(name))}, flags...)
		cmd := exec.CommandContext(ctx, "go", append(args, module+name)...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

func (b *bench) binary(name string) string { return filepath.Join(b.dir, name) }

// sizes measures the size and the start-up time of each binary.
func (b *bench) sizes(ctx context.Context) []Binary {
	var all []Binary
	for _, vendor := range vendors {
		name := "baton-" + vendor
		one := Binary{Name: name}
		if info, err := os.Stat(b.binary(name)); err == nil {
			one.MB = float64(info.Size()) / 1e6
		}
		one.Help = b.starts(ctx, name, "--help")
		one.Capabilities = b.starts(ctx, name, "capabilities")
		all = append(all, one)
	}
	return all
}

// starts returns the median time of five runs that only print, after one that
// does not count.
func (b *bench) starts(ctx context.Context, name, arg string) float64 {
	var times []float64
	for range 6 {
		cmd := exec.CommandContext(ctx, b.binary(name), arg)
		cmd.Dir, cmd.Env = b.dir, []string{"HOME=" + b.dir, "TMPDIR=" + b.dir}
		start := time.Now()
		if cmd.Run() != nil {
			return 0
		}
		times = append(times, time.Since(start).Seconds())
	}
	return median(times[1:])
}

// variants lists the variants to measure, in the order of the tables.
var variants = []string{"floor", "connector", "naive"}

// measure measures a case at one vendor.
func (b *bench) measure(ctx context.Context, c Case, name string) ([]Measured, error) {
	var all []Measured
	for _, size := range c.Sizes {
		one, err := b.measureSize(ctx, c, name, size)
		if err != nil {
			return nil, err
		}
		all = append(all, *one)
	}
	return all, nil
}

func (b *bench) measureSize(ctx context.Context, c Case, name string, size Size) (*Measured, error) {
	v, err := startVendor(ctx, simulatorSpec{Vendor: name, Size: size})
	if err != nil {
		return nil, err
	}
	defer v.stop()
	m := &Measured{
		Case: c.Name, What: c.What, Vendor: name, LatencyMS: float64(c.Latency) / 1e6,
		Users: v.Content.Users, Groups: v.Content.Groups, Memberships: v.Content.Grants,
		Fewest: fewest(name, size), Runs: map[string][]Run{},
	}
	// This also makes the simulated vendor render its answers, which it does
	// once.
	source, err := v.source(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := rows.Read(ctx, source)
	if err != nil {
		return nil, err
	}
	rowsFile, loaded := filepath.Join(b.dir, "rows"), filepath.Join(b.dir, "loaded")
	if err := all.Save(rowsFile); err != nil {
		return nil, err
	}
	all = nil
	env := append(slices.Clone(v.Env), "BENCH_VENDOR="+name, "BENCH_ROWS="+rowsFile, "BENCH_LOADED="+loaded, "BENCH_PROFILES="+b.profiles)
	commands := map[string]command{
		"floor":     {path: b.binary("variant"), env: append(slices.Clone(env), "BENCH_VARIANT=floor")},
		"connector": {path: b.binary("baton-" + name), env: v.Env},
		"naive":     {path: b.binary("variant"), env: append(slices.Clone(env), "BENCH_VARIANT=naive"), args: []string{"--workers", "1"}},
	}
	order, rounds := slices.Clone(variants), b.rounds
	if b.profiles != "" {
		commands["profiled"] = command{path: b.binary("variant"), env: append(slices.Clone(env), "BENCH_VARIANT=profiled")}
		order, rounds = []string{"profiled"}, 1
	}
	for range rounds {
		for _, variant := range order {
			if _, err := v.requests(c.Latency); err != nil {
				return nil, err
			}
			run, err := b.once(ctx, commands[variant], v.Content)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", variant, err)
			}
			if run.Requests, err = v.requests(c.Latency); err != nil {
				return nil, err
			}
			if variant == "floor" {
				if err := withoutLoading(&run, loaded); err != nil {
					return nil, err
				}
			}
			m.Runs[variant] = append(m.Runs[variant], run)
			_, _ = fmt.Fprintf(b.out, "%-14s %-11s %7d users %7d memberships  %-9s %7.2f s  %6d requests  %5.0f MB\n",
				c.Name, name, m.Users, m.Memberships, variant, run.Wall, run.Requests, run.PeakMB)
		}
		// The variant that runs second finds the machine as the first left it.
		order = append(order[1:], order[0])
	}
	return m, nil
}

// once runs a sync and checks its file.
func (b *bench) once(ctx context.Context, c command, want Content) (Run, error) {
	b.files++
	file := filepath.Join(b.dir, fmt.Sprintf("%d.c1z", b.files))
	defer os.Remove(file) //nolint:errcheck // within the benchmark's own directory
	run, err := c.sync(ctx, b.dir, file)
	if err != nil {
		return Run{}, err
	}
	got, err := readContent(ctx, file, b.dir)
	if err != nil {
		return Run{}, fmt.Errorf("read what the sync has written: %w", err)
	}
	if got != want {
		return Run{}, fmt.Errorf("the figures are void: the vendor has %+v and the file holds %+v", want, got)
	}
	return run, nil
}

// withoutLoading subtracts the time to load the rows into memory.
func withoutLoading(run *Run, report string) error {
	text, err := os.ReadFile(report)
	if err != nil {
		return err
	}
	var seconds float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	run.Wall -= seconds
	run.CPU = max(0, run.CPU-seconds)
	return os.Remove(report)
}

// fewest returns the fewest requests that a vendor's documented page sizes
// allow: two for the check of the credentials and one more at Guru, which names
// its caller; then every page once. Guru has two lists of groups.
func fewest(vendor string, s Size) int {
	pages := func(rows, page int) int { return max(1, (rows+page-1)/page) }
	if vendor == "guru" {
		return 3 + pages(s.Users, 50) + 2 + s.Groups*pages(s.Members, 100)
	}
	// Pages of 100 rows overlap by 5, and a list ends at a page with nothing new.
	walk := func(rows int) int { return pages(rows-5, 95) + 1 }
	return 2 + walk(s.Users) + 2*walk(s.Groups)
}
