package command

import (
	"context"
	"math"
	"os"
	"sync"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/tempdir"
	"github.com/conductorone/baton-sdk/pkg/types"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"github.com/shirou/gopsutil/v4/disk"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// serviceServer is the connector server of the SDK's daemon and of AWS Lambda. It
// logs the counts of each finished sync, fails a daemon's sync before the disk is
// full, and does not pass every health probe to the vendor.
type serviceServer struct {
	types.ConnectorServer
	name    string
	counter *connector.Counter
	stats   *rest.Stats
	// free returns the bytes that are free for temporary files.
	free func(context.Context) (uint64, error)
	now  func() time.Time
	// daemon is set for the SDK's daemon, and not on AWS Lambda.
	daemon bool
	// dog counts the calls of a sync.
	dog watchdog
	// called runs at the first call.
	called func()

	// checking is held while the credential is checked.
	checking chan struct{}
	// good is the last good answer to Validate, goodAt its time.
	good   *v2.ConnectorServiceValidateResponse
	goodAt time.Time
	// reused is set if the last answer to Validate was an old one.
	reused bool

	mu sync.Mutex
	// These counts are already in the logs of earlier syncs.
	requests, retries int64
	waited            time.Duration
}

const (
	// goodAge is the time for which Validate repeats a good answer. Each probe
	// of --health-check calls Validate, which makes up to three requests.
	goodAge = 5 * time.Second
	// minServiceSpace is the number of free bytes that a sync's temporary files
	// need. Below it, the connector fails the sync, and C1 shows why. The store
	// takes space in steps of 70 MB, and two of them must fit between two
	// calls.
	minServiceSpace = 160 << 20
)

func newServiceServer(name string, c *connected) *serviceServer {
	s := &serviceServer{
		ConnectorServer: c.server, name: name, counter: c.counter, stats: c.stats,
		now: time.Now, called: func() {}, checking: make(chan struct{}, 1),
		free: func(context.Context) (uint64, error) { return math.MaxUint64, nil },
	}
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" { // it has no store
		dir := tempdir.Resolve("")
		s.daemon = true
		s.free = func(ctx context.Context) (uint64, error) { return freeSpace(ctx, dir) }
		s.dog.client.Store(c)
		s.called = sync.OnceFunc(func() { go markActivity(dir, &s.dog) })
	}
	return s
}

// GetMetadata is the first call to a daemon's connector.
func (s *serviceServer) GetMetadata(ctx context.Context, request *v2.ConnectorServiceGetMetadataRequest) (*v2.ConnectorServiceGetMetadataResponse, error) {
	s.called()
	return s.ConnectorServer.GetMetadata(ctx, request)
}

// Validate checks the credential, or repeats the last good answer.
func (s *serviceServer) Validate(ctx context.Context, request *v2.ConnectorServiceValidateRequest) (*v2.ConnectorServiceValidateResponse, error) {
	select {
	case s.checking <- struct{}{}:
		defer func() { <-s.checking }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if s.good != nil && s.now().Sub(s.goodAt) < goodAge {
		s.reused = true
		return s.good, nil
	}
	return s.validate(ctx, request)
}

func (s *serviceServer) validate(ctx context.Context, request *v2.ConnectorServiceValidateRequest) (*v2.ConnectorServiceValidateResponse, error) {
	response, err := s.ConnectorServer.Validate(ctx, request)
	s.good, s.goodAt, s.reused = response, s.now(), false
	if err != nil {
		s.good = nil
	}
	return response, err
}

// ListResourceTypes is the first call of a sync after Validate. If Validate repeated
// an old answer, it checks the credential now: the check also drops prefetched
// answers that are older than the sync.
func (s *serviceServer) ListResourceTypes(ctx context.Context, request *v2.ResourceTypesServiceListResourceTypesRequest) (*v2.ResourceTypesServiceListResourceTypesResponse, error) {
	s.dog.step()
	select {
	case s.checking <- struct{}{}:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	var err error
	if s.reused {
		_, err = s.validate(ctx, &v2.ConnectorServiceValidateRequest{})
	}
	<-s.checking
	if err != nil {
		return nil, err
	}
	return s.ConnectorServer.ListResourceTypes(ctx, request)
}

// ListResources fails if there is no space for the answer.
func (s *serviceServer) ListResources(ctx context.Context, request *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error) {
	if err := s.checkSpace(ctx); err != nil {
		return nil, err
	}
	return s.ConnectorServer.ListResources(ctx, request)
}

// ListEntitlements counts as progress.
func (s *serviceServer) ListEntitlements(ctx context.Context, request *v2.EntitlementsServiceListEntitlementsRequest) (*v2.EntitlementsServiceListEntitlementsResponse, error) {
	s.dog.step()
	return s.ConnectorServer.ListEntitlements(ctx, request)
}

// ListGrants fails if there is no space for the answer.
func (s *serviceServer) ListGrants(ctx context.Context, request *v2.GrantsServiceListGrantsRequest) (*v2.GrantsServiceListGrantsResponse, error) {
	if err := s.checkSpace(ctx); err != nil {
		return nil, err
	}
	return s.ConnectorServer.ListGrants(ctx, request)
}

// freeSpace returns the free bytes of a directory's file system.
func freeSpace(ctx context.Context, dir string) (uint64, error) {
	usage, err := disk.UsageWithContext(ctx, dir)
	if err != nil {
		return 0, err
	}
	return usage.Free, nil
}

func (s *serviceServer) checkSpace(ctx context.Context) error {
	s.dog.step()
	if free, err := s.free(ctx); err == nil && free < minServiceSpace {
		return status.Errorf(codes.ResourceExhausted, "%s: %s: only %d MB are free, and a sync needs at least %d MB; free some space, or point BATON_TMPDIR to another file system",
			s.name, errNoSpace, free>>20, minServiceSpace>>20)
	}
	return nil
}

// ListEvents answers a daemon that there are no events: the connectors have no
// feeds. After an error, the SDK (v0.26.0) leaves C1's task without an answer.
func (s *serviceServer) ListEvents(ctx context.Context, request *v2.ListEventsRequest) (*v2.ListEventsResponse, error) {
	if s.daemon {
		return &v2.ListEventsResponse{}, nil
	}
	return s.ConnectorServer.ListEvents(ctx, request)
}

// ListTicketSchemas answers a daemon that there are none: the connectors have no
// tickets. The SDK then fails C1's task; after an error it leaves the task without
// an answer.
func (s *serviceServer) ListTicketSchemas(ctx context.Context, request *v2.TicketsServiceListTicketSchemasRequest) (*v2.TicketsServiceListTicketSchemasResponse, error) {
	if s.daemon {
		return &v2.TicketsServiceListTicketSchemasResponse{}, nil
	}
	return s.ConnectorServer.ListTicketSchemas(ctx, request)
}

// Cleanup logs the counts of a sync. The syncer calls it after a finished sync,
// and only then.
func (s *serviceServer) Cleanup(ctx context.Context, request *v2.ConnectorServiceCleanupRequest) (*v2.ConnectorServiceCleanupResponse, error) {
	response, err := s.ConnectorServer.Cleanup(ctx, request)
	counts := s.counter.Take(request.GetActiveSyncId())
	s.mu.Lock()
	defer s.mu.Unlock()
	// Syncs that overlap share their traffic.
	requests, retries, waited := s.stats.Requests(), s.stats.Retries(), s.stats.Waited()
	ctxzap.Extract(ctx).Info("sync finished",
		zap.String("sync_id", request.GetActiveSyncId()),
		zap.Int("users", counts.Users), zap.Int("enabled", counts.Users-counts.Disabled),
		zap.Int("disabled", counts.Disabled), zap.Int("service", counts.Service),
		zap.Int("groups", counts.Groups), zap.Int("memberships", counts.Memberships),
		zap.Int64("requests", requests-s.requests), zap.Int64("retries", retries-s.retries),
		zap.Duration("waited", waited-s.waited))
	s.requests, s.retries, s.waited = requests, retries, waited
	return response, err
}

// Close closes the SDK's server. The SDK closes a server that it replaces.
func (s *serviceServer) Close(ctx context.Context) error {
	if closer, ok := s.ConnectorServer.(interface {
		Close(ctx context.Context) error
	}); ok {
		return closer.Close(ctx)
	}
	return nil
}
