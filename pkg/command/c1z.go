package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	c1zv3 "github.com/conductorone/baton-sdk/pb/c1/c1z/v3"
	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
	v3 "github.com/conductorone/baton-sdk/pkg/dotc1z/format/v3"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// syncRun is one sync in a c1z.
type syncRun struct {
	id string
	// ended is zero if the sync was not finished.
	started, ended time.Time
	// users, groups and grants count its rows. grants includes those that the
	// SDK derived from nested groups.
	users, groups, grants int
}

func newSyncRun(id string, started, ended time.Time, stats interface {
	GetResourcesByResourceType() map[string]int64
	GetGrants() int64
},
) syncRun {
	kinds := stats.GetResourcesByResourceType()
	return syncRun{
		id: id, started: started, ended: ended,
		users: int(kinds["user"]), groups: int(kinds["group"]), grants: int(stats.GetGrants()),
	}
}

// agrees reports whether counts can belong to the sync. They differ if a row
// was read twice because rows moved between two pages.
func (r *syncRun) agrees(counts connector.Counts) bool {
	return counts.Users == r.users && counts.Groups == r.groups && counts.Memberships <= r.grants
}

// syncRuns lists the syncs in the file at path; none if the file is empty or does
// not exist. It reads only the file's head and index, but unpacks the older format
// of --storage-engine sqlite into dir.
func syncRuns(ctx context.Context, path, dir string) ([]syncRun, error) {
	f, err := os.Open(path) //nolint:gosec // the user's --file
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	if info, err := f.Stat(); err != nil || info.Size() == 0 {
		return nil, err
	}
	format, err := dotc1z.ReadHeaderFormat(f)
	switch {
	case errors.Is(err, dotc1z.ErrInvalidFile), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("is not a c1z")
	case err != nil:
		return nil, err
	case format == dotc1z.C1ZFormatV3:
		return manifestRuns(f)
	default:
		return storeRuns(ctx, path, dir)
	}
}

func manifestRuns(f *os.File) ([]syncRun, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	manifest, err := v3.ReadManifestHeader(f)
	if err != nil {
		return nil, fmt.Errorf("is a damaged c1z (%w)", err)
	}
	if manifest.GetPayloadEncoding() == c1zv3.PayloadEncoding_PAYLOAD_ENCODING_INDEXED_ZSTD {
		// The index is at the very end: a file that was cut off has none.
		if _, err := v3.ReadIndexedFrameIndex(f); err != nil {
			return nil, fmt.Errorf("is a damaged c1z (%w)", err)
		}
	}
	runs := make([]syncRun, 0, len(manifest.GetSyncRuns()))
	for _, run := range manifest.GetSyncRuns() {
		runs = append(runs, newSyncRun(run.GetSyncId(), timeOf(run.GetStartedAt()), timeOf(run.GetEndedAt()), run.GetStats()))
	}
	return runs, nil
}

// timeOf is a stored time, zero if there is none.
func timeOf(stored *timestamppb.Timestamp) time.Time {
	if stored == nil {
		return time.Time{}
	}
	return stored.AsTime()
}

func storeRuns(ctx context.Context, path, dir string) (runs []syncRun, err error) {
	err = withStore(ctx, path, dir, func(store c1zstore.Store) error {
		return eachRun(ctx, store, func(run *c1zstore.SyncRun) {
			at := func(t *time.Time) time.Time {
				if t == nil {
					return time.Time{}
				}
				return *t
			}
			runs = append(runs, newSyncRun(run.ID, at(run.StartedAt), at(run.EndedAt), run.Stats))
		})
	})
	return runs, err
}

// checkOwner fails if a store holds a resource type of another connector.
func checkOwner(ctx context.Context, store c1zstore.Store, owns func(*v2.ResourceType) bool) error {
	return eachPage(func(token string) (string, error) {
		page, err := store.ListResourceTypes(ctx, v2.ResourceTypesServiceListResourceTypesRequest_builder{PageToken: token}.Build())
		if err != nil {
			return "", fmt.Errorf("is a damaged c1z (%w)", err)
		}
		for _, kind := range page.GetList() {
			if !owns(kind) {
				return "", fmt.Errorf("holds the sync of another connector, with the resource type %q", kind.GetId())
			}
		}
		return page.GetNextPageToken(), nil
	})
}

// eachResource calls do for each resource of a store.
func eachResource(ctx context.Context, store c1zstore.Store, do func(*v2.Resource) error) error {
	return eachPage(func(token string) (string, error) {
		page, err := store.ListResources(ctx, v2.ResourcesServiceListResourcesRequest_builder{PageToken: token}.Build())
		for _, resource := range page.GetList() {
			if err := do(resource); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

// eachEntitlement calls do for each entitlement of a store: one a group.
func eachEntitlement(ctx context.Context, store c1zstore.Store, do func(*v2.Entitlement) error) error {
	return eachPage(func(token string) (string, error) {
		page, err := store.ListEntitlements(ctx, v2.EntitlementsServiceListEntitlementsRequest_builder{PageToken: token}.Build())
		for _, entitlement := range page.GetList() {
			if err := do(entitlement); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

// eachMember calls do for each member of a group, or of all groups if group is
// nil. It leaves out members that the SDK derived from nested groups.
func eachMember(ctx context.Context, store c1zstore.Store, group *v2.Resource, do func(who *v2.ResourceId) error) error {
	return eachPage(func(token string) (string, error) {
		page, err := store.ListGrants(ctx, v2.GrantsServiceListGrantsRequest_builder{Resource: group, PageToken: token}.Build())
		for _, grant := range page.GetList() {
			sources := grant.GetSources().GetSources()
			if _, direct := sources[grant.GetEntitlement().GetId()]; !direct && len(sources) > 0 {
				continue
			}
			if err := do(grant.GetPrincipal().GetId()); err != nil {
				return "", err
			}
		}
		return page.GetNextPageToken(), err
	})
}

// countStore counts the rows of a store, without derived grants. It reads all of
// them, which takes seconds at a million grants.
func countStore(ctx context.Context, store c1zstore.Store) (counts connector.Counts, err error) {
	err = eachResource(ctx, store, func(resource *v2.Resource) error {
		counts.Add(resource)
		return nil
	})
	if err != nil {
		return counts, err
	}
	err = eachMember(ctx, store, nil, func(*v2.ResourceId) error {
		counts.Memberships++
		return nil
	})
	return counts, err
}

// withStore unpacks a c1z into dir and calls read with it.
func withStore(ctx context.Context, path, dir string, read func(c1zstore.Store) error) (err error) {
	store, err := dotc1z.NewStore(ctx, path, dotc1z.WithReadOnly(true), dotc1z.WithTmpDir(dir))
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		return err // of the disk
	}
	if err != nil {
		return fmt.Errorf("is a damaged c1z (%w)", err)
	}
	defer func() { err = errors.Join(err, store.Close(ctx)) }()
	return read(store)
}

func eachRun(ctx context.Context, store c1zstore.Store, do func(*c1zstore.SyncRun)) error {
	lister, ok := store.(interface {
		ListSyncRuns(ctx context.Context, pageToken string, pageSize uint32) ([]*c1zstore.SyncRun, string, error)
	})
	if !ok {
		return errors.New("its syncs cannot be listed")
	}
	return eachPage(func(token string) (string, error) {
		page, next, err := lister.ListSyncRuns(ctx, token, 100)
		for _, run := range page {
			do(run)
		}
		return next, err
	})
}

// eachPage calls read for each page of a list in a store.
func eachPage(read func(token string) (next string, err error)) error {
	for token := ""; ; {
		next, err := read(token)
		if err != nil || next == "" || next == token {
			return err
		}
		token = next
	}
}
