package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	reader "github.com/conductorone/baton-sdk/pb/c1/reader/v2"
	"github.com/conductorone/baton-sdk/pkg/connectorstore"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
	rs "github.com/conductorone/baton-sdk/pkg/types/resource"

	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// synced is the content of a c1z in the words of simulator.Truth.
type synced struct {
	simulator.Truth
	// finished says that the file holds a finished full sync; everything else
	// is its content.
	finished bool
	// derived holds the grants that the vendor did not state and that follow
	// from nested groups.
	derived map[simulator.Grant]bool
	// odd lists what no truth can contain: an entitlement missing or too many,
	// a status that differs between resource and trait, a grant on something
	// else than a member entitlement.
	odd []string
}

// readC1Z reads a c1z back with the SDK's own store.
func readC1Z(t testing.TB, path string) synced {
	t.Helper()
	ctx := context.Background()
	store, err := dotc1z.NewStore(ctx, path, dotc1z.WithReadOnly(true), dotc1z.WithTmpDir(t.TempDir()))
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	defer func() {
		if err := store.Close(ctx); err != nil {
			t.Errorf("close %s: %v", path, err)
		}
	}()
	out := synced{derived: map[simulator.Grant]bool{}, Truth: simulator.Truth{
		Users: map[string]simulator.User{}, Groups: map[string]simulator.Group{}, Grants: map[simulator.Grant]bool{},
	}}
	latest, err := store.GetLatestFinishedSync(ctx, reader.SyncsReaderServiceGetLatestFinishedSyncRequest_builder{
		SyncType: string(connectorstore.SyncTypeFull),
	}.Build())
	if err != nil {
		t.Fatalf("look for a finished sync in %s: %v", path, err)
	}
	if latest.GetSync() == nil {
		return out
	}
	out.finished = true
	out.readUsers(ctx, t, store)
	out.readGroups(ctx, t, store)
	out.readEntitlements(ctx, t, store)
	out.readGrants(ctx, t, store)
	return out
}

// finishedSync says whether a c1z holds a finished full sync. A file that is
// not there holds none.
func finishedSync(t testing.TB, path string) bool {
	t.Helper()
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return false
	}
	return readC1Z(t, path).finished
}

func (s *synced) oddly(format string, args ...any) {
	s.odd = append(s.odd, fmt.Sprintf(format, args...))
}

func resources(ctx context.Context, t testing.TB, store c1zstore.Store, kind string) []*v2.Resource {
	t.Helper()
	var out []*v2.Resource
	for token := ""; ; {
		page, err := store.ListResources(ctx, v2.ResourcesServiceListResourcesRequest_builder{
			ResourceTypeId: kind, PageToken: token,
		}.Build())
		if err != nil {
			t.Fatalf("list resources: %v", err)
		}
		out = append(out, page.GetList()...)
		if token = page.GetNextPageToken(); token == "" {
			return out
		}
	}
}

func (s *synced) readUsers(ctx context.Context, t testing.TB, store c1zstore.Store) {
	for _, r := range resources(ctx, t, store, "user") {
		id := r.GetId().GetResource()
		trait, err := rs.GetUserTrait(r)
		if err != nil {
			t.Fatalf("user %s: %v", id, err)
		}
		if !r.HasStatus() {
			s.oddly("user %s has no status", id)
		}
		//nolint:staticcheck // older readers look at the trait's status
		if int32(trait.GetStatus().GetStatus()) != int32(r.GetStatus().GetStatus()) {
			s.oddly("user %s has one status as a resource and another as a trait", id)
		}
		u := simulator.User{
			Login:    trait.GetLogin(),
			Name:     r.GetDisplayName(),
			Disabled: r.GetStatus().GetStatus() == v2.Status_RESOURCE_STATUS_DISABLED,
			Detail:   r.GetStatus().GetDetails(),
			Service:  trait.GetAccountType() == v2.UserTrait_ACCOUNT_TYPE_SERVICE,
			Profile:  rs.GetProfile(r).AsMap(),
		}
		for _, e := range trait.GetEmails() {
			u.Emails = append(u.Emails, directory.Email{Address: e.GetAddress(), Primary: e.GetIsPrimary()})
		}
		if r.HasCreatedAt() {
			u.CreatedAt = r.GetCreatedAt().AsTime()
		}
		if _, twice := s.Users[id]; twice {
			s.oddly("user %s is there twice", id)
		}
		s.Users[id] = u
	}
}

func (s *synced) readGroups(ctx context.Context, t testing.TB, store c1zstore.Store) {
	for _, r := range resources(ctx, t, store, "group") {
		g := simulator.Group{Name: r.GetDisplayName(), Description: r.GetDescription(), Profile: rs.GetProfile(r).AsMap()}
		if r.HasCreatedAt() {
			g.CreatedAt = r.GetCreatedAt().AsTime()
		}
		s.Groups[r.GetId().GetResource()] = g
	}
}

// readEntitlements checks that every group has its member entitlement and
// that there is nothing else.
func (s *synced) readEntitlements(ctx context.Context, t testing.TB, store c1zstore.Store) {
	missing := maps.Clone(s.Groups)
	for token := ""; ; {
		page, err := store.ListEntitlements(ctx, v2.EntitlementsServiceListEntitlementsRequest_builder{PageToken: token}.Build())
		if err != nil {
			t.Fatalf("list entitlements: %v", err)
		}
		for _, e := range page.GetList() {
			group := e.GetResource().GetId().GetResource()
			if e.GetId() != "group:"+group+":member" || e.GetSlug() != "member" || e.GetPurpose() != v2.Entitlement_PURPOSE_VALUE_ASSIGNMENT {
				s.oddly("entitlement %s is not a member entitlement", e.GetId())
			}
			if _, ok := missing[group]; !ok {
				s.oddly("entitlement %s belongs to no group or is there twice", e.GetId())
			}
			delete(missing, group)
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	for _, group := range slices.Sorted(maps.Keys(missing)) {
		s.oddly("group %s has no member entitlement", group)
	}
}

// readGrants keeps the grants that the vendor stated apart from those that the
// SDK derived from nested groups.
func (s *synced) readGrants(ctx context.Context, t testing.TB, store c1zstore.Store) {
	for token := ""; ; {
		page, err := store.ListGrants(ctx, v2.GrantsServiceListGrantsRequest_builder{PageToken: token}.Build())
		if err != nil {
			t.Fatalf("list grants: %v", err)
		}
		for _, g := range page.GetList() {
			id := g.GetEntitlement().GetId()
			group, found := strings.CutPrefix(id, "group:")
			group, isMember := strings.CutSuffix(group, ":member")
			if !found || !isMember {
				s.oddly("grant %s is not on a member entitlement", g.GetId())
			}
			principal := g.GetPrincipal().GetId()
			if kind := principal.GetResourceType(); kind != "user" && kind != "group" {
				s.oddly("grant %s is to a %s", g.GetId(), kind)
			}
			one := simulator.Grant{Group: group, Principal: principal.GetResource(), Nested: principal.GetResourceType() == "group"}
			if s.Grants[one] || s.derived[one] {
				s.oddly("grant %s is there twice", g.GetId())
			}
			sources := g.GetSources().GetSources()
			if _, direct := sources[id]; len(sources) > 0 && !direct {
				s.derived[one] = true
				continue
			}
			s.Grants[one] = true
		}
		if token = page.GetNextPageToken(); token == "" {
			return
		}
	}
}

// compareTruth fails the test unless the c1z holds a finished sync that says
// exactly what the vendor's truth is. It returns what the c1z holds.
func compareTruth(t testing.TB, path string, truth simulator.Truth) synced {
	t.Helper()
	got := readC1Z(t, path)
	if !got.finished {
		t.Fatalf("%s holds no finished sync", path)
	}
	wrong := slices.Concat(got.odd, truth.Difference(got.Truth))
	if len(wrong) == 0 {
		return got
	}
	t.Fatalf("the c1z is not the vendor's truth (%d users, %d groups, %d grants expected; %d, %d, %d found):\n%s",
		len(truth.Users), len(truth.Groups), len(truth.Grants),
		len(got.Users), len(got.Groups), len(got.Grants), strings.Join(wrong, "\n"))
	return got
}

// compareDerived fails the test unless the grants of a sync that the vendor did
// not state are those that follow from its groups: whoever is in a group is in
// every group that holds it, at any depth. Between groups that hold each other
// in a circle the SDK derives nothing (expand/cycle.go); what is around the
// circle has the members of all of it.
func compareDerived(t testing.TB, got synced, truth simulator.Truth) {
	t.Helper()
	around := map[string]map[string]bool{}
	for group := range truth.Groups {
		around[group] = holders(truth.Grants, group)
	}
	want := map[simulator.Grant]bool{}
	for grant := range truth.Grants {
		for outer := range around[grant.Group] {
			derived := simulator.Grant{Group: outer, Principal: grant.Principal, Nested: grant.Nested}
			if circle := around[outer][grant.Group]; !circle && !truth.Grants[derived] {
				want[derived] = true
			}
		}
	}
	var wrong []string
	for grant := range want {
		if !got.derived[grant] {
			wrong = append(wrong, fmt.Sprintf("%+v follows and is missing", grant))
		}
	}
	for grant := range got.derived {
		if !want[grant] {
			wrong = append(wrong, fmt.Sprintf("%+v does not follow", grant))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		t.Fatalf("%d grants follow from nested groups, and %d are in the c1z:\n%s", len(want), len(got.derived), strings.Join(wrong[:min(len(wrong), 20)], "\n"))
	}
}

// holders are the groups that hold a group, directly or through others: in a
// circle, the group itself as well.
func holders(grants map[simulator.Grant]bool, group string) map[string]bool {
	found := map[string]bool{}
	for more := []string{group}; len(more) > 0; more = more[1:] {
		for grant := range grants {
			if grant.Nested && grant.Principal == more[0] && !found[grant.Group] {
				found[grant.Group] = true
				more = append(more, grant.Group)
			}
		}
	}
	return found
}
