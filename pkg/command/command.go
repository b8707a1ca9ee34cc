// Package command is the command line of a connector: the SDK's flags and modes,
// and a one-shot sync of its own. docs/operations.md states what it promises.
//
// Read command.go first, which wires everything, then oneshot.go: openTarget
// (file.go) checks --file, runSync (sync.go) runs the SDK's syncer in this
// process, verify (result.go) reads the new c1z and compares it with the old one,
// and publish replaces --file. daemon.go runs the SDK's daemon and Lambda handler,
// for which service.go serves the connector.
//
// The SDK's config.RunConnector builds the same command line, but returns neither
// the command nor its settings, which the one-shot sync, the help and the hints
// need. So this package calls DefineConfigurationV2, as RunConnector does.
package command

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

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

// defaultWorkers is the default number of the syncer's parallel calls: enough
// to hide a vendor's latency, too few to meet its rate limits.
const defaultWorkers = 4

// docsSite is where C1 publishes the pages that the schemas name.
const docsSite = "https://www.conductorone.com"

// Run is a connector's main function. It returns after a success. After a
// failure it prints one line and ends the process; the exit code is the error's
// gRPC code.
//
// newSource makes a source of type S from the configuration, without any input or
// output. Run uses the zero S to tell the connector's capabilities, and never reads
// from it.
func Run[T field.Configurable, S directory.Source](version string, info connector.Info, schema field.Configuration, newSource func(context.Context, T, rest.Options) (S, error)) {
	var zero S
	if schema.HelpUrl != "" {
		info.HelpURL = docsSite + schema.HelpUrl
	}
	p := &program[T]{version: version, info: info, schema: schema, newSource: func(ctx context.Context, cfg T, opts rest.Options) (directory.Source, error) {
		return newSource(ctx, cfg, opts)
	}}
	if err := p.run(context.Background(), zero); err != nil {
		f := failureOf(info.Name, err)
		p.report(f)
		os.Exit(f.code)
	}
}

// program is one run of a connector's command line.
type program[T field.Configurable] struct {
	version   string
	info      connector.Info
	schema    field.Configuration
	newSource func(ctx context.Context, cfg T, opts rest.Options) (directory.Source, error)

	v     *viper.Viper
	flags *flags
	// live shows progress on a terminal; nil without one.
	live *liveLine
}

func (p *program[T]) run(ctx context.Context, zero directory.Source) error {
	limitMemory()
	// Go's own log prints unexpected bytes from a server (net/http), which may
	// hold a secret, and the messages of the store (Pebble), which the failure
	// explains better.
	log.SetOutput(io.Discard)
	if err := checkConfigPath(os.Getenv(configPathEnv)); err != nil {
		return err
	}
	// The SDK's runner of daemons and Lambda functions calls this. It gets the
	// settings undecoded: the SDK's error of a value of the wrong type prints it.
	serve := func(ctx context.Context, v *viper.Viper, options cli.RunTimeOpts) (types.ConnectorServer, error) {
		cfg, err := p.serviceConfiguration(v)
		if err != nil {
			return nil, err
		}
		// A Lambda function is frozen between calls.
		c, err := p.connect(ctx, cfg, options, os.Getenv("AWS_LAMBDA_RUNTIME_API") == "")
		if err != nil {
			return nil, err
		}
		return newServiceServer(p.info.Name, c), nil
	}
	v, cmd, err := sdkconfig.DefineConfigurationV2(ctx, p.info.Name, serve, p.schema,
		connectorrunner.WithDefaultCapabilitiesConnectorBuilderV2(connector.New(p.info, zero, nil)),
		connectorrunner.WithWorkerCount(defaultWorkers))
	if err != nil {
		return err
	}
	cmd.Version = p.version
	p.v, p.flags = v, defineFlags(cmd, p.schema)
	// These run for a sync and for a daemon, but not for --help, capabilities,
	// config and the like. The settings are checked before cobra reports missing
	// flags: it would hide that the configuration file is at fault.
	around(&cmd.PreRunE, func(next func() error) error {
		if err := p.checkSettings(); err != nil {
			return err
		}
		return next()
	})
	around(&cmd.RunE, func(next func() error) error {
		if !p.isOneShot() {
			return p.service(ctx, next)
		}
		return p.oneShot(ctx)
	})
	check, err := cli.AddCommand(cmd, v, &p.schema, newCheckCommand(ctx, p))
	if err != nil {
		return err
	}
	p.describe(cmd, check)
	return cmd.Execute()
}

// serviceConfiguration decodes the connector's settings for the SDK's runner. On
// Lambda they are C1's JSON, in which a text must be a string.
func (p *program[T]) serviceConfiguration(v *viper.Viper) (T, error) {
	onLambda := os.Getenv("AWS_LAMBDA_RUNTIME_API") != ""
	for _, f := range p.schema.Fields {
		if _, ok := v.Get(f.FieldName).(string); onLambda && f.Variant == field.StringVariant && v.IsSet(f.FieldName) && !ok {
			var none T
			return none, fmt.Errorf("%s: %s must be a string", p.info.Name, setting(f.FieldName))
		}
	}
	return cli.MakeGenericConfiguration[T](v, field.WithAdditionalDecodeHooks(field.FileUploadDecodeHook(!onLambda)))
}

// around wraps a command's function in another. C is the SDK's command type.
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

// connected is a connector with its counters.
type connected struct {
	connector *connector.Connector
	source    directory.Source
	server    types.ConnectorServer
	counter   *connector.Counter
	stats     *rest.Stats
}

// connect makes the connector for a configuration. It does no input or output.
// prefetch allows requests whose answers may never be used.
func (p *program[T]) connect(ctx context.Context, cfg T, options cli.RunTimeOpts, prefetch bool) (*connected, error) {
	c := &connected{counter: &connector.Counter{}, stats: &rest.Stats{}}
	// Every connector has this setting; on Lambda it comes from C1.
	outage, err := setting(outageFlag).Minutes(cfg.GetInt(outageFlag))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.info.Name, err)
	}
	c.source, err = p.newSource(ctx, cfg, rest.Options{
		Name: p.info.Name, Version: p.version, Stats: c.stats,
		Outage:   outage,
		Prefetch: prefetch,
		Egress:   egress(options.EgressPolicy),
		// The credential may not cover resources that are not synced.
		UsersAlone: !syncsGroups(options.SyncResourceTypeIDs),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.info.Name, err)
	}
	c.connector = connector.New(p.info, c.source, c.counter)
	if p.isOneShot() && len(p.v.GetStringSlice("sync-resources")) > 0 {
		c.connector.ReadGroupByGroup()
	}
	c.server, err = connectorbuilder.NewConnector(ctx, c.connector, connectorbuilder.WithSessionStore(options.SessionStore))
	return c, err
}

func egress(policy *cli.EgressPolicy) *rest.Egress {
	if policy == nil {
		return nil
	}
	return &rest.Egress{AllowedHosts: policy.AllowedHosts, HTTPSOnly: policy.HTTPSOnly, Enforce: policy.Enforce}
}

// tempDirFlag is the SDK's flag for its temporary files. It takes precedence
// over BATON_TMPDIR.
const tempDirFlag = "c1z-temp-dir"

// tempBase is the directory in which the work directory is made.
func (p *program[T]) tempBase() string { return tempdir.Resolve(p.v.GetString(tempDirFlag)) }

// isOneShot reports whether this run syncs once into --file. With --client-id it
// is a daemon; checkSettings refuses the SDK's other actions.
func (p *program[T]) isOneShot() bool { return p.v.GetString("client-id") == "" }

// report prints a failure: with --output-format json as JSON on stdout, else as
// a line on stderr.
func (p *program[T]) report(f *failure) {
	p.live.stop()
	switch {
	case f.line == "":
	case p.wantsJSON():
		say(os.Stdout, func(w io.Writer) { _ = writeJSON(w, newJSONFailure(f)) })
	default:
		say(os.Stderr, func(w io.Writer) { _, _ = fmt.Fprintln(w, f.line) })
	}
}

// wantsJSON reports whether the result is printed as JSON.
func (p *program[T]) wantsJSON() bool { return p.v != nil && p.v.GetString(outputFlag) == "json" }

// warn shows a warning on a terminal; otherwise the warning is in the log.
func (p *program[T]) warn(text string) {
	if p.live != nil {
		p.live.print(p.info.Name + ": warning: " + text)
	}
}
