// Package command is the command line of a connector: the SDK's own, with a
// guard around what the SDK leaves to chance.
package command

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/conductorone/baton-sdk/pkg/cli"
	sdkconfig "github.com/conductorone/baton-sdk/pkg/config"
	"github.com/conductorone/baton-sdk/pkg/connectorbuilder"
	"github.com/conductorone/baton-sdk/pkg/connectorrunner"
	"github.com/conductorone/baton-sdk/pkg/exit"
	"github.com/conductorone/baton-sdk/pkg/field"
	"github.com/conductorone/baton-sdk/pkg/types"
	"google.golang.org/grpc/status"

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
// command has succeeded and ends the process, with the gRPC code of the error
// as its exit code, when it has failed. The zero source is of the type that
// newSource returns; it serves where nothing is configured, to tell the
// connector's capabilities, and is never read from.
func Run[T field.Configurable](version string, info connector.Info, schema field.Configuration, newSource NewSource[T], zero directory.Source) {
	ctx := context.Background()
	newServer := func(ctx context.Context, cfg T, run cli.RunTimeOpts) (types.ConnectorServer, error) {
		source, err := newSource(ctx, cfg, rest.Options{Name: info.Name, Version: version, ReadAhead: true, Egress: egress(run.EgressPolicy)})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", info.Name, err)
		}
		return connectorbuilder.NewConnector(ctx, connector.New(info, source, nil), connectorbuilder.WithSessionStore(run.SessionStore))
	}
	_, cmd, err := sdkconfig.DefineConfigurationV2(ctx, info.Name, newServer, schema,
		connectorrunner.WithDefaultCapabilitiesConnectorBuilderV2(connector.New(info, zero, nil)),
		connectorrunner.WithWorkerCount(defaultWorkers))
	if err == nil {
		cmd.Version = version
		err = cmd.Execute()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, oneLine(info.Name, err))
		exit.Exit(err)
	}
}

func egress(policy *cli.EgressPolicy) *rest.Egress {
	if policy == nil {
		return nil
	}
	return &rest.Egress{AllowedHosts: policy.AllowedHosts, HTTPSOnly: policy.HTTPSOnly, Enforce: policy.Enforce}
}

// oneLine is the error as a person reads it: what the connector said, without
// the layers of transport that the SDK wraps around it.
func oneLine(name string, err error) string {
	text := status.Convert(err).Message()
	if at := strings.Index(text, name+": "); at >= 0 {
		text = text[at:]
	} else {
		text = name + ": " + text
	}
	return strings.Join(strings.Fields(text), " ")
}
