package fidelity

import (
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/simulator"
)

// deviations of a paged SCIM list that a client must see through.
var deviations = []struct{ fault, does string }{
	{"items-per-page-wrong", "always states 7 as itemsPerPage"},
	{"items-per-page-zero", "states 0 as itemsPerPage"},
	{"items-per-page-null", "states null as itemsPerPage"},
	{"items-per-page-missing", "states no itemsPerPage"},
	{"start-index-zero-based", "counts startIndex from 0 in its answers"},
	{"start-index-missing", "states no startIndex"},
	{"total-of-page", "states the page's rows as totalResults"},
	{"total-missing", "states no totalResults"},
	{"total-string", "states totalResults as a string"},
	{"total-too-low", "states half the rows as totalResults"},
	{"cap-100", "caps pages at 100 rows"},
	{"cap-50", "caps pages at 50 rows"},
	{"cap-7", "caps pages at 7 rows"},
	{"wrap-around", "answers the first page again past the end"},
	{"overlapping-windows", "begins each page 10 rows early"},
	{"rows-alike", "lists up to five rows that sort alike, in another order at each request"},
	{"past-end-refused", "answers 400 past the end"},
	{"resources-missing", "leaves out Resources if there are no rows"},
	{"resources-null", "states null as Resources if there are no rows"},
	{"numeric-ids", "states ids as numbers beyond 2^53"},
	{"string-booleans", `states booleans as "True" and "False"`},
	{"string-emails", "states e-mails as plain strings"},
	{"two-primaries", "marks every e-mail as primary"},
	{"no-emails", "states no e-mails"},
	{"no-active", "does not say whether a user is active"},
	{"list-without-members", "lists groups without their members"},
	{"members-on-request", "shows members only of a single group, with attributes=members"},
	{"members-null", "states null as the members of an empty group"},
	{"members-missing", "states no members for an empty group"},
	{"excluded-ignored", "ignores excludedAttributes"},
	{"excluded-refused", "answers 400 to excludedAttributes"},
	{"nested-groups", "has groups as members of groups"},
	{"nested-cycle", "has groups that are members of each other in a cycle"},
	{"members-odd-type", "states the type of members in odd letter case"},
	{"members-ref-absolute", "states no type of members, but an absolute $ref"},
	{"members-ref-relative", "states no type of members, but a relative $ref"},
	{"members-ref-odd-case", "states no type of members, but a $ref in odd letter case"},
	{"members-odd-type-ref", "states a type of members that is neither User nor Group, and a $ref"},
	{"members-cut-off", "cuts the members of a group off at 50 in lists"},
	{"members-bare", "states only the id of members"},
	{"odd-case", "writes attribute names in odd letter case"},
}

func rudderStackBehaviours() []behaviour {
	all := []behaviour{
		{
			name: "groups-gone", fault: "gone", on: groups, from: 2, does: "answers 410 to the first page of groups",
			code: codes.FailedPrecondition, words: []string{"list groups", "410"},
		},
		{
			name: "documented", fault: "-",
			does: "follows RFC 7643 and 7644: names in one field or none, users without `active`, two groups with one name",
		},
		{
			name: "total-too-high", on: users, does: "states a totalResults that is 5 too high",
			code: codes.FailedPrecondition, words: []string{"list users", "totalResults", "230"},
		},
		{
			name: "total-zero", on: users, does: "states totalResults 0 and sends rows",
			code: codes.FailedPrecondition, words: []string{"totalResults"},
		},
		{
			name: "too-many", on: users, from: 2, does: "answers 400 tooMany to a count above 50",
			code: codes.InvalidArgument, words: []string{"list users", "400", "count is above the maximum of 50"},
		},
		{
			name: "start-index-ignored", on: users, does: "answers every request with the first page",
			code: codes.FailedPrecondition, words: []string{"list users", "230"},
		},
		{
			name: "unstable-order", on: users, does: "lists rows in another order at each request",
			code: codes.Aborted, words: []string{"list users", "run the sync again"},
		},
		{
			name: "cursors", on: users, does: "pages by cursor (RFC 9865)",
			code: codes.FailedPrecondition, words: []string{"nextCursor", "RFC 9865"}, but: "the cursor may be an index, and pages that do not overlap hide rows that move",
		},
		{
			name: "page-aligned", on: users, does: "rounds startIndex down to the first row of a page",
			code: codes.FailedPrecondition, words: []string{"list users", "rounds startIndex down"}, but: "pages that do not overlap hide rows that move",
		},
		{
			name: "page-aligned-of-20", on: users, does: "rounds startIndex down to the first row of a page of 20, and states the page's rows as totalResults",
			code: codes.FailedPrecondition, words: []string{"list users", "rounds startIndex down"},
		},
		{
			name: "scim-error-ok", on: users, from: 2, does: "answers 200 with a SCIM Error",
			code: codes.FailedPrecondition, words: []string{"list users", "the answer is an error", "database is down"},
		},
		{
			name: "endless", does: "lists new users without end", requests: 250,
			code: codes.FailedPrecondition, words: []string{"list users", "the list has no end"},
		},
		{
			name: "groups-unsupported", does: "answers 501 to /Groups: the organization has no SCIM groups",
			warns: "group", but: "with a warning",
		},
		{
			name: "groups-absent", does: "answers 404 to /Groups, and /ResourceTypes lists no Group",
			warns: "group", but: "with a warning",
		},
		{
			name: "groups-missing", does: "answers 404 to /Groups, although /ResourceTypes lists Group",
			code: codes.FailedPrecondition, words: []string{"404", `"Sync users only" (--sync-users-only)`},
		},
		{
			name: "groups-unknown", does: "answers 404 to /Groups and to /ResourceTypes",
			code: codes.FailedPrecondition, words: []string{"404", `"Sync users only" (--sync-users-only)`},
		},
		{
			name: "groups-page-not-found", fault: "not-found", on: groups, from: 3, does: "answers 404 to a later page of groups",
			code: codes.FailedPrecondition, words: []string{"list groups", "404"},
		},
		{
			name: "members-not-found", fault: "not-found", on: members, from: 5, does: "answers 404 to the first page of memberships",
			code: codes.FailedPrecondition, words: []string{"list group memberships", "404"},
		},
		{
			name: "members-page-not-found", fault: "not-found", on: members, from: 6, does: "answers 404 to a later page of memberships",
			code: codes.FailedPrecondition, words: []string{"list group memberships", "404"},
		},
		{
			name: "members-unsupported", does: "answers 501 to /Groups with members, but lists groups without members",
			code: codes.FailedPrecondition, words: []string{"list group memberships", "groups are listed"},
		},
		{
			name: "excluded-unsupported", does: "answers 501 to excludedAttributes",
		},
		{
			name: "groups-forbidden", does: "answers 403 to /Groups",
			code: codes.PermissionDenied, words: []string{"403", `"Sync users only" (--sync-users-only)`},
		},
		{
			name: "numeric-status", on: users, from: 3, does: "sends a SCIM error with a numeric status",
			code: codes.PermissionDenied, words: []string{"list users", "403", "Forbidden", "organization-level"},
		},
	}
	for _, d := range deviations {
		all = append(all, behaviour{name: d.fault, does: d.does})
	}
	for i := range all {
		all[i].vendor = ofRudderStack
		switch all[i].name {
		case "cap-7", "list-without-members", "members-on-request":
			all[i].requests = 400
		case "members-bare":
			all[i].requests = 150
		case "unstable-order":
			all[i].requests = 100
		case "nested-cycle":
			all[i].but = "the cycle is kept; the SDK derives no grants between its groups"
		case "nested-groups":
			all[i].but = "with the derived grants"
		}
	}
	return all
}

// nobody is a list that reports itself as empty. It is a truth, but it deserves
// a warning.
var nobody = behaviour{
	vendor: ofRudderStack, name: "no-users", fault: "-", size: &simulator.Size{}, warns: "no users",
	does: "has no users: totalResults is 0", but: "with a warning",
}
