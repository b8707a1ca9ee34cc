package fidelity

import (
	"google.golang.org/grpc/codes"
)

// witnessBehaviours are answers that are fine by themselves and contradict each
// other.
func witnessBehaviours() []behaviour {
	all := []behaviour{
		{
			vendor: ofBoth, name: "members-of-other-ids", does: "names the members of groups by ids that no user has",
			code: codes.FailedPrecondition, words: []string{"members of groups are no listed user or group", "230 users", "check that the credential may read all users"},
		},
		{
			vendor: ofBoth, name: "one-user-listed", does: "lists one user of all who are in groups",
			code: codes.FailedPrecondition, words: []string{"members of groups are no listed user or group", "1 users"},
		},
		{
			vendor: ofRudderStack, name: "no-user-listed", does: "lists no users, but groups with members",
			code: codes.FailedPrecondition, words: []string{"members of groups are no listed user or group", "0 users"},
		},
		{
			vendor: ofGuru, name: "duplicate-rows", does: "lists users and groups twice, pages apart",
		},
		{
			vendor: ofRudderStack, name: "duplicate-rows", does: "lists users and groups twice, pages apart, and counts them twice",
			code: codes.Aborted, words: []string{"230 users were listed", "233"}, but: "users who are left out of a list look the same",
		},
	}
	for i := range all {
		all[i].connector = all[i].code != codes.OK
		all[i].warm = all[i].connector
	}
	return all
}
