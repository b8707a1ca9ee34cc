package e2e

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/connectorbuilder"
	"github.com/conductorone/baton-sdk/pkg/connectorclient"
	sdksync "github.com/conductorone/baton-sdk/pkg/sync"
	"github.com/conductorone/baton-sdk/pkg/types"
	"github.com/conductorone/baton-sdk/pkg/ugrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// syncOptions change how syncSource runs the SDK's syncer.
type syncOptions struct {
	// workers is how many calls run at a time; 0 for 4, as the binaries do.
	workers int
	// tolerant lets the sync finish, as in production, with grants whose
	// principal was not listed. Without it every dangling reference fails the
	// sync.
	tolerant bool
	// path is the c1z; empty for a new one.
	path string
	// more goes to the syncer as it is.
	more []sdksync.SyncOpt
}

// syncSource runs a whole sync of a source through the SDK's syncer, over a
// transport that validates requests and refuses answers above 4 MiB, as the
// one between the two processes of a real connector does. It returns the path
// of the c1z and how the sync ended.
func syncSource(ctx context.Context, t testing.TB, name string, source directory.Source, opts syncOptions) (string, error) {
	t.Helper()
	client := connectorClient(ctx, t, name, source)
	if opts.path == "" {
		opts.path = filepath.Join(t.TempDir(), "sync.c1z")
	}
	if opts.workers == 0 {
		opts.workers = 4
	}
	all := append([]sdksync.SyncOpt{
		sdksync.WithC1ZPath(opts.path), sdksync.WithTmpDir(t.TempDir()), sdksync.WithWorkerCount(opts.workers),
	}, opts.more...)
	if !opts.tolerant {
		all = append(all, sdksync.WithFailFastInvariants())
	}
	syncer, err := sdksync.NewSyncer(ctx, client, all...)
	if err != nil {
		t.Fatalf("make a syncer: %v", err)
	}
	err = syncer.Sync(ctx)
	return opts.path, errors.Join(err, syncer.Close(context.WithoutCancel(ctx)))
}

// connectorClient serves a source as a connector in this process.
func connectorClient(ctx context.Context, t testing.TB, name string, source directory.Source) types.ConnectorClient {
	t.Helper()
	server, err := connectorbuilder.NewConnector(ctx, connector.New(connector.Info{Name: name, DisplayName: name}, source, nil))
	if err != nil {
		t.Fatalf("make a connector: %v", err)
	}
	listener := bufconn.Listen(1 << 20)
	service := grpc.NewServer(grpc.ChainUnaryInterceptor(ugrpc.UnaryServerInterceptor(ctx)...))
	v2.RegisterConnectorServiceServer(service, server)
	v2.RegisterResourceTypesServiceServer(service, server)
	v2.RegisterResourcesServiceServer(service, server)
	v2.RegisterResourceGetterServiceServer(service, server)
	v2.RegisterEntitlementsServiceServer(service, server)
	v2.RegisterGrantsServiceServer(service, server)
	v2.RegisterAssetServiceServer(service, server)
	v2.RegisterEventServiceServer(service, server)
	go service.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(service.Stop)
	conn, err := grpc.NewClient("passthrough:///connector",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatalf("reach the connector: %v", err)
	}
	t.Cleanup(func() { conn.Close() }) //nolint:errcheck // nothing to report at the end of a test
	return connectorclient.NewConnectorClient(ctx, conn)
}
