// Command variant is a connector as the benchmarks need it and nobody else:
// the same command line, SDK and mapping as the real one, but with rows from
// memory (floor), or with everything left out that makes the real one fast
// (naive), or with a profiler beside it (profiled). It is configured by the
// real connector's environment and its own: BENCH_VENDOR, BENCH_VARIANT and
// those below.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/conductorone/baton-sdk/pkg/field"

	"github.com/conductorone/baton-connectors/pkg/command"
	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru"
	guruconfig "github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack"
	rudderstackconfig "github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

func main() {
	switch vendor := os.Getenv("BENCH_VENDOR"); vendor {
	case "rudderstack":
		run("baton-rudderstack", rudderstackconfig.Config, rudderstack.New)
	case "guru":
		run("baton-guru", guruconfig.Config, guru.New)
	default:
		fmt.Fprintf(os.Stderr, "BENCH_VENDOR is %q, not rudderstack or guru\n", vendor)
		os.Exit(2)
	}
}

func run[T field.Configurable, S directory.Source](name string, schema field.Configuration, newSource func(context.Context, T, rest.Options) (S, error)) {
	info := connector.Info{Name: name, DisplayName: name, Description: "A variant for benchmarks."}
	switch variant := os.Getenv("BENCH_VARIANT"); variant {
	case "floor":
		command.Run("bench", info, schema, func(context.Context, T, rest.Options) (*floor, error) {
			return &floor{path: os.Getenv("BENCH_ROWS"), report: os.Getenv("BENCH_LOADED")}, nil
		})
	case "naive":
		command.Run("bench", info, schema, func(ctx context.Context, cfg T, opts rest.Options) (directory.Source, error) {
			opts.ReadAhead = false
			source, err := newSource(ctx, cfg, opts)
			if err != nil {
				return nil, err
			}
			return plain{source}, nil
		})
	case "profiled":
		command.Run("bench", info, schema, func(ctx context.Context, cfg T, opts rest.Options) (directory.Source, error) {
			source, err := newSource(ctx, cfg, opts)
			if err != nil {
				return nil, err
			}
			return profiled(source, os.Getenv("BENCH_PROFILES")), nil
		})
	default:
		fmt.Fprintf(os.Stderr, "BENCH_VARIANT is %q, not floor, naive or profiled\n", variant)
		os.Exit(2)
	}
}

// plain hides all that a source can do beyond the contract: it is asked group
// by group.
type plain struct{ directory.Source }
