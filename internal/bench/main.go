// Command bench measures the connectors: the real binaries, as they are
// released, against simulated vendors on loopback that answer after a set
// latency. In the same run it measures the floor (the SDK's own two processes
// over the same rows in memory) and the naive way (one call at a time, one call
// a group, nothing prefetched).
//
//	go run ./internal/bench                     all cases, results to bench.json
//	go run ./internal/bench -quick              tiny sizes, to see that it works
//	go run ./internal/bench -cases small,large  some of them
//	go run ./internal/bench -report FILE        all tables of earlier results
//	go run ./internal/bench -summary FILE       the table of docs/performance.md
//	go run ./internal/bench -profile DIR        CPU and heap profiles of the connector
//
// A figure counts only if the file that the run has written holds exactly
// the vendor's users, groups and memberships; otherwise bench fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	if spec := os.Getenv(simulatorEnv); spec != "" {
		exit(simulate(spec, os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, os.Args[1:], os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	only := flags.String("cases", "", "cases to run, separated by commas (default: all of "+strings.Join(caseNames(allCases), ", ")+")")
	chosenVendors := flags.String("vendors", strings.Join(vendors, ","), "vendors to run, separated by commas")
	rounds := flags.Int("rounds", 3, "how often each is measured; the median counts")
	quick := flags.Bool("quick", false, "tiny sizes and one round, to see that the benchmark works")
	save := flags.String("o", "bench.json", "file that the results are written to")
	report := flags.String("report", "", "print all tables of earlier results and measure nothing")
	short := flags.String("summary", "", "print the table of docs/performance.md from earlier results and measure nothing")
	profiles := flags.String("profile", "", "write CPU and heap profiles of the connector into this directory and measure nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if earlier := *report + *short; earlier != "" {
		results, err := loadResults(earlier)
		if err != nil {
			return err
		}
		text := results.tables()
		if *short != "" {
			text = results.summary()
		}
		_, err = io.WriteString(out, text)
		return err
	}
	cases := allCases
	if *quick {
		cases, *rounds = quickCases, 1
	}
	cases, err := chosen(cases, *only, *chosenVendors)
	if err != nil {
		return err
	}
	if *rounds < 1 {
		return fmt.Errorf("-rounds is %d; at least one is needed", *rounds)
	}
	work, err := os.MkdirTemp("", "baton-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // what remains is in the temporary directory
	b := &bench{dir: work, out: out, rounds: *rounds, profiles: *profiles}
	if err := b.build(ctx, *quick); err != nil {
		return err
	}
	results := &Results{Machine: thisMachine(ctx), Rounds: *rounds, Binaries: b.sizes(ctx)}
	for _, c := range cases {
		for _, vendor := range c.Vendors {
			measured, err := b.measure(ctx, c, vendor)
			if err != nil {
				return fmt.Errorf("case %s, %s: %w", c.Name, vendor, err)
			}
			results.Cases = append(results.Cases, measured...)
			if *profiles == "" {
				if err := results.save(*save); err != nil {
					return err
				}
			}
		}
	}
	if *profiles != "" {
		return nil
	}
	_, err = io.WriteString(out, "\n"+results.tables())
	return err
}

// chosen picks cases and vendors by name.
func chosen(cases []Case, only, vendors string) ([]Case, error) {
	var picked []Case
	names := caseNames(cases)
	if only != "" {
		names = strings.Split(only, ",")
	}
	for _, name := range names {
		at := slices.IndexFunc(cases, func(c Case) bool { return c.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no case %q; there are %s", name, strings.Join(caseNames(cases), ", "))
		}
		c := cases[at]
		c.Vendors = nil
		for vendor := range strings.SplitSeq(vendors, ",") {
			if !slices.Contains(cases[at].Vendors, vendor) {
				return nil, fmt.Errorf("there is no vendor %q in the case %q", vendor, name)
			}
			c.Vendors = append(c.Vendors, vendor)
		}
		picked = append(picked, c)
	}
	return picked, nil
}
