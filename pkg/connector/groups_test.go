package connector

import (
	"testing"

	rs "github.com/conductorone/baton-sdk/pkg/types/resource"

	"github.com/conductorone/baton-connectors/internal/memory"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// TestTheEntitlementIsTheSameOnBothPaths: an older syncer reads group by group,
// and reviewers must see the same entitlement.
func TestTheEntitlementIsTheSameOnBothPaths(t *testing.T) {
	t.Parallel()
	syncer := &groupSyncer{New(Info{Name: "baton-test"}, &memory.Source{}, nil)}
	group, err := groupResource(&directory.Group{ID: "7", Name: "Marketing", Description: "They sell"})
	if err != nil {
		t.Fatal(err)
	}
	static, _, err := syncer.StaticEntitlements(t.Context(), rs.SyncOpAttrs{})
	if err != nil || len(static) != 1 {
		t.Fatal(static, err)
	}
	own, _, err := syncer.Entitlements(t.Context(), group, rs.SyncOpAttrs{})
	if err != nil || len(own) != 1 {
		t.Fatal(own, err)
	}
	// The syncer fills empty fields from the group.
	if static[0].GetDisplayName() != "" || own[0].GetDisplayName() != "Marketing" {
		t.Errorf("the display names are %q and %q", static[0].GetDisplayName(), own[0].GetDisplayName())
	}
	if static[0].GetDescription() != "Group member" || own[0].GetDescription() != "Group member" {
		t.Errorf("the descriptions are %q and %q", static[0].GetDescription(), own[0].GetDescription())
	}
	if static[0].GetSlug() != own[0].GetSlug() || static[0].GetPurpose() != own[0].GetPurpose() {
		t.Errorf("%v and %v", static[0], own[0])
	}
}

func TestTheOriginOfAGroupReachesC1(t *testing.T) {
	t.Parallel()
	for origin, want := range map[directory.GroupOrigin]rs.GroupSourceType{
		directory.OriginNotStated: "", directory.OriginBuiltIn: rs.GroupSourceTypeBuiltIn, directory.OriginDirectory: rs.GroupSourceTypeDirectorySynced,
	} {
		resource, err := groupResource(&directory.Group{ID: "1", Name: "Sales", Origin: origin})
		if err != nil {
			t.Fatal(err)
		}
		trait, err := rs.GetGroupTrait(resource)
		if err != nil || trait.GetGroupSourceType() != string(want) {
			t.Errorf("%d: %v, %v", origin, trait, err)
		}
	}
}

func TestTheMetadataHaveTheHelpPage(t *testing.T) {
	t.Parallel()
	metadata, err := New(Info{Name: "baton-test", DisplayName: "Test", HelpURL: "https://example.com/help"}, &memory.Source{}, nil).Metadata(t.Context())
	if err != nil || metadata.GetHelpUrl() != "https://example.com/help" || metadata.Validate() != nil {
		t.Errorf("%v, %v", metadata, err)
	}
}
