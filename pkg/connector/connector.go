// Package connector makes a Baton connector of any directory.Source: two
// resource types, user and group, and one entitlement, member.
//
// The SDK's syncer calls users.go and groups.go. They read a page from the source
// through pages.go, which merges small pages and splits large ones; crosscheck.go
// compares it with what the sync has read before; counter.go counts it; and it is
// returned as Baton resources or grants.
package connector

import (
	"context"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/annotations"
	"github.com/conductorone/baton-sdk/pkg/connectorbuilder"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// Info describes a connector for C1.
type Info struct {
	// Name is the binary's name, such as baton-guru; it opens every error.
	Name string
	// DisplayName is the vendor's name.
	DisplayName string
	// Description is one sentence.
	Description string
	// HelpURL is the address of the connector's page, over https; may be empty.
	HelpURL string
}

// Connector implements connectorbuilder.ConnectorBuilderV2.
type Connector struct {
	info    Info
	source  directory.Source
	counter *Counter
	checks  *crossChecks
	// groupByGroup is set if memberships are read group by group, even from a
	// source that lists them in one walk.
	groupByGroup bool

	users       *pages[directory.User]
	groups      *pages[directory.Group]
	members     *pages[directory.Member]
	memberships *pages[directory.Membership]
}

var _ connectorbuilder.ConnectorBuilderV2 = (*Connector)(nil)

// New makes a connector for a source. To tell capabilities alone, the source may
// be a nil pointer of its type; only ResourceSyncers and Metadata may be called
// then. The counter may be nil.
func New(info Info, source directory.Source, counter *Counter) *Connector {
	if counter == nil {
		counter = &Counter{}
	}
	return &Connector{
		info: info, source: source, counter: counter,
		checks: &crossChecks{now: counter.now},
		users: &pages[directory.User]{
			now: counter.now, size: userSize,
			key: func(u *directory.User) (string, string) { return u.ID, "" },
		},
		groups: &pages[directory.Group]{
			now: counter.now, size: groupSize,
			key: func(g *directory.Group) (string, string) { return g.ID, "" },
		},
		members: &pages[directory.Member]{
			now:  counter.now,
			size: func(m *directory.Member) int { return grantSize(directory.MaxID, *m) },
			key:  func(m *directory.Member) (string, string) { return memberKey(*m), "" },
		},
		memberships: &pages[directory.Membership]{
			now:  counter.now,
			size: func(m *directory.Membership) int { return grantSize(len(m.GroupID), m.Member) },
			key:  func(m *directory.Membership) (string, string) { return m.GroupID, memberKey(m.Member) },
		},
	}
}

// Metadata describes the connector.
func (c *Connector) Metadata(context.Context) (*v2.ConnectorMetadata, error) {
	return v2.ConnectorMetadata_builder{
		DisplayName: c.info.DisplayName,
		Description: c.info.Description,
		HelpUrl:     c.info.HelpURL,
	}.Build(), nil
}

// Validate proves that the credentials can read what a sync reads.
func (c *Connector) Validate(ctx context.Context) (annotations.Annotations, error) {
	if err := c.source.Check(ctx); err != nil {
		return nil, c.failed("check the credentials", err)
	}
	return nil, nil
}

// ReadGroupByGroup makes the connector read memberships group by group, as a sync
// of single groups needs. Call it before ResourceSyncers.
func (c *Connector) ReadGroupByGroup() { c.groupByGroup = true }

// inOneWalk returns the source if it lists all memberships in one walk.
func (c *Connector) inOneWalk() (directory.Memberships, bool) {
	many, ok := c.source.(directory.Memberships)
	return many, ok && !c.groupByGroup
}

// ResourceSyncers returns the user and the group syncer.
func (c *Connector) ResourceSyncers(context.Context) []connectorbuilder.ResourceSyncerV2 {
	groups := &groupSyncer{c}
	if many, ok := c.inOneWalk(); ok {
		return []connectorbuilder.ResourceSyncerV2{&userSyncer{c}, &typeScopedGroupSyncer{groupSyncer: groups, many: many}}
	}
	return []connectorbuilder.ResourceSyncerV2{&userSyncer{c}, groups}
}

// at marks a resource type with the connector's name, for Info.Owns.
func (i Info) at(kind *v2.ResourceType) *v2.ResourceType {
	kind = proto.CloneOf(kind)
	marked := annotations.Annotations(kind.GetAnnotations())
	marked.Append(wrapperspb.String(i.Name))
	kind.SetAnnotations(marked)
	return kind
}

// Owns reports whether a resource type stored in a file belongs to this
// connector.
func (i Info) Owns(kind *v2.ResourceType) bool {
	var name wrapperspb.StringValue
	marked := annotations.Annotations(kind.GetAnnotations())
	ok, err := marked.Pick(&name)
	return err == nil && ok && name.GetValue() == i.Name
}
