package fidelity

import (
	"google.golang.org/grpc/codes"
)

// witnessBehaviours are answers that are each valid but contradict each other.
func witnessBehaviours() []behaviour {
	all := []behaviour{
		{
			vendor: ofBoth, name: "members-of-other-ids", does: "names members by ids that no user has",
			code: codes.FailedPrecondition, words: []string{"members of groups are not listed as users or groups", "230 users", "check that the credential may read all users"},
		},
		{
			vendor: ofBoth, name: "one-user-listed", does: "lists only one of the users who are in groups",
			code: codes.FailedPrecondition, words: []string{"members of groups are not listed as users or groups", "1 users"},
		},
		{
			vendor: ofRudderStack, name: "no-user-listed", does: "lists no users, but groups with members",
			code: codes.FailedPrecondition, words: []string{"members of groups are not listed as users or groups", "0 users"},
		},
		{
			vendor: ofGuru, name: "duplicate-rows", does: "lists users and groups twice, pages apart",
		},
		{
			vendor: ofRudderStack, name: "duplicate-rows", does: "lists and counts users and groups twice, pages apart",
			code: codes.Aborted, words: []string{"230 users were listed", "233"}, but: "a list that leaves users out looks the same",
		},
	}
	all = append(all, behaviour{
		vendor: ofGuru, name: "group-not-listed", does: "leaves a group out of both lists of groups, though members' rows name it and it can be read",
		code: codes.FailedPrecondition, words: []string{"the list of groups lacks groups that users' own rows name", "may not see all groups"},
	}, behaviour{
		vendor: ofGuru, name: "member-not-listed", does: "leaves a member out of a group's list, though the member's row names the group",
		code: codes.FailedPrecondition, words: []string{"memberships that users' own rows state", "on a second reading too"},
	})
	for i := range all { // pkg/connector compares lists
		all[i].connector = all[i].code != codes.OK
		all[i].warm = all[i].connector
	}
	return append(all, []behaviour{
		{
			vendor: ofRudderStack, name: "errors-as-empty-lists", on: users, from: 2, does: "answers totalResults 0 and no rows, but also errors, or rows under another name",
			code: codes.FailedPrecondition, words: []string{"list users", "no rows, but an error or another list beside them"},
		},
		{
			vendor: ofGuru, name: "rows-name-all-groups", warm: true, connector: true, does: "names groups in members' rows that most of those members are not in",
			warns: "the sync ignores these rows", but: "the groups' lists count, with a warning",
		},
		{
			vendor: ofGuru, name: "rows-without-groups", fault: "-", silent: true, does: "names no groups in members' rows",
		},
		{
			vendor: ofGuru, name: "usergroups-part", does: "lists groups at /groups that /groups/usergroups leaves out",
			but: "with the groups of both lists, and with a warning if one process reads both",
		},
		{
			vendor: ofGuru, name: "groups-of-one-user", does: "lists groups of a single user at /groups, but not at /groups/usergroups",
			but: "without them, because they are not the team's groups",
		},
		{
			vendor: ofGuru, name: "owner-not-listed", warm: true, does: "leaves the user of the API token out of the list of members",
			code: codes.FailedPrecondition, words: []string{"list users", "/members", "does not have the user whose API token reads it", "administrative role"},
			but: "only if one process reads the whole list",
		},
		{
			vendor: ofGuru, name: "owner-no-administrator", warm: true, does: "says that the user of the API token is not an administrator",
			warns: "not an administrator of the team", but: "with a warning",
		},
		{
			vendor: ofGuru, name: "row-ids-of-their-own", does: "lists members whose rows have ids that are not addresses",
		},
		{
			vendor: ofGuru, name: "one-address-twice", warm: true, does: "lists two users whose addresses differ only in letter case",
			code: codes.FailedPrecondition, words: []string{"list users", "an earlier account", "letter case"},
		},
		{
			vendor: ofGuru, name: "field-names-twice", does: "sends members' rows with two fields whose names differ only in letter case",
		},
		{
			vendor: ofGuru, name: "members-are-groups", does: "lists groups among the members of a group",
			code: codes.Internal, words: []string{"is a group and not a user"},
		},
	}...)
}
