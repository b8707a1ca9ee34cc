package command

import (
	"context"
	"sync"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/types"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// serviceServer is a connector server that logs the counts of each finished sync.
// The SDK's daemon and AWS Lambda use it.
type serviceServer struct {
	types.ConnectorServer
	counter *connector.Counter
	stats   *rest.Stats

	mu sync.Mutex
	// Traffic that earlier syncs have reported.
	requests, retries int64
	waited            time.Duration
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
