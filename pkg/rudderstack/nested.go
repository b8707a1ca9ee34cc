package rudderstack

import (
	"context"
	"fmt"
	"strings"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

type memberKind int

const (
	kindUser memberKind = iota
	kindGroup
	// kindUnstated: the member is a group if a listed group has its id.
	kindUnstated
	// kindUnknown: the member is neither a user nor a group.
	kindUnknown
)

// kind returns the kind of a member by its type or else by the collection in its
// $ref, an absolute or relative URL in any letter case. Some servers state neither.
func (m *memberRow) kind() memberKind {
	switch {
	case strings.EqualFold(m.Type, "User"):
		return kindUser
	case strings.EqualFold(m.Type, "Group"):
		return kindGroup
	}
	path, _, _ := strings.Cut(m.Ref, "?")
	path, _, _ = strings.Cut(path, "#")
	elements := strings.Split(strings.TrimRight(path, "/"), "/")
	for i := len(elements) - 2; i >= 0; i-- {
		switch {
		case strings.EqualFold(elements[i], usersPath):
			return kindUser
		case strings.EqualFold(elements[i], groupsPath):
			return kindGroup
		}
	}
	if strings.TrimSpace(m.Type) != "" {
		return kindUnknown
	}
	return kindUnstated
}

// uniqueID is the length from which a user and a group cannot share an id.
// RudderStack's ids have 27 characters.
const uniqueID = 16

// member converts a row. A member of an unstated kind is a group if a listed
// group has its id, and a user otherwise. If such an id is short, a user may
// have it too, because a server may number each of its tables; that is an
// error.
func (s *Source) member(ctx context.Context, group string, row *memberRow) (directory.Member, error) {
	member := directory.Member{ID: row.Value, IsGroup: row.kind() == kindGroup}
	if row.kind() != kindUnstated {
		return member, nil
	}
	var err error
	member.IsGroup, err = s.known.has(ctx, s, row.Value, s.now().Add(-maxSetAge))
	if err == nil && member.IsGroup && len(row.Value) < uniqueID {
		err = s.walkFailed(groupsPath, broken("group %q has a member %q that may be a group or a user: it states no type, and the id is short enough for both", group, row.Value))
	}
	return member, err
}

// fault returns an error if a member of the group cannot be understood.
func (row *membersRow) fault() error {
	for i := range row.Members {
		m := &row.Members[i]
		if err := directory.CheckID(m.Value); err != nil {
			return fmt.Errorf("the member at index %d of group %q %w", i, row.ID.Value, err)
		}
		if m.kind() == kindUnknown {
			return fmt.Errorf("the member at index %d of group %q has the type %q, which is neither User nor Group", i, row.ID.Value, m.Type)
		}
	}
	return nil
}
