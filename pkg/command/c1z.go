package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	c1zv3 "github.com/conductorone/baton-sdk/pb/c1/c1z/v3"
	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
	v3 "github.com/conductorone/baton-sdk/pkg/dotc1z/format/v3"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// syncRun is one sync in a c1z.
type syncRun struct {
	id       string
	finished bool
	// users, groups and grants are how many it holds; grants includes those
	// that follow from nested groups.
	users, groups, grants int
}

func newSyncRun(id string, finished bool, stats interface {
	GetResourcesByResourceType() map[string]int64
	GetGrants() int64
},
) syncRun {
	kinds := stats.GetResourcesByResourceType()
	return syncRun{id: id, finished: finished, users: int(kinds["user"]), groups: int(kinds["group"]), grants: int(stats.GetGrants())}
}

// agrees says whether what was counted as it was read can be what is in the
// file. A row that was read twice, as when rows move, was counted twice.
func (r *syncRun) agrees(counts connector.Counts) bool {
	return counts.Users == r.users && counts.Groups == r.groups && counts.Memberships <= r.grants
}

// syncRuns lists the syncs that the file at path holds; none where there is
// no such file or it is empty. It reads the head and the index of the file
// and no payload, so it takes no time even for a large one; only the older
// format of --storage-engine sqlite has to be unpacked, into scratchDir.
func syncRuns(ctx context.Context, path, scratchDir string) ([]syncRun, error) {
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
		return storeRuns(ctx, path, scratchDir)
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
		runs = append(runs, newSyncRun(run.GetSyncId(), run.HasEndedAt(), run.GetStats()))
	}
	return runs, nil
}

func storeRuns(ctx context.Context, path, scratchDir string) (runs []syncRun, err error) {
	err = withStore(ctx, path, scratchDir, func(store c1zstore.Store) error {
		return eachRun(ctx, store, func(run *c1zstore.SyncRun) {
			runs = append(runs, newSyncRun(run.ID, run.EndedAt != nil, run.Stats))
		})
	})
	if err != nil {
		return nil, fmt.Errorf("is a damaged c1z (%w)", err)
	}
	return runs, nil
}

// checkTypes fails if a c1z holds a resource type that is not the connector's
// own. It unpacks the file, which takes a second or two at a million grants.
func checkTypes(ctx context.Context, path, scratchDir string, own func(*v2.ResourceType) bool) error {
	var foreign *v2.ResourceType
	err := withStore(ctx, path, scratchDir, func(store c1zstore.Store) error {
		return eachPage(func(token string) (string, error) {
			page, err := store.ListResourceTypes(ctx, v2.ResourceTypesServiceListResourceTypesRequest_builder{PageToken: token}.Build())
			for _, kind := range page.GetList() {
				if !own(kind) {
					foreign = kind
				}
			}
			return page.GetNextPageToken(), err
		})
	})
	switch {
	case err != nil:
		return fmt.Errorf("is a damaged c1z (%w)", err)
	case foreign != nil:
		return fmt.Errorf("holds the sync of another connector, with the resource type %q (%s)", foreign.GetId(), foreign.GetDescription())
	}
	return nil
}

// withStore opens a c1z for reading, unpacked into scratchDir.
func withStore(ctx context.Context, path, scratchDir string, read func(c1zstore.Store) error) (err error) {
	store, err := dotc1z.NewStore(ctx, path, dotc1z.WithReadOnly(true), dotc1z.WithTmpDir(scratchDir))
	if err != nil {
		return err
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

// eachPage reads page after page of a list in a store.
func eachPage(read func(token string) (next string, err error)) error {
	for token := ""; ; {
		next, err := read(token)
		if err != nil || next == "" || next == token {
			return err
		}
		token = next
	}
}
