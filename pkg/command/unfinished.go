package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
	sdksync "github.com/conductorone/baton-sdk/pkg/sync"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// maxUnfinished is how long after its beginning a sync that an outage has
// ended can be gone on with. What it holds is then no older than what a sync
// holds that takes an hour by itself. The SDK would go on for a week.
const maxUnfinished = time.Hour

// unfinished ends the name of a file with a sync that an outage has ended. It
// lies beside --file, because directories for temporary files do not last.
const unfinished = ".unfinished"

// sdkFields are those of the SDK's own settings that decide what is read.
var sdkFields = []string{
	"auth-method", "external-resource-c1z", "external-resource-entitlement-id-filter", "external-resource-traits",
	"skip-entitlements-and-grants", "skip-grants", "storage-engine", "sync-resource-types", "sync-resources",
}

// unfinishedFile is where a run keeps the sync that an outage has ended. Only
// a run of the same version with the same settings looks there.
func (p *program) unfinishedFile(file string) (string, error) {
	settings := map[string]any{}
	for _, name := range slices.Concat(p.fields, sdkFields) {
		settings[name] = p.v.Get(name)
	}
	text, err := json.Marshal([]any{p.info.Name, p.version, settings})
	if err != nil {
		return "", err
	}
	mark := sha256.Sum256(text)
	return file + "." + hex.EncodeToString(mark[:8]) + unfinished, nil
}

// keepUnfinished keeps what the worker has read, if an outage has ended it
// and the next run can go on from there, and adds to the ending where that is.
func (p *program) keepUnfinished(ctx context.Context, dir, file string, end *ending) *ending {
	var fault ending
	if !readJSON(dir, faultFile, &fault) || !fault.Outage || fault.Code != end.Code {
		return end
	}
	began, err := goesOn(ctx, filepath.Join(dir, workFile), dir)
	if err != nil || p.now().Sub(began) > maxUnfinished {
		return end
	}
	kept, err := p.unfinishedFile(file)
	if err == nil {
		err = publish(filepath.Join(dir, workFile), kept)
	}
	if err != nil {
		return end // the next run begins anew, as it does after any failure
	}
	more := *end
	more.Line += fmt.Sprintf("; a run within an hour of %s goes on with what is kept in %s", began.UTC().Format(time.RFC3339), kept)
	return &more
}

// takeUnfinished brings the sync that an outage has ended to where the worker
// goes on with it, and returns when it began; zero where there is none that
// serves. It fails only where the worker would find one that does not.
func (p *program) takeUnfinished(ctx context.Context, dir, file string) (began time.Time, err error) {
	kept, err := p.unfinishedFile(file)
	if err != nil {
		return began, err
	}
	// Of several runs, the one that can rename it has it.
	mine := file + "." + filepath.Base(dir) + unfinished
	if err := os.Rename(kept, mine); err != nil {
		return began, nil //nolint:nilerr // there is none to go on with, as nearly always
	}
	work := filepath.Join(dir, workFile)
	if err = publish(mine, work); err == nil {
		began, err = goesOn(ctx, work, dir)
	}
	_ = os.Remove(mine)
	if age := p.now().Sub(began); err == nil && age >= 0 && age <= maxUnfinished {
		return began, nil
	}
	if err := os.Remove(work); err != nil && !errors.Is(err, os.ErrNotExist) {
		return time.Time{}, err
	}
	return time.Time{}, nil
}

// forgetUnfinished removes the syncs that an outage has ended and that were
// kept beside file for at least so long.
func forgetUnfinished(file string, age time.Duration) {
	dir, name := filepath.Split(file)
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return // what follows will say why
	}
	for _, entry := range entries {
		mark, ours := strings.CutPrefix(entry.Name(), name+".")
		mark, ends := strings.CutSuffix(mark, unfinished)
		if !ours || !ends || mark == "" || strings.Trim(mark, "-0123456789abcdefghijklmnopqrstuvwxyz") != "" {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) >= age {
			_ = os.Remove(dir + entry.Name())
		}
	}
}

// goesOn says when the sync in a c1z began, if the SDK can go on with it from
// behind its lists of users and groups; else it is zero. The SDK keeps its
// place only between its phases: in a sync that has not come so far,
// everything would be read again, over rows that may be gone by now.
func goesOn(ctx context.Context, path, scratchDir string) (began time.Time, err error) {
	err = withStore(ctx, path, scratchDir, func(store c1zstore.Store) error {
		return eachRun(ctx, store, func(run *c1zstore.SyncRun) {
			if run.EndedAt == nil && run.StartedAt != nil && behindResources(run.SyncToken) {
				began = *run.StartedAt
			}
		})
	})
	return began, err
}

// behindResources says whether a checkpoint of the SDK has grants to read, and
// no resources. One that is of another form than today's has not.
func behindResources(checkpoint string) bool {
	var state struct {
		Actions map[string]sdksync.Action `json:"actions_map"`
	}
	if json.Unmarshal([]byte(checkpoint), &state) != nil {
		return false
	}
	grants := false
	for _, action := range state.Actions {
		switch action.Op {
		case sdksync.SyncGrantsOp:
			grants = true
		case sdksync.SyncEntitlementsOp, sdksync.SyncStaticEntitlementsOp, sdksync.SyncGrantExpansionOp:
		default:
			return false
		}
	}
	return grants
}

// recount counts what is in a finished c1z, without grants that follow from
// nested groups. It reads all of it, which takes seconds at a million grants.
func recount(ctx context.Context, path, scratchDir string) (counts connector.Counts, err error) {
	err = withStore(ctx, path, scratchDir, func(store c1zstore.Store) error {
		err := eachPage(func(token string) (string, error) {
			page, err := store.ListResources(ctx, v2.ResourcesServiceListResourcesRequest_builder{PageToken: token}.Build())
			for _, resource := range page.GetList() {
				counts.Add(resource)
			}
			return page.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return eachPage(func(token string) (string, error) {
			page, err := store.ListGrants(ctx, v2.GrantsServiceListGrantsRequest_builder{PageToken: token}.Build())
			for _, grant := range page.GetList() {
				sources := grant.GetSources().GetSources()
				if _, stated := sources[grant.GetEntitlement().GetId()]; stated || len(sources) == 0 {
					counts.Memberships++
				}
			}
			return page.GetNextPageToken(), err
		})
	})
	return counts, err
}
