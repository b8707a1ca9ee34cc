// Command variant is a connector only for the benchmarks. It has the real
// connector's SDK and mapping, but reads rows from memory in the SDK's own
// one-shot of two processes (floor), lacks everything that makes the real one
// fast (naive), or has a profiler (profiled). It reads the real connector's
// environment and its own variables: BENCH_VENDOR, BENCH_VARIANT and those
// below.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/conductorone/baton-sdk/pkg/cli"
	sdkconfig "github.com/conductorone/baton-sdk/pkg/config"
	"github.com/conductorone/baton-sdk/pkg/connectorbuilder"
	"github.com/conductorone/baton-sdk/pkg/connectorrunner"
	"github.com/conductorone/baton-sdk/pkg/field"
	"github.com/conductorone/baton-sdk/pkg/types"

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
		if err := runFloor[T](info, schema); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "naive":
		command.Run("bench", info, schema, func(ctx context.Context, cfg T, opts rest.Options) (directory.Source, error) {
			opts.Prefetch = false
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

// floorWorkers is the real connectors' default of --workers.
const floorWorkers = 4

// runFloor runs the SDK's own command line: one process syncs and stores, and
// a second one serves the rows.
func runFloor[T field.Configurable](info connector.Info, schema field.Configuration) error {
	ctx := context.Background()
	source := &floor{path: os.Getenv("BENCH_ROWS"), report: os.Getenv("BENCH_LOADED")}
	rows := connector.New(info, source, nil)
	serve := func(ctx context.Context, _ T, _ cli.RunTimeOpts) (types.ConnectorServer, error) {
		return connectorbuilder.NewConnector(ctx, rows)
	}
	_, cmd, err := sdkconfig.DefineConfigurationV2(ctx, info.Name, serve, schema,
		connectorrunner.WithDefaultCapabilitiesConnectorBuilderV2(rows), connectorrunner.WithWorkerCount(floorWorkers))
	if err != nil {
		return err
	}
	return cmd.Execute()
}

// plain hides everything that a source can do beyond the contract, so it is
// read group by group.
type plain struct{ directory.Source }
