// Package command is the command line of a connector: the SDK's own, with a
// guard around what the SDK leaves to chance. See docs/operations.md for what
// it promises to whoever runs it.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/conductorone/baton-sdk/pkg/cli"
	sdkconfig "github.com/conductorone/baton-sdk/pkg/config"
	"github.com/conductorone/baton-sdk/pkg/connectorbuilder"
	"github.com/conductorone/baton-sdk/pkg/connectorrunner"
	"github.com/conductorone/baton-sdk/pkg/field"
	"github.com/conductorone/baton-sdk/pkg/tempdir"
	"github.com/conductorone/baton-sdk/pkg/types"
	"github.com/spf13/viper"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// defaultWorkers is how many calls the syncer makes at a time unless
// --workers says otherwise: enough to hide a vendor's latency, few enough not
// to trip its rate limits.
const defaultWorkers = 4

// NewSource makes a vendor's source from its configuration. It does no input
// or output: the SDK calls it in two processes.
type NewSource[T field.Configurable] func(ctx context.Context, cfg T, opts rest.Options) (directory.Source, error)

// Run is the whole of a connector's main function. It returns when the
// command has succeeded and ends the process when it has failed, with one
// line on stderr and the gRPC code of the error as its exit code. The zero
// source is of the type that newSource returns; it serves where nothing is
// configured, to tell the connector's capabilities, and is never read from.
func Run[T field.Configurable](version string, info connector.Info, schema field.Configuration, newSource NewSource[T], zero directory.Source) {
	err := run(version, info, schema, newSource, zero)
	if err == nil {
		return
	}
	var end *ending
	if !errors.As(err, &end) {
		end = endingOf(info.Name, err)
	}
	if end.Line != "" {
		fmt.Fprintln(os.Stderr, end.Line)
	}
	os.Exit(end.Code)
}

func run[T field.Configurable](version string, info connector.Info, schema field.Configuration, newSource NewSource[T], zero directory.Source) error {
	ctx := context.Background()
	if err := checkConfigPath(os.Getenv(configPathEnv)); err != nil {
		return err
	}
	newServer := func(ctx context.Context, cfg T, run cli.RunTimeOpts) (types.ConnectorServer, error) {
		stats := &rest.Stats{}
		source, err := newSource(ctx, cfg, rest.Options{
			Name: info.Name, Version: version, Stats: stats,
			// A Lambda function is frozen between calls.
			ReadAhead: os.Getenv("AWS_LAMBDA_RUNTIME_API") == "",
			Egress:    egress(run.EgressPolicy),
			// What is not synced may be out of the credential's reach.
			UsersAlone: len(run.SyncResourceTypeIDs) > 0 && !slices.Contains(run.SyncResourceTypeIDs, "group"),
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", info.Name, err)
		}
		tally := &connector.Tally{}
		server, err := connectorbuilder.NewConnector(ctx, connector.New(info, source, tally), connectorbuilder.WithSessionStore(run.SessionStore))
		if err != nil {
			return nil, err
		}
		return &observed{ConnectorServer: server, name: info.Name, tally: tally, stats: stats, dir: os.Getenv(workerEnv)}, nil
	}
	v, cmd, err := sdkconfig.DefineConfigurationV2(ctx, info.Name, newServer, schema,
		connectorrunner.WithDefaultCapabilitiesConnectorBuilderV2(connector.New(info, zero, nil)),
		connectorrunner.WithWorkerCount(defaultWorkers))
	if err != nil {
		return err
	}
	cmd.Version = version
	// Both run for the bare command only: for a sync or a daemon, and not for
	// --help, capabilities, config and the like. The first runs before cobra
	// complains about missing flags, which is all that one would see of a
	// faulty file.
	around(&cmd.PreRunE, func(next func() error) error {
		if err := v.BindPFlags(cmd.Flags()); err != nil {
			return err
		}
		known := func(key string) bool { return cmd.Flags().Lookup(key) != nil }
		if err := checkConfigFile(os.Getenv(configPathEnv), v.ConfigFileUsed(), known, fieldNames(schema)); err != nil {
			return err
		}
		if err := checkRequired(schema, v); err != nil {
			return err
		}
		return next()
	})
	around(&cmd.RunE, func(next func() error) error {
		p := &program{info: info, version: version, fields: fieldNames(schema), v: v, now: time.Now}
		return p.run(ctx, next)
	})
	return cmd.Execute()
}

// around puts a function around another. C is the SDK's command type.
func around[C any](run *func(C, []string) error, with func(next func() error) error) {
	inner := *run
	*run = func(c C, args []string) error {
		return with(func() error {
			if inner == nil {
				return nil
			}
			return inner(c, args)
		})
	}
}

func egress(policy *cli.EgressPolicy) *rest.Egress {
	if policy == nil {
		return nil
	}
	return &rest.Egress{AllowedHosts: policy.AllowedHosts, HTTPSOnly: policy.HTTPSOnly, Enforce: policy.Enforce}
}

// program is one run of the bare command.
type program struct {
	info    connector.Info
	version string
	// fields are the connector's own settings.
	fields []string
	v      *viper.Viper
	now    func() time.Time
}

// run runs the SDK's command: a one-shot sync under supervision, everything
// else as it is, with a private directory for its temporary files.
func (p *program) run(ctx context.Context, sdk func() error) error {
	oneShot := isOneShotSync(p.v)
	if dir := os.Getenv(workerEnv); dir != "" && oneShot {
		return p.work(dir, sdk)
	}
	scratch, err := newScratch(tempdir.Resolve(p.v.GetString(tempDirFlag)), p.info.Name)
	if err != nil {
		return err
	}
	if oneShot {
		defer scratch.remove()
		return p.supervise(ctx, scratch.path)
	}
	defer scratch.release()
	if err := p.useTempDir(scratch.path); err != nil {
		return err
	}
	return sdk()
}

// tempDirFlag is the SDK's flag for its temporary files. It comes before
// BATON_TMPDIR.
const tempDirFlag = "c1z-temp-dir"

func (p *program) useTempDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	p.v.Set(tempDirFlag, dir)
	return os.Setenv(tempdir.EnvVar, dir)
}

// isOneShotSync says whether the SDK will run one sync into --file, and not a
// daemon or one of its actions on a single object. The order and the way of
// asking are those of the SDK's cli.MakeMainCommand.
func isOneShotSync(v *viper.Viper) bool {
	for _, name := range []string{
		"client-id", "grant-entitlement", "revoke-grant", "create-account-profile", "create-account-login",
		"invoke-action", "delete-resource", "rotate-credentials",
	} {
		if v.GetString(name) != "" {
			return false
		}
	}
	for _, name := range []string{
		"event-feed", "list-action-schemas", "create-ticket", "bulk-create-ticket",
		"list-ticket-schemas", "get-ticket", "compact-syncs",
	} {
		if v.GetBool(name) {
			return false
		}
	}
	return true
}
