package fidelity

import (
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// notAList are answers with status 200 that are not a list.
var notAList = []struct{ fault, does string }{
	{"html-login", "answers 200 with an HTML login page"},
	{"json-error", `answers 200 with {"error": …}`},
	{"null", "answers 200 with null"},
	{"text", "answers 200 with plain text"},
	{"string", "answers 200 with a JSON string"},
	{"empty-object", "answers 200 with {}"},
	{"other-object", "answers 200 with an object of another kind"},
	{"deep-nesting", "answers with 100,000 nested lists"},
}

var rowShapes = []struct{ fault, does string }{
	{"duplicate-members", "lists a member twice"},
	{"odd-ids", "has ids with slashes, blanks, question marks and non-ASCII letters"},
	{"long-names", "has names of 5,000 multi-byte characters"},
	{"odd-names", "has names with newlines, control characters and markup"},
	{"empty-names", "has names that are empty or blank"},
	{"invalid-utf8", "has names that are not UTF-8"},
	{"odd-dates", "has dates that are words, numbers or null"},
	{"unknown-fields", "sends unknown fields"},
	{"odd-order", "sends fields in another order"},
}

func bothBehaviours() []behaviour {
	all := []behaviour{
		{
			name: "users-not-found", fault: "not-found", on: users, from: 2, does: "answers 404 to the first page of users",
			code: codes.FailedPrecondition, words: []string{"list users", "404", "base URL"}, but: "not as NotFound, which the SDK takes for an empty list",
		},
		{
			name: "users-page-not-found", fault: "not-found", on: users, from: 3, does: "answers 404 to a later page of users",
			code: codes.FailedPrecondition, words: []string{"list users", "404", "base URL"},
		},
		{
			name: "users-gone", fault: "gone", on: users, from: 2, does: "answers 410 to the first page of users",
			code: codes.FailedPrecondition, words: []string{"list users", "410", "base URL"},
		},
		{
			name: "users-page-gone", fault: "gone", on: users, from: 3, does: "answers 410 to a later page of users",
			code: codes.FailedPrecondition, words: []string{"list users", "410", "base URL"},
		},
		{
			name: "members-gone", fault: "gone", on: members, from: 5, does: "answers 410 to the first page of members",
			code: codes.FailedPrecondition, words: []string{"member"},
		},
		{
			name: "bad-request", on: users, from: 3, does: "answers 400 to a later page of users",
			code: codes.InvalidArgument, words: []string{"list users", "400"},
		},
		{
			name: "unauthorized-users", fault: "unauthorized", on: users, from: 3, does: "revokes the credential while users are read",
			code: codes.Unauthenticated, words: []string{"list users", "401", "revoked"},
		},
		{
			name: "unauthorized-members", fault: "unauthorized", on: members, from: 6, does: "revokes the credential while memberships are read",
			code: codes.Unauthenticated, words: []string{"member", "401", "revoked"},
		},
		{
			name: "forbidden-users", fault: "forbidden", on: users, from: 3, does: "answers 403 while users are read",
			code: codes.PermissionDenied, words: []string{"list users", "403"},
		},
		{
			name: "forbidden-members", fault: "forbidden", on: members, from: 6, does: "answers 403 while memberships are read",
			code: codes.PermissionDenied, words: []string{"member", "403"},
		},
		{
			name: "no-content-users", fault: "no-content", on: users, from: 2, does: "answers 204 to the first page of users",
			code: codes.FailedPrecondition, words: []string{"list users"},
		},
		{
			name: "no-body-users", fault: "no-body", on: users, from: 2, does: "answers 200 with an empty body to the first page of users",
			code: codes.FailedPrecondition, words: []string{"list users"},
		},
		{
			name: "truncated-once", fault: "truncated", on: users, from: 3, to: 3, does: "cuts a body off once, and ends the answer normally",
		},
		{
			name: "truncated-members-once", fault: "truncated", on: members, from: 6, to: 6, does: "cuts a body with members off once",
		},
		{
			name: "truncated-always", fault: "truncated", on: users, from: 3, warm: true, does: "cuts every body off",
			code: codes.Aborted, words: []string{"list users", "ends in the middle", "no good answer since", "run the sync again"},
		},
		{name: "reset-once", fault: "reset", on: users, from: 3, to: 3, does: "resets a connection before an answer"},
		{name: "reset-body-once", fault: "reset-body", on: users, from: 3, to: 3, does: "resets a connection in the middle of a body"},
		{name: "reset-body-members-once", fault: "reset-body", on: members, from: 6, to: 6, does: "resets a connection in the middle of a body with members"},
		{
			name: "reset-always", requests: 150, fault: "reset-body", on: members, from: 6, warm: true, does: "resets every connection in the middle of a body",
			code: codes.Aborted, words: []string{"member", "cut off", "no good answer since", "run the sync again"},
		},
		{
			name: "outage", on: users, from: 3, warm: true, does: "answers 503 for longer than the outage limit",
			code: codes.Aborted, words: []string{"list users", "503", "no good answer since 2000-01-01", "limit 15m0s", "run the sync again"},
		},
		{name: "rate-limit-seconds", warm: true, requests: 100, size: &simulator.Size{Users: 101, GroupSizes: []int{101}}, does: "answers 429 with Retry-After in seconds to every third request"},
		{name: "rate-limit-date", on: users, from: 3, to: 3, does: "answers 429 with Retry-After as an HTTP date"},
		{name: "rate-limit-reset", on: users, from: 3, to: 3, does: "answers 429 with X-RateLimit-Reset alone"},
		{name: "rate-limit-bare", on: users, from: 3, to: 3, does: "answers 429 once and does not say how long to wait"},
		{name: "rate-limit-odd", on: members, from: 6, to: 6, does: "answers 429 with words instead of numbers in its headers"},
		{
			name: "rate-limit-long", on: users, from: 3, does: "asks for a pause of a day",
			code: codes.Aborted, words: []string{"list users", "asked for a pause until", "longer than a sync waits", "run the sync again"},
		},
		{name: "odd-limit-headers", does: "sends good answers with words instead of numbers in rate limit headers"},
		{name: "server-error", requests: 100, size: &simulator.Size{Users: 101, GroupSizes: []int{101}}, does: "answers 500 to every fourth request"},
		{name: "bad-gateway", on: users, from: 3, to: 3, does: "answers 502 once"},
		{name: "unavailable", on: members, from: 6, to: 6, does: "answers 503 once"},
		{name: "gateway-timeout", on: users, from: 3, to: 3, does: "answers 504 once"},
		{name: "request-timeout", on: users, from: 3, to: 3, does: "answers 408 once"},
		{name: "slow-body", does: "sends every body in small parts"},
		{
			name: "hang-once", fault: "hang", on: users, from: 3, to: 3, does: "lets a request hang once",
		},
		{
			name: "hang-always", fault: "hang", on: users, from: 3, does: "lets every request hang", warm: true,
			code: codes.Aborted, words: []string{"list users", "no complete answer within 1m0s", "no good answer since"},
		},
		{
			name: "one-byte-a-second", on: users, from: 3, does: "sends a byte a second", warm: true,
			code: codes.Aborted, words: []string{"list users", "no complete answer within 1m0s"},
		},
		{
			name: "redirect-elsewhere", on: users, from: 3, does: "redirects to another origin",
			code: codes.FailedPrecondition, words: []string{"list users", "redirected to", "credential", "base URL"}, but: "nothing is sent there",
		},
		{
			name: "redirect-loop", on: users, from: 3, does: "redirects to the same place without end",
			code: codes.FailedPrecondition, words: []string{"list users", "redirect"},
		},
		{name: "redirect-within", does: "redirects once, within its origin", requests: 250},
		{name: "gzip", does: "compresses its answers"},
		{
			name: "gzip-bomb", on: users, from: 3, does: "sends 1 MiB that unpacks to 1 GiB",
			options: func(o *rest.Options) { o.BodyLimit = 4 << 20 },
			code:    codes.FailedPrecondition, words: []string{"list users", "larger than 4 MiB"},
		},
		{
			name: "huge-body", on: users, from: 3, does: "sends 1 GiB",
			options: func(o *rest.Options) { o.BodyLimit = 4 << 20 },
			code:    codes.FailedPrecondition, words: []string{"list users", "larger than 4 MiB"},
		},
		{
			name: "huge-header", on: users, from: 3, does: "sends a header of 12 MiB",
			code: codes.FailedPrecondition, words: []string{"list users", "header"},
		},
		{name: "plain-json", does: "sends the content type application/json; charset=utf-8"},
		{
			name: "user-without-id", on: users, from: 2, does: "lists a user without an id",
			code: codes.Internal, words: []string{"list users", "page", "index 2", "id"}, but: "the page and the row are named",
		},
		{
			name: "user-with-empty-id", on: users, from: 2, does: "lists a user with an empty id",
			code: codes.Internal, words: []string{"list users", "page", "index 2", "id"},
		},
		{
			name: "group-without-id", on: groups, from: 2, does: "lists a group without an id",
			code: codes.Internal, words: []string{"list groups", "page", "index 0", "id"},
		},
		{
			name: "member-without-id", does: "lists a member without an id",
			code: codes.Internal, words: []string{"member", "page", "index 0", "id"},
		},
		{
			name: "long-id", does: "lists an id of 2,000 bytes",
			code: codes.Internal, words: []string{"list users", "index", "id", "bytes"}, but: "an id is never cut",
		},
		{
			name: "users-vanish", on: users, from: 2, does: "answers an empty list of users, although it has users",
			code: codes.FailedPrecondition, words: []string{"list users"},
		},
		{
			name: "unlisted-member", does: "has a member who is not in the list of users",
			but: "the grant is kept, because the vendor states it; the SDK logs a warning",
		},
		{name: "no-keep-alive", does: "closes the connection after every answer"},
	}
	for _, answer := range notAList {
		for _, list := range []struct {
			of   collection
			from int
		}{{users, 2}, {members, 6}} {
			word := "list users"
			if list.of == members {
				word = "member"
			}
			all = append(all, behaviour{
				name: answer.fault + "-" + string(list.of), fault: answer.fault, on: list.of, from: list.from,
				does: answer.does + " instead of " + string(list.of),
				code: codes.FailedPrecondition, words: []string{word, "answer", "base URL"},
			})
		}
	}
	for _, row := range rowShapes {
		// pkg/connector cuts the parts of a name that C1 cannot store.
		cut := row.fault == "long-names" || row.fault == "odd-names"
		all = append(all, behaviour{name: row.fault, does: row.does, connector: cut})
	}
	for i := range all {
		all[i].vendor = ofBoth
	}
	return all
}
