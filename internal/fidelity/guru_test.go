package fidelity

import (
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/simulator"
)

var guruShapes = []struct{ fault, does string }{
	{"usergroups-400", "answers 400 to /groups/usergroups; /groups works"},
	{"usergroups-403", "answers 403 to /groups/usergroups; /groups works"},
	{"usergroups-404", "answers 404 to /groups/usergroups; /groups works"},
	{"usergroups-405", "answers 405 to /groups/usergroups; /groups works"},
	{"usergroups-object", "answers one group to /groups/usergroups; /groups works"},
	{"usergroups-html", "answers HTML to /groups/usergroups; /groups works"},
	{"usergroups-empty", "answers [] to /groups/usergroups; /groups works"},
	{"groups-404", "answers 404 to /groups; /groups/usergroups works"},
	{"groups-paged", "lists groups a few at a time"},
	{"link-tight", "has no blanks within the brackets of Link"},
	{"link-next", `says rel="next" in Link`},
	{"link-bare-rel", "says rel without quotes, in odd letter case"},
	{"link-no-rel", "says no rel in Link"},
	{"link-several", "sends several links in one header"},
	{"link-headers", "sends several Link headers"},
	{"link-elsewhere", "links to another host"},
	{"link-relative", "sends a relative Link"},
	{"link-raw-token", "does not percent-encode + / = in tokens"},
	{"status-lower-case", "writes statuses in lower case"},
	{"status-unknown", "states statuses that are not documented"},
	{"status-missing", "states no status"},
	{"user-id-missing", "states no user.id"},
	{"member-user-id-missing", "states no user.id in the lists of groups' members"},
	{"member-user-null", "states null as user in the lists of groups' members"},
	{"user-bare", "lists users with their fields at the top level"},
	{"user-bare-uuid", "lists bare users everywhere, with UUIDs as their ids"},
	{"mixed-case", "writes e-mails in different letter case in its lists"},
	{"row-id-missing", "states no id of a row, but its user's e-mail"},
	{"empty-array", "answers [] for an empty group"},
	{"empty-body", "answers 200 without a body for an empty group"},
	{"everyone-listed", "lists everyone in All Members, though it counts 0"},
	{"counts-wrong", "states wrong numberOfMembers"},
	{"members-in-one-body", "sends a group's members in one body"},
	{"whoami-404", "answers 404 to /whoami"},
}

func guruBehaviours() []behaviour {
	all := []behaviour{
		{name: "documented", fault: "-", does: "follows its documentation: 204 for an empty group, two groups with one name, agents without names"},
		{
			name: "usergroups-401", on: groups, from: 2, does: "answers 401 to /groups/usergroups; /members and /groups work",
		},
		{
			name: "usergroups-500", on: groups, from: 2, warm: true, does: "answers 500 to /groups/usergroups; /groups works",
			but: "after a second try",
		},
		{
			name: "groups-gone", fault: "gone", on: groups, from: 2, does: "answers 410 to /groups/usergroups; /groups works",
		},
		{
			name: "both-groups-404", does: "answers 404 to both lists of groups",
			code: codes.FailedPrecondition, words: []string{"/groups/usergroups", "/groups: ", "404", "base URL"},
		},
		{
			name: "groups-empty", does: "answers [] to both lists of groups",
			code: codes.FailedPrecondition, words: []string{"/groups/usergroups", "/groups: ", "the list of groups is empty", "--sync-resource-types user"},
		},
		{
			name: "groups-page-not-found", fault: "not-found", on: groups, from: 3, more: []simulator.Option{simulator.WithFault("groups-paged")},
			does: "answers 404 to a later page of groups",
			code: codes.FailedPrecondition, words: []string{"list groups", "/groups/usergroups", "404", "base URL"},
		},
		{
			name: "members-page-not-found", fault: "not-found", on: members, from: 2, size: &simulator.Size{Users: 150, GroupSizes: []int{150}, WithoutAllMembers: true},
			does: "answers 404 to a later page of a group's members",
			code: codes.FailedPrecondition, words: []string{"list the members of a group", "group that exists"},
		},
		{
			name: "members-page-blank", does: "answers 200 without a body to a later page of a group's members",
			code: codes.FailedPrecondition, words: []string{"members", "an empty answer where a list belongs"},
		},
		{
			name: "all-members-403", does: "answers 403 only to the members of All Members",
			code: codes.PermissionDenied, words: []string{"list the members of a group", "403", "All Members", "--sync-resource-types user"},
		},
		{
			name: "all-members-404", does: "answers 404 only to the members of All Members",
			code: codes.FailedPrecondition, words: []string{"list the members of a group", "404", "All Members", "--sync-resource-types user"},
		},
		{
			name: "announced-page-204",
			does: "answers 204 to a page of members that the page before announced",
			code: codes.FailedPrecondition, words: []string{"list users", "/members", "announced more"}, but: "after reading the list a second time",
		},
		{
			name: "group-members-page-204", fault: "no-content", on: members, from: 2, size: &simulator.Size{Users: 150, GroupSizes: []int{150}, WithoutAllMembers: true},
			does: "answers 204 to a page of a group's members that the page before announced, and then also to the first page",
			code: codes.FailedPrecondition, words: []string{"list the members of a group", "announced more"},
		},
		{
			name: "token-cycle", does: "links the last page of members to the first",
			code: codes.FailedPrecondition, words: []string{"list users", "repeats itself"},
		},
		{
			name: "token-stuck", does: "links every page of members to itself",
			code: codes.FailedPrecondition, words: []string{"list users", "repeats itself"},
		},
		{
			name: "token-expired", does: "answers 400 to every paging token",
			code: codes.InvalidArgument, words: []string{"list users", "400", "paging token"},
		},
		{
			name: "user-missing", on: users, from: 2, does: "lists a row of members without its user",
			code: codes.Internal, words: []string{"list users", "page", "index 2", "user"},
		},
		{
			name: "user-null", on: users, from: 2, does: "lists a row of members with null for its user",
			code: codes.Internal, words: []string{"list users", "page", "index 2", "user"},
		},
		{
			name: "group-vanished", warns: "group", does: "deletes a group before its members are read: 404 for both",
			but: "the group has no grants, with a warning",
		},
		{
			name: "group-members-404", does: "answers 404 to the members of every group that exists",
			code: codes.FailedPrecondition, words: []string{"list the members of a group", "/members"},
		},
		{
			name: "group-hidden", does: "answers 404 to a group and to its members, but still lists it",
			code: codes.FailedPrecondition, words: []string{"list the members of a group", "group that exists"},
		},
		{
			name: "group-hidden-paged", fault: "group-hidden", more: []simulator.Option{simulator.WithFault("groups-paged")},
			does: "answers 404 to a group and to its members, but still lists it on a later page",
			code: codes.FailedPrecondition, words: []string{"list the members of a group", "group that exists"},
		},
		{
			name: "group-members-403", does: "answers 403 to the members of a group",
			code: codes.PermissionDenied, words: []string{"members", "403"},
		},
		{
			name: "members-204", on: users, from: 2, does: "answers 204 to the list of members",
			code: codes.FailedPrecondition, words: []string{"/members", "this list is incomplete"},
		},
		{
			name: "collection-token", does: "says that the token is a collection's",
			code: codes.PermissionDenied, words: []string{"collection token", "API token of a user"},
		},
	}
	for _, shape := range guruShapes {
		all = append(all, behaviour{name: shape.fault, does: shape.does})
	}
	for i := range all {
		all[i].vendor = ofGuru
	}
	return all
}
