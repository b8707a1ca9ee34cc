package command

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/bid"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// result is a finished sync that has not replaced --file yet.
type result struct {
	summary summary
	// file is the new c1z in the work directory; it replaces target.
	file   string
	target *target
	// changes is the new file of --changes; nil without the flag.
	changes *staging
}

// verify opens the new c1z at path again, checks that it holds one finished
// sync and compares it with the sync in --file. It fails if the sync must not
// replace --file.
func (p *program[T]) verify(ctx context.Context, path, dir string, c *connected, warned *warnings, old *target, changes *staging) (*result, error) {
	runs, err := syncRuns(ctx, path, dir)
	if err != nil {
		return nil, p.unreadable(err, dir)
	}
	if len(runs) != 1 || runs[0].ended.IsZero() {
		return nil, p.unreadable(errors.New("it holds no finished sync"), dir)
	}
	run := &runs[0]
	found := c.counter.Take(run.id)
	// Unpacking the file takes seconds at a million memberships, so it is
	// unpacked only if its rows are read.
	var store c1zstore.Store
	if old.last != nil || !run.agrees(found) {
		if store, err = dotc1z.NewStore(ctx, path, dotc1z.WithReadOnly(true), dotc1z.WithTmpDir(dir)); err != nil {
			return nil, p.unreadable(err, dir)
		}
		defer store.Close(ctx) //nolint:errcheck // it is only read
	}
	if !run.agrees(found) {
		if found, err = countStore(ctx, store); err != nil {
			return nil, p.unreadable(err, dir)
		}
		// The SDK ignores that it cannot store the counts of a sync.
		if run.users+run.groups+run.grants == 0 && found.Users+found.Groups+found.Memberships > 0 {
			return nil, p.unreadable(errors.New("the counts of its rows are missing"), dir)
		}
	}
	if err := p.checkNamed(ctx, path, dir); err != nil {
		return nil, err
	}
	if err := p.checkEmpty(run, old); err != nil {
		return nil, err
	}
	out := &result{file: path, target: old, changes: changes, summary: summary{
		Connector: p.info.Name, Version: p.version, File: p.v.GetString("file"), SyncID: run.id,
		Counts:   newCounts(found),
		Requests: c.stats.Requests(), Retries: c.stats.Retries(), Waited: c.stats.Waited().Seconds(),
		Warnings: append([]string{}, warned.list()...),
	}}
	if err := p.compareWith(ctx, old, store, dir, out); err != nil {
		return nil, err
	}
	return out, nil
}

// stageChanges makes the new file of --changes; nil without the flag.
func (p *program[T]) stageChanges() (*staging, error) {
	path := p.v.GetString(changesFlag)
	if path == "" {
		return nil, nil //nolint:nilnil // no file was requested
	}
	removeStaging(path)
	file, err := stage(path)
	if err != nil {
		return nil, p.cannotWrite(changesFlag, path, err)
	}
	return file, nil
}

// compareWith compares the new store with the sync in --file, and writes the file
// of --changes.
func (p *program[T]) compareWith(ctx context.Context, old *target, now c1zstore.Store, dir string, out *result) (err error) {
	var rows *csv.Writer
	if out.changes != nil {
		out.summary.ChangesFile = p.v.GetString(changesFlag)
		buffer := bufio.NewWriter(out.changes.file)
		rows = csv.NewWriter(buffer)
		defer func() {
			rows.Flush()
			if failed := errors.Join(rows.Error(), buffer.Flush()); failed != nil {
				err = p.cannotWrite(changesFlag, out.summary.ChangesFile, failed)
			}
		}()
		if err := rows.Write(changeColumns); err != nil {
			return err
		}
	}
	if old.last == nil {
		return nil
	}
	debug.FreeOSMemory() // the memory of the sync, before another file is opened
	var found changes
	err = withStore(ctx, old.path, dir, func(before c1zstore.Store) error {
		found, err = compare(ctx, before, now, rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot compare with %s: %w", old.path, err)
	}
	found.Since = old.last.ended
	out.summary.Changes = &found
	return nil
}

// publish replaces the file of --changes, and then --file. If one fails, --file
// is unchanged.
func (p *program[T]) publish(r *result) error {
	if path := r.summary.ChangesFile; path != "" {
		if err := r.changes.put(filepath.Base(path), 0o600, nil); err != nil {
			return p.cannotWrite(changesFlag, path, err)
		}
	}
	if err := r.target.replace(r.file); err != nil {
		return p.cannotWrite("file", r.target.path, err)
	}
	return nil
}

// cannotWrite is the error of a run that cannot write the file at path, which a
// setting names.
func (p *program[T]) cannotWrite(flag, path string, err error) error {
	if isFull(err) {
		return &failure{code: int(codes.ResourceExhausted), line: fmt.Sprintf(
			"%s: no space left for %s; the file is unchanged; free some space and run it again", p.info.Name, path)}
	}
	return fmt.Errorf("%s: cannot write %s: %w", setting(flag), path, err)
}

// checkNamed fails if the sync has not found a resource of --sync-resources. The
// SDK ignores a resource that it does not find.
func (p *program[T]) checkNamed(ctx context.Context, path, dir string) error {
	ids := p.v.GetStringSlice("sync-resources")
	if len(ids) == 0 {
		return nil
	}
	found := map[string]bool{}
	err := withStore(ctx, path, dir, func(store c1zstore.Store) error {
		return eachResource(ctx, store, func(resource *v2.Resource) error {
			found[resource.GetId().GetResource()] = true
			return nil
		})
	})
	if err != nil {
		return p.unreadable(err, dir)
	}
	for _, id := range ids {
		if named, err := bid.ParseResourceBid(id); err == nil && !found[named.GetId().GetResource()] {
			return fmt.Errorf("%s: there is no group %q; take the ID from a whole sync (baton resources -t group), in the same letter case", setting("sync-resources"), id)
		}
	}
	return nil
}

// checkEmpty fails if --file holds users or memberships and the new sync holds
// none of them, unless --accept-empty is given.
func (p *program[T]) checkEmpty(now *syncRun, old *target) error {
	if old.last == nil || p.v.GetBool(acceptEmptyFlag) {
		return nil
	}
	for _, kind := range []struct {
		name        string
		before, now int
	}{{"users", old.last.users, now.users}, {"memberships", old.last.grants, now.grants}} {
		if kind.before > 0 && kind.now == 0 {
			advice := "check the credential's rights"
			for _, name := range []string{"sync-resources", "sync-resource-types", "skip-entitlements-and-grants"} {
				if p.given(name) {
					advice = fmt.Sprintf("%s limits this run; use a separate file", setting(name))
				}
			}
			return &failure{code: int(codes.Aborted), line: fmt.Sprintf(
				"%s: the sync found no %s, but %s holds %s of them and stays as it was; %s, or accept the new result with --%s",
				p.info.Name, kind.name, filepath.Base(old.path), connector.Thousands(kind.before), advice, acceptEmptyFlag)}
		}
	}
	return nil
}

// unreadable is the failure of a run that cannot read its own result in dir.
func (p *program[T]) unreadable(err error, dir string) *failure {
	if disk := storeError(err, dir); disk != nil {
		return p.diskFailure(disk, dir)
	}
	return &failure{code: int(codes.Internal), line: fmt.Sprintf("%s: the sync ended, but its file cannot be used: %v; run it again", p.info.Name, err)}
}
