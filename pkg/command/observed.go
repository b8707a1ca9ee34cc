package command

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/types"
	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// What the processes of a one-shot sync tell their supervisor, each in a file
// of the scratch directory.
const (
	// summaryFile is written when a sync was sealed: a summary.
	summaryFile = "summary.json"
	// faultFile is written when the connector fails: an ending.
	faultFile = "fault.json"
	// endingFile is written when the SDK's command has failed: an ending.
	endingFile = "ending.json"
)

// summary is what a sealed sync has read.
type summary struct {
	SyncID string `json:"sync_id"`
	connector.Counts
	Requests int64         `json:"requests"`
	Retries  int64         `json:"retries"`
	Waited   time.Duration `json:"waited"`
	// Resumed is when the sync began that an outage has ended and this run has
	// gone on with; zero for a sync of one run.
	Resumed time.Time `json:"-"`
}

// observed is a connector server that sees how its syncs fare. It runs in the
// process that talks to the vendor.
type observed struct {
	types.ConnectorServer
	name  string
	tally *connector.Tally
	stats *rest.Stats
	// dir is the supervisor's scratch directory, empty where there is none.
	dir string

	mu sync.Mutex
	// told is the traffic that earlier summaries have told of.
	told summary
	// fault is what most likely ends the sync.
	fault *ending
}

// Cleanup is what the syncer calls when it has sealed a sync, and only then.
func (o *observed) Cleanup(ctx context.Context, request *v2.ConnectorServiceCleanupRequest) (*v2.ConnectorServiceCleanupResponse, error) {
	response, err := o.ConnectorServer.Cleanup(ctx, request)
	done := o.summarise(request.GetActiveSyncId())
	if o.dir == "" {
		ctxzap.Extract(ctx).Info("sync finished", done.fields()...)
	} else if err := writeJSON(o.dir, summaryFile, done); err != nil {
		ctxzap.Extract(ctx).Error("cannot tell that the sync is finished", zap.Error(err))
	}
	return response, err
}

// summarise takes the sync's counts, and the traffic since the last summary:
// syncs that overlap share their traffic.
func (o *observed) summarise(syncID string) summary {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := summary{Requests: o.stats.Requests(), Retries: o.stats.Retries(), Waited: o.stats.Waited()}
	done := summary{
		SyncID: syncID, Counts: o.tally.Take(syncID),
		Requests: now.Requests - o.told.Requests, Retries: now.Retries - o.told.Retries, Waited: now.Waited - o.told.Waited,
	}
	o.told = now
	return done
}

func (s summary) fields() []zap.Field {
	return []zap.Field{
		zap.String("sync_id", s.SyncID),
		zap.Int("users", s.Users), zap.Int("enabled", s.Users-s.Disabled), zap.Int("disabled", s.Disabled), zap.Int("service", s.Service),
		zap.Int("groups", s.Groups), zap.Int("memberships", s.Memberships),
		zap.Int64("requests", s.Requests), zap.Int64("retries", s.Retries), zap.Duration("waited", s.Waited),
	}
}

func (o *observed) Validate(ctx context.Context, request *v2.ConnectorServiceValidateRequest) (*v2.ConnectorServiceValidateResponse, error) {
	response, err := o.ConnectorServer.Validate(ctx, request)
	return response, o.failed(err)
}

func (o *observed) ListResources(ctx context.Context, request *v2.ResourcesServiceListResourcesRequest) (*v2.ResourcesServiceListResourcesResponse, error) {
	response, err := o.ConnectorServer.ListResources(ctx, request)
	return response, o.failed(err)
}

func (o *observed) ListGrants(ctx context.Context, request *v2.GrantsServiceListGrantsRequest) (*v2.GrantsServiceListGrantsResponse, error) {
	response, err := o.ConnectorServer.ListGrants(ctx, request)
	return response, o.failed(err)
}

func (o *observed) GetResource(ctx context.Context, request *v2.ResourceGetterServiceGetResourceRequest) (*v2.ResourceGetterServiceGetResourceResponse, error) {
	response, err := o.ConnectorServer.GetResource(ctx, request)
	return response, o.failed(err)
}

// Close passes on what the SDK asks of a server that it replaces.
func (o *observed) Close(ctx context.Context) error {
	if closer, ok := o.ConnectorServer.(interface {
		Close(ctx context.Context) error
	}); ok {
		return closer.Close(ctx)
	}
	return nil
}

// failed keeps the error for the supervisor and returns it. The process that
// should report it may be ended before it can. One that ends the sync is kept
// before one that the syncer retries or passes over.
func (o *observed) failed(err error) error {
	if err == nil || o.dir == "" {
		return err
	}
	end := endingOf(o.name, err)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault != nil && o.fault.final() && !end.final() {
		return err
	}
	o.fault = end
	// Where this cannot be written, a general line will have to do.
	_ = writeJSON(o.dir, faultFile, end)
	return err
}

func (e *ending) final() bool {
	switch codes.Code(e.Code) { //nolint:gosec // a gRPC code to begin with
	case codes.Unavailable, codes.DeadlineExceeded, codes.NotFound, codes.Canceled:
		return false
	default:
		return true
	}
}

// writeJSON writes a value so that a reader sees all of it or nothing.
func writeJSON(dir, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// readJSON says whether a value was there to be read.
func readJSON(dir, name string, value any) bool {
	text, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // our own directory
	return err == nil && json.Unmarshal(text, value) == nil
}
