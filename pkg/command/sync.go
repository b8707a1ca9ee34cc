package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/bid"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
	"github.com/conductorone/baton-sdk/pkg/sdk"
	sdksync "github.com/conductorone/baton-sdk/pkg/sync"
	"github.com/conductorone/baton-sdk/pkg/types"
	grpc_validator "github.com/grpc-ecosystem/go-grpc-middleware/validator"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// runSync runs one sync into the new file path, with the SDK's syncer in this
// process, and closes the file. As in the SDK, requests are validated, and an answer
// above 4 MiB fails. It runs called at each call of the syncer.
func runSync(ctx context.Context, name string, server types.ConnectorServer, path string, called func(), options []sdksync.SyncOpt) error {
	prefetch := newPagePrefetch(ctx)
	defer prefetch.close()
	// The SDK's own interceptors would add five fields to each log entry.
	client := inProcessClient(ctx, server, counted(called), prefetch.intercept, grpc_validator.UnaryServerInterceptor(), recovered(name))
	syncer, err := sdksync.NewSyncer(ctx, client, append(options, sdksync.WithC1ZPath(path))...)
	if err != nil {
		return err
	}
	return errors.Join(syncer.Sync(ctx), syncer.Close(context.WithoutCancel(ctx)))
}

// counted runs called at each call.
func counted(called func()) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		called()
		return handler(ctx, request)
	}
}

// recovered turns a panic in the connector into an Internal error that names the
// line of code.
func recovered(name string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
		defer func() {
			if crash := recover(); crash != nil {
				err = status.Errorf(codes.Internal, "%s: the connector crashed at %s (%v); this is a fault in the connector, please report it",
					name, panicLine(), crash)
			}
		}()
		return handler(ctx, request)
	}
}

// panicLine returns the function and line of this module that panicked. The
// function that recovers calls it.
func panicLine() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		if function, ok := strings.CutPrefix(frame.Function, modulePath); ok {
			return fmt.Sprintf("%s:%d", function, frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

// oneShotServer is a connector server for one sync in this process.
type oneShotServer struct {
	types.ConnectorServer
	connector *connector.Connector
}

// Validate checks the credential. The SDK's server would try five times in 15
// seconds. A refused connection fails at once: nothing listens at the address,
// so it is wrong or the network is not set up.
func (s *oneShotServer) Validate(ctx context.Context, request *v2.ConnectorServiceValidateRequest) (*v2.ConnectorServiceValidateResponse, error) {
	var fault *rest.Error
	switch _, err := s.connector.Validate(ctx); {
	case err == nil:
		// The version tells the syncer to name the sync in its calls.
		return v2.ConnectorServiceValidateResponse_builder{SdkVersion: sdk.Version}.Build(), nil
	case errors.As(err, &fault) && fault.Refused:
		return nil, err
	default:
		return s.ConnectorServer.Validate(ctx, request)
	}
}

// syncOptions returns the syncer's options for the settings of this run, as the
// SDK derives them (pkg/cli/commands.go and pkg/tasks/local/syncer.go in baton-sdk
// v0.26.0).
func (p *program[T]) syncOptions(dir string) ([]sdksync.SyncOpt, error) {
	workers := defaultWorkers
	if p.v.GetBool("parallel-sync") {
		workers = -1
	}
	if n := p.v.GetInt("workers"); n != 0 {
		workers = n
	}
	resources := make([]*v2.Resource, 0, len(p.v.GetStringSlice("sync-resources")))
	for _, id := range p.v.GetStringSlice("sync-resources") {
		resource, err := bid.ParseResourceBid(id)
		if err != nil {
			return nil, fmt.Errorf("%s: %q does not name a resource; write bid:r:group/ID, with the group's ID", setting("sync-resources"), id)
		}
		if kind := resource.GetId().GetResourceType(); kind != "group" {
			return nil, fmt.Errorf("%s: %q names a %s, but only groups can be synced alone; write bid:r:group/ID, with the group's ID", setting("sync-resources"), id, kind)
		}
		resources = append(resources, resource)
	}
	if p.v.GetBool("skip-grants") && len(resources) == 0 {
		return nil, fmt.Errorf("%s works only with %s", setting("skip-grants"), setting("sync-resources"))
	}
	external := p.v.GetString("external-resource-c1z")
	if external != "" {
		if _, err := os.Stat(external); err != nil {
			return nil, fmt.Errorf("%s: %w", setting("external-resource-c1z"), err)
		}
	}
	traits, err := externalTraits(p.v.GetStringSlice("external-resource-traits"))
	if err != nil {
		return nil, err
	}
	options := []sdksync.SyncOpt{
		sdksync.WithTmpDir(dir),
		sdksync.WithWorkerCount(workers),
		sdksync.WithTargetedSyncResources(resources),
		sdksync.WithSyncResourceTypes(p.v.GetStringSlice("sync-resource-types")),
		sdksync.WithSkipEntitlementsAndGrants(p.v.GetBool("skip-entitlements-and-grants")),
		sdksync.WithSkipGrants(p.v.GetBool("skip-grants")),
		sdksync.WithExternalResourceC1ZPath(external),
		sdksync.WithExternalResourceEntitlementIdFilter(p.v.GetString("external-resource-entitlement-id-filter")),
		sdksync.WithExternalResourceTraits(traits...),
	}
	switch engine := p.v.GetString("storage-engine"); engine {
	case "":
	case "pebble", "sqlite":
		options = append(options, sdksync.WithStorageEngine(c1zstore.Engine(engine)))
	default:
		return nil, fmt.Errorf("%s: %q is not a storage engine; use pebble or sqlite", setting("storage-engine"), engine)
	}
	return options, nil
}

// externalTraits parses trait names such as user, App or TRAIT_GROUP.
func externalTraits(names []string) ([]v2.ResourceType_Trait, error) {
	var traits []v2.ResourceType_Trait
	for _, name := range names {
		key := "TRAIT_" + strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(name)), "TRAIT_")
		trait, ok := v2.ResourceType_Trait_value[key]
		if !ok {
			return nil, fmt.Errorf("%s: %q is not a trait; use names such as user, group, app", setting("external-resource-traits"), name)
		}
		traits = append(traits, v2.ResourceType_Trait(trait))
	}
	return traits, nil
}

// httpTimeout is the limit of one request (--http-timeout-seconds).
func (p *program[T]) httpTimeout() (time.Duration, error) {
	seconds := p.v.GetInt("http-timeout-seconds")
	if seconds < 1 || seconds > 1800 {
		return 0, fmt.Errorf("%s must be between 1 and 1800", setting("http-timeout-seconds"))
	}
	return time.Duration(seconds) * time.Second, nil
}
