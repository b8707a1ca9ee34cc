//go:build unix

package command

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/connectorstore"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
)

// A group of as many members as before may have others, and a new group brings
// its members with it. Reviewers must see both.
func TestChangesTellOfSwappedMembersAndOfNewAndRemovedGroups(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"pebble", "sqlite"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			file := filepath.Join(t.TempDir(), "changes.csv")
			run := invoke(t, v, "--storage-engine", engine).env("BATON_OUTPUT_FORMAT=json", "BATON_CHANGES="+file).exits(0)
			v.answers(func(_ int, w http.ResponseWriter, r *http.Request) bool {
				switch r.URL.Path + "?" + r.URL.RawQuery {
				case "/groups?page=0": // 0 to 2 before
					_, _ = io.WriteString(w, `{"rows":[{"id":"0"},{"id":"2"},{"id":"3"}],"last":true}`)
				case "/groups/2/members?page=1": // 10 to 19 before
					_, _ = io.WriteString(w, `{"rows":[{"id":"10"},{"id":"11"},{"id":"12"},{"id":"13"},{"id":"14"},{"id":"15"},{"id":"16"},{"id":"17"},{"id":"18"},{"id":"20"}],"last":true}`)
				case "/groups/3/members?page=0":
					_, _ = io.WriteString(w, `{"rows":[{"id":"7"}],"last":true}`)
				default:
					return false
				}
				return true
			})
			said := run.again().exits(0).summary()
			if want := (rowChanges{Added: 2, Removed: 11}); said.Changes.Memberships != want {
				t.Errorf("memberships: %+v, want %+v", said.Changes.Memberships, want)
			}
			if want := (rowChanges{Added: 1, Removed: 1}); said.Changes.Groups != want {
				t.Errorf("groups: %+v, want %+v", said.Changes.Groups, want)
			}
			got := readCSV(t, file)
			want := [][]string{
				{"added", "group", "3", "3", "", ""},
				{"added", "membership", "20", "20", "2", "2"},
				{"added", "membership", "7", "7", "3", "3"},
				{"removed", "group", "1", "1", "", ""},
				{"removed", "membership", "19", "19", "2", "2"},
			}
			for _, id := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
				want = append(want, []string{"removed", "membership", id, id, "1", "1"})
			}
			slices.SortFunc(got[1:], slices.Compare[[]string])
			slices.SortFunc(want, slices.Compare[[]string])
			if !slices.EqualFunc(got[1:], want, slices.Equal) {
				t.Errorf("got  %v\nwant %v", got[1:], want)
			}
		})
	}
}

// The SDK derives grants from nested groups. The vendor has not changed what the
// SDK derives, so they are not memberships of the group.
func TestDerivedGrantsAreNoMembers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store, err := dotc1z.NewStore(ctx, filepath.Join(t.TempDir(), "sync.c1z"), dotc1z.WithTmpDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(ctx) //nolint:errcheck // no reader follows
	resource := func(kind, id string) *v2.Resource {
		return v2.Resource_builder{Id: v2.ResourceId_builder{ResourceType: kind, Resource: id}.Build(), DisplayName: id}.Build()
	}
	group := resource("group", "all")
	member := v2.Entitlement_builder{Id: "group:all:member", Resource: group}.Build()
	grant := func(user string, from ...string) *v2.Grant {
		sources := map[string]*v2.GrantSources_GrantSource{}
		for _, id := range from {
			sources[id] = &v2.GrantSources_GrantSource{}
		}
		return v2.Grant_builder{
			Id: member.GetId() + ":user:" + user, Entitlement: member, Principal: resource("user", user),
			Sources: v2.GrantSources_builder{Sources: sources}.Build(),
		}.Build()
	}
	_, err = store.StartNewSync(ctx, connectorstore.SyncTypeFull, "")
	for _, step := range []func() error{
		func() error {
			return store.PutResourceTypes(ctx, v2.ResourceType_builder{Id: "user"}.Build(), v2.ResourceType_builder{Id: "group"}.Build())
		},
		func() error {
			return store.PutResources(ctx, group, resource("user", "ann"), resource("user", "bob"), resource("user", "cem"))
		},
		func() error { return store.PutEntitlements(ctx, member) },
		func() error {
			return store.PutGrants(ctx, grant("ann"), grant("bob", "group:part:member"), grant("cem", "group:part:member", member.GetId()))
		},
	} {
		if err == nil {
			err = step()
		}
	}
	var got []string
	if err == nil {
		err = eachMember(ctx, store, group, func(who *v2.ResourceId) error {
			got = append(got, who.GetResource())
			return nil
		})
	}
	if slices.Sort(got); err != nil || !slices.Equal(got, []string{"ann", "cem"}) {
		t.Errorf("the members are %v, %v; want ann and cem, who are in the group itself", got, err)
	}
}

// A spreadsheet runs a cell that starts like this.
func TestNoCellOfTheChangesIsAFormula(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"} {
		if got := csvText(cell); got != "'"+cell {
			t.Errorf("%q is written as %q", cell, got)
		}
	}
	for _, cell := range []string{"", "ann@example.com", "a=b", "'"} {
		if got := csvText(cell); got != cell {
			t.Errorf("%q is written as %q", cell, got)
		}
	}
}
