package connector

import "github.com/conductorone/baton-connectors/pkg/directory"

// The sizes are upper bounds, in bytes, of this package's resources and grants as
// protobuf, computed from the rows.

const (
	// perRow covers the parts that every row has: ids and traits with their
	// types.
	perRow = 512
	// perText covers the tag and the length of a text.
	perText = 16
)

func userSize(u *directory.User) int {
	size := perRow + 2*len(u.ID) + textSize(u.DisplayName) + textSize(u.Login) + 2*textSize(u.StatusDetail) + profileSize(u.Profile)
	for _, email := range u.Emails {
		size += textSize(email.Address)
	}
	return size
}

func groupSize(g *directory.Group) int {
	return perRow + 2*len(g.ID) + textSize(g.Name) + perText + min(3*len(g.Description), maxDescription) + profileSize(g.Profile)
}

// grantSize takes the length of the group's id. The grant repeats the ids of the
// group and of the member.
func grantSize(group int, m directory.Member) int { return perRow + 3*group + 3*len(m.ID) }

// textSize takes a text before clean shortens it. A byte that is not UTF-8
// becomes three.
func textSize(text string) int { return perText + min(3*len(text), maxText) }

func profileSize(profile map[string]any) int {
	size := perText
	for key, value := range profile {
		size += textSize(key) + valueSize(value)
	}
	return size
}

func valueSize(value any) int {
	switch v := value.(type) {
	case string:
		return textSize(v)
	case []any:
		size := perText
		for i := range v {
			size += valueSize(v[i])
		}
		return size
	case map[string]any:
		return profileSize(v)
	default:
		return perText
	}
}

func memberKey(m directory.Member) string {
	if m.IsGroup {
		return "group " + m.ID
	}
	return "user " + m.ID
}
