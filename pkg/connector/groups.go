package connector

import (
	"context"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/annotations"
	"github.com/conductorone/baton-sdk/pkg/types/entitlement"
	"github.com/conductorone/baton-sdk/pkg/types/grant"
	rs "github.com/conductorone/baton-sdk/pkg/types/resource"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// member is the one entitlement of a group. Its slug is part of every
// entitlement and grant id: it never changes.
const member = "member"

// groupType has SkipEntitlements: all groups have the same entitlement, which
// StaticEntitlements states once.
var groupType = v2.ResourceType_builder{
	Id:          "group",
	DisplayName: "Group",
	Description: "A named set of members",
	Traits:      []v2.ResourceType_Trait{v2.ResourceType_TRAIT_GROUP},
	Annotations: annotations.New(&v2.SkipEntitlements{}),
}.Build()

// typeScopedGroupType is groupType for a source that lists the members of all
// groups in one walk.
var typeScopedGroupType = v2.ResourceType_builder{
	Id:          groupType.GetId(),
	DisplayName: groupType.GetDisplayName(),
	Description: groupType.GetDescription(),
	Traits:      groupType.GetTraits(),
	Annotations: annotations.New(&v2.SkipEntitlements{}, &v2.TypeScopedGrants{}),
}.Build()

type groupSyncer struct{ *Connector }

func (s *groupSyncer) ResourceType(context.Context) *v2.ResourceType { return s.info.at(groupType) }

func (s *groupSyncer) List(ctx context.Context, _ *v2.ResourceId, opts rs.SyncOpAttrs) ([]*v2.Resource, *rs.SyncOpResults, error) {
	page, err := s.groups.read(ctx, "groups", opts.PageToken.Token, s.source.Groups)
	if err != nil {
		return nil, nil, s.failed("list groups", err)
	}
	_, inOneWalk := s.inOneWalk()
	if err := s.checks.addGroups(opts.SyncID, opts.PageToken.Token, page, inOneWalk); err != nil {
		return nil, nil, s.failed("list groups", err)
	}
	resources := make([]*v2.Resource, 0, len(page.Rows))
	for i := range page.Rows {
		resource, err := groupResource(&page.Rows[i])
		if err != nil {
			return nil, nil, s.failed("list groups", err)
		}
		resources = append(resources, resource)
	}
	s.counter.groups(ctx, opts.SyncID, page, opts.PageToken.Token == "")
	return resources, &rs.SyncOpResults{NextPageToken: page.Next}, nil
}

// Get reads one group for a targeted sync.
func (s *groupSyncer) Get(ctx context.Context, id, _ *v2.ResourceId) (*v2.Resource, annotations.Annotations, error) {
	group, err := s.source.Group(ctx, id.GetResource())
	if err != nil {
		return nil, nil, s.failed("read group", err)
	}
	resource, err := groupResource(&group)
	if err != nil {
		return nil, nil, s.failed("read group", err)
	}
	return resource, nil, nil
}

// memberDescription describes the member entitlement of every group, because
// StaticEntitlements states it once. The display name is the group's.
const memberDescription = "Group member"

// StaticEntitlements states the member entitlement of all groups, without a
// display name: the syncer takes the group's.
func (s *groupSyncer) StaticEntitlements(context.Context, rs.SyncOpAttrs) ([]*v2.Entitlement, *rs.SyncOpResults, error) {
	return []*v2.Entitlement{v2.Entitlement_builder{
		Slug:        member,
		Description: memberDescription,
		Purpose:     v2.Entitlement_PURPOSE_VALUE_ASSIGNMENT,
		GrantableTo: []*v2.ResourceType{userType, groupType},
	}.Build()}, nil, nil
}

func (s *groupSyncer) Entitlements(_ context.Context, resource *v2.Resource, _ rs.SyncOpAttrs) ([]*v2.Entitlement, *rs.SyncOpResults, error) {
	return []*v2.Entitlement{entitlement.NewAssignmentEntitlement(resource, member,
		entitlement.WithDisplayName(resource.GetDisplayName()), entitlement.WithDescription(memberDescription),
		entitlement.WithGrantableTo(userType, groupType))}, nil, nil
}

func (s *groupSyncer) Grants(ctx context.Context, resource *v2.Resource, opts rs.SyncOpAttrs) ([]*v2.Grant, *rs.SyncOpResults, error) {
	id := resource.GetId().GetResource()
	page, err := s.members.read(ctx, "members of "+id, opts.PageToken.Token, func(ctx context.Context, cursor string) (directory.Page[directory.Member], error) {
		return s.source.Members(ctx, id, cursor)
	})
	if err != nil {
		return nil, nil, s.failed("list the members of a group", err)
	}
	if err := s.checks.addMembers(ctx, opts.SyncID, id, page); err != nil {
		return nil, nil, s.failed("list the members of a group", err)
	}
	if err := s.checks.checkWitness(ctx, opts.SyncID, s.source); err != nil {
		return nil, nil, s.failed("compare groups with what their members' own rows say", err)
	}
	grants := make([]*v2.Grant, 0, len(page.Rows))
	for _, row := range page.Rows {
		one, err := newGrant(id, row)
		if err != nil {
			return nil, nil, s.failed("list the members of a group", err)
		}
		grants = append(grants, one)
	}
	s.counter.memberships(ctx, opts.SyncID, len(grants))
	return grants, &rs.SyncOpResults{NextPageToken: page.Next}, nil
}

// typeScopedGroupSyncer returns the members of all groups in one walk, and group
// by group to syncers that cannot read them in one walk.
type typeScopedGroupSyncer struct {
	*groupSyncer
	many directory.Memberships
}

func (s *typeScopedGroupSyncer) ResourceType(context.Context) *v2.ResourceType {
	return s.info.at(typeScopedGroupType)
}

func (s *typeScopedGroupSyncer) GrantsForResourceType(ctx context.Context, _ string, opts rs.SyncOpAttrs) ([]*v2.Grant, *rs.SyncOpResults, error) {
	page, err := s.memberships.read(ctx, "memberships", opts.PageToken.Token, s.many.Memberships)
	if err != nil {
		return nil, nil, s.failed("list group memberships", err)
	}
	if err := s.checks.addMemberships(ctx, opts.SyncID, opts.PageToken.Token, page); err != nil {
		return nil, nil, s.failed("list group memberships", err)
	}
	if err := s.checks.checkWitness(ctx, opts.SyncID, s.source); err != nil {
		return nil, nil, s.failed("compare groups with what their members' own rows say", err)
	}
	grants := make([]*v2.Grant, 0, len(page.Rows))
	for _, row := range page.Rows {
		one, err := newGrant(row.GroupID, row.Member)
		if err != nil {
			return nil, nil, s.failed("list group memberships", err)
		}
		grants = append(grants, one)
	}
	s.counter.memberships(ctx, opts.SyncID, len(grants))
	return grants, results(page.Next, page.Siblings), nil
}

// Get refuses a targeted sync. For a type whose members are listed in one walk,
// the syncer would store the group without its members
// (annotation_type_scoped_grants.proto in baton-sdk v0.26.0).
func (s *typeScopedGroupSyncer) Get(context.Context, *v2.ResourceId, *v2.ResourceId) (*v2.Resource, annotations.Annotations, error) {
	return nil, nil, s.failed("read group", errorf(codes.FailedPrecondition,
		"a sync of this group alone would hold none of its members: this connector reads the members of all groups in one walk; "+
			"run a full sync, or a one-shot sync with --sync-resources"))
}

func results(next string, siblings []string) *rs.SyncOpResults {
	out := &rs.SyncOpResults{NextPageToken: next}
	if len(siblings) > 0 {
		out.Annotations = annotations.New(v2.EnqueuePageTokens_builder{PageTokens: siblings}.Build())
	}
	return out
}

func groupResource(g *directory.Group) (*v2.Resource, error) {
	if err := directory.CheckID(g.ID); err != nil {
		return nil, errorf(codes.Internal, "a group %w", err)
	}
	options := []rs.ResourceOption{rs.WithResourceProfile(cleanProfile(g.Profile))}
	if g.Description != "" {
		options = append(options, rs.WithDescription(cut(clean(g.Description), maxDescription)))
	}
	if !g.CreatedAt.IsZero() {
		options = append(options, rs.WithResourceCreatedAt(g.CreatedAt))
	}
	var trait []rs.GroupTraitOption
	switch g.Origin {
	case directory.OriginBuiltIn:
		trait = append(trait, rs.WithGroupSourceType(rs.GroupSourceTypeBuiltIn))
	case directory.OriginDirectory:
		trait = append(trait, rs.WithGroupSourceType(rs.GroupSourceTypeDirectorySynced))
	case directory.OriginNotStated, directory.OriginPersonal:
	}
	return rs.NewGroupResource(displayName(g.Name, g.ID), groupType, g.ID, trait, options...)
}

// newGrant makes a grant that only refers to its resources. Whole resources cost
// a quarter more time, and the store drops them.
func newGrant(groupID string, m directory.Member) (*v2.Grant, error) {
	if err := directory.CheckID(groupID); err != nil {
		return nil, errorf(codes.Internal, "a group %w", err)
	}
	if err := directory.CheckID(m.ID); err != nil {
		return nil, errorf(codes.Internal, "a member %w", err)
	}
	group := v2.Resource_builder{
		Id: v2.ResourceId_builder{ResourceType: groupType.GetId(), Resource: groupID}.Build(),
	}.Build()
	if !m.IsGroup {
		return grant.NewGrant(group, member, v2.ResourceId_builder{ResourceType: userType.GetId(), Resource: m.ID}.Build()), nil
	}
	nested := v2.ResourceId_builder{ResourceType: groupType.GetId(), Resource: m.ID}.Build()
	return grant.NewGrant(group, member, nested, grant.WithAnnotation(v2.GrantExpandable_builder{
		EntitlementIds: []string{entitlement.NewEntitlementID(v2.Resource_builder{Id: nested}.Build(), member)},
	}.Build())), nil
}
