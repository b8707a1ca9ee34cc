package command

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/viper"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// sdkInterval is longer than the SDK lets pass at least between two
// checkpoints, in a process whose clock cannot be moved.
const sdkInterval = 10*time.Second + 500*time.Millisecond

// outage makes a vendor take its time over the users and then go out of reach
// where a path is asked for, until it is told to be back.
func (v *vendor) outage(path string) (back func()) {
	var down, slow atomic.Bool
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/users" && path != "/users" && slow.CompareAndSwap(false, true) {
			<-time.After(sdkInterval)
		}
		if r.URL.Path == path {
			down.Store(true)
		}
		if !down.Load() {
			return false
		}
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return true
	}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.answer, v.paths = nil, nil
	}
}

// kept is the file beside --file that a run has kept.
func (i *invocation) kept() string {
	i.t.Helper()
	paths, err := filepath.Glob(i.file + ".*" + unfinished)
	if err != nil || len(paths) != 1 {
		i.t.Fatalf("%v are kept, %v; want one", paths, err)
	}
	return paths[0]
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A sync that an outage has ended while memberships were read is gone on
// with: users and groups are not read again, nothing is missing, and the
// summary tells of the whole.
func TestASyncThatAnOutageHasEndedGoesOn(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	back := v.outage("/groups/1/members")
	run := invoke(t, v).env("BATON_OUTAGE_SECONDS=3").exits(10)
	kept := run.kept()
	run.says("no good answer since", "goes on with what is kept in "+kept)
	run.leaves(filepath.Base(kept))
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read what is kept: %v, %v", info.Mode(), err)
	}
	back()
	spare := filepath.Join(t.TempDir(), "spare")
	copyFile(t, kept, spare)

	t.Run("with what was kept", func(t *testing.T) {
		next := run.again().exits(0)
		next.leaves("sync.c1z")
		if asked := v.asked(); slices.Contains(asked, "/users") || slices.Contains(asked, "/groups") || !slices.Contains(asked, "/groups/1/members") {
			t.Errorf("it asked for %v", asked)
		}
		want := connector.Counts{Users: 25, Disabled: 5, Service: 1, Groups: 3, Memberships: 30}
		if got, err := recount(t.Context(), run.file, t.TempDir()); err != nil || got != want {
			t.Errorf("the file holds %+v, %v; want %+v", got, err, want)
		}
		said := next.summary()
		for name, n := range map[string]int{"users": 25, "disabled": 5, "service": 1, "groups": 3, "memberships": 30} {
			if said[name] != float64(n) {
				t.Errorf("the summary tells of %v %s, want %d", said[name], name, n)
			}
		}
		if said["resumed"] == nil {
			t.Errorf("the summary does not say that it went on: %v", said)
		}
	})
	t.Run("with other settings", func(t *testing.T) {
		back()
		copyFile(t, spare, kept)
		next := run.again().env("BATON_USER_EMAIL=other@example.com").exits(0)
		next.leaves("sync.c1z") // the file is newer than what was kept
		if asked := v.asked(); !slices.Contains(asked, "/users") {
			t.Errorf("it asked for %v", asked)
		}
		if said := next.summary(); said["resumed"] != nil {
			t.Errorf("it went on: %v", said)
		}
	})

	began, err := goesOn(t.Context(), spare, t.TempDir())
	if err != nil || began.IsZero() || time.Since(began) < sdkInterval {
		t.Fatalf("it began at %s, %v", began, err)
	}
	for name, row := range map[string]struct {
		now  time.Time
		goes bool
	}{
		"within the hour":        {began.Add(maxUnfinished - time.Second), true},
		"after the hour":         {began.Add(maxUnfinished + time.Second), false},
		"by a clock that is off": {began.Add(-time.Second), false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{info: connector.Info{Name: "baton-test"}, v: viper.New(), now: func() time.Time { return row.now }}
			file, dir := filepath.Join(t.TempDir(), "sync.c1z"), t.TempDir()
			kept, err := p.unfinishedFile(file)
			if err != nil {
				t.Fatal(err)
			}
			copyFile(t, spare, kept)
			for _, goes := range []bool{row.goes, false} { // the second time it is gone
				got, err := p.takeUnfinished(context.Background(), dir, file)
				if err != nil || got.Equal(began) != goes || got.IsZero() == goes {
					t.Errorf("it is taken as begun at %s, %v; began at %s", got, err, began)
				}
				if _, err := os.Stat(filepath.Join(dir, workFile)); (err == nil) != goes {
					t.Errorf("the worker finds a file: %t, want %t", err == nil, goes)
				}
				_ = os.Remove(filepath.Join(dir, workFile))
			}
			if left, _ := os.ReadDir(filepath.Dir(file)); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// Where the SDK has no place to go on from, everything would be read again,
// over rows that may be gone by now.
func TestAnOutageBeforeTheMembershipsKeepsNothing(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/check", "/users", "/groups"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			v.at(path, fail(http.StatusServiceUnavailable))
			run := invoke(t, v).env("BATON_OUTAGE_SECONDS=1").exits(10)
			run.leaves()
			if strings.Contains(run.said(), unfinished) {
				t.Errorf("it says that something is kept: %s", run.said())
			}
		})
	}
}

func TestOnlyOldUnfinishedSyncsOfTheFileAreForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "sync.c1z")
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"sync.c1z.0123.unfinished", "sync.c1z.unfinished", "other.c1z.0123.unfinished", "sync.c1z.0123.unfinished.txt", "sync.c1z"} {
		write(t, filepath.Join(dir, name), "x")
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "sync.c1z.4567.unfinished"), "x")
	left := func() string {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return strings.Join(names, " ")
	}
	const others = "other.c1z.0123.unfinished sync.c1z sync.c1z.0123.unfinished.txt"
	forgetUnfinished(file, maxUnfinished)
	if got, want := left(), others+" sync.c1z.4567.unfinished sync.c1z.unfinished"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	forgetUnfinished(file, 0)
	if got, want := left(), others+" sync.c1z.unfinished"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}

// A checkpoint is the SDK's own: one that is not as expected is not used.
func TestOnlyACheckpointBehindTheResourcesIsUsed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		operations []string
		behind     bool
	}{
		{[]string{"list-grants", "grant-expansion"}, true},
		{[]string{"list-static-entitlements", "list-entitlements", "list-grants", "grant-expansion"}, true},
		{[]string{"list-resources", "list-grants"}, false},
		{[]string{"list-resource-types", "list-grants"}, false},
		{[]string{"init"}, false},
		{[]string{"something-new", "list-grants"}, false},
		{[]string{"grant-expansion"}, false},
		{nil, false},
	} {
		actions := map[string]any{}
		for _, operation := range row.operations {
			actions[operation] = map[string]string{"operation": operation}
		}
		text, err := json.Marshal(map[string]any{"actions_map": actions})
		if err != nil {
			t.Fatal(err)
		}
		if got := behindResources(string(text)); got != row.behind {
			t.Errorf("%v: %t", row.operations, got)
		}
	}
	for _, text := range []string{"", "{", "[]", `{"actions":[]}`} {
		if behindResources(text) {
			t.Errorf("%q is used", text)
		}
	}
}
