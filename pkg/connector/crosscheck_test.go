package connector

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

func usersNamed(ids ...string) (page directory.Page[directory.User]) {
	for _, id := range ids {
		page.Rows = append(page.Rows, directory.User{ID: id})
	}
	return page
}

func groupsNamed(ids ...string) (page directory.Page[directory.Group]) {
	for _, id := range ids {
		page.Rows = append(page.Rows, directory.Group{ID: id})
	}
	return page
}

func membersNamed(ids ...string) (page directory.Page[directory.Member]) {
	for _, id := range ids {
		nested := strings.HasPrefix(id, "group ")
		page.Rows = append(page.Rows, directory.Member{ID: strings.TrimPrefix(id, "group "), IsGroup: nested})
	}
	return page
}

// TestMembersWhoAreNoUsersEndTheSync: grants to ids that no user has would
// revoke every user's access in a sync that succeeds. A few members who have
// joined since the users were read must not end the sync.
func TestMembersWhoAreNoUsersEndTheSync(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		g1, g2 []string
		code   codes.Code
		warns  bool
	}{
		"all are listed":      {[]string{"a", "b", "group g2"}, []string{"c"}, codes.OK, false},
		"nobody is in groups": {nil, nil, codes.OK, false},
		"one of three is not": {[]string{"a", "b"}, []string{"Ann-1@example.com"}, codes.OK, true},
		"half are not":        {[]string{"a", "Ann-1@example.com"}, []string{"b", "Bob-22@example.com"}, codes.FailedPrecondition, false},
		"none is":             {[]string{"Ann-1@example.com"}, nil, codes.FailedPrecondition, false},
		"a group is no user":  {[]string{"g1", "g2"}, nil, codes.FailedPrecondition, false},
		"a user is no group":  {[]string{"group a", "group b"}, nil, codes.FailedPrecondition, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.WarnLevel)
			ctx := ctxzap.ToContext(context.Background(), zap.New(core))
			checks := &crossChecks{now: still}
			for _, err := range []error{
				checks.addUsers("s", "", usersNamed("a", "b", "c")),
				checks.addGroups("s", "", groupsNamed("g1", "g2"), false),
				checks.addMembers(ctx, "s", "g1", membersNamed(row.g1...)),
			} {
				if err != nil {
					t.Fatalf("before all was read: %v", err)
				}
			}
			err := checks.addMembers(ctx, "s", "g2", membersNamed(row.g2...))
			if status.Code(err) != row.code {
				t.Errorf("%v", err)
			}
			if (logs.Len() > 0) != row.warns {
				t.Errorf("logged: %v", logs.All())
			}
			said := fmt.Sprint(err, logs.All())
			if strings.Contains(said, "example") || strings.Contains(said, "Ann") {
				t.Errorf("a person is named: %s", said)
			}
			if strings.Contains(name, "half") && !strings.Contains(said, "2 of 4 members") {
				t.Errorf("the numbers are missing: %s", said)
			}
		})
	}
}

// TestTheMembersOfAllGroupsAreJudgedAtTheEnd of the walk, siblings included.
func TestTheMembersOfAllGroupsAreJudgedAtTheEnd(t *testing.T) {
	t.Parallel()
	page := func(next string, siblings []string, members ...string) (page directory.Page[directory.Membership]) {
		for _, m := range members {
			page.Rows = append(page.Rows, directory.Membership{GroupID: "g", Member: directory.Member{ID: m}})
		}
		page.Next, page.Siblings = next, siblings
		return page
	}
	checks := &crossChecks{now: still}
	for _, err := range []error{
		checks.addUsers("s", "", usersNamed("a")),
		checks.addGroups("s", "", groupsNamed("g"), true),
		checks.addMemberships(t.Context(), "s", "", page("2", []string{"x", "y"}, "nobody", "nobody else")),
		checks.addMemberships(t.Context(), "s", "x", page("", nil)),
		checks.addMemberships(t.Context(), "s", "2", page("", nil)),
	} {
		if err != nil {
			t.Fatalf("before all was read: %v", err)
		}
	}
	if err := checks.addMemberships(t.Context(), "s", "y", page("", nil, "a")); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "2 of 3") {
		t.Error(err)
	}
}

// TestACheckNeedsTheWholeSync: a process that saw only a part knows nothing.
func TestACheckNeedsTheWholeSync(t *testing.T) {
	t.Parallel()
	users, groups := usersNamed("a"), groupsNamed("g1")
	first := usersNamed("b")
	first.Next, first.Total, users.Total = "2", 90, 90
	for name, before := range map[string]func(*crossChecks) []error{
		"no users": func(c *crossChecks) []error { return []error{c.addGroups("s", "", groups, false)} },
		"no first page": func(c *crossChecks) []error {
			return []error{c.addUsers("s", "2", users), c.addGroups("s", "", groups, false)}
		},
		"a page between was elsewhere": func(c *crossChecks) []error {
			return []error{c.addUsers("s", "", first), c.addUsers("s", "3", users), c.addGroups("s", "", groups, false)}
		},
		"no groups": func(c *crossChecks) []error { return []error{c.addUsers("s", "", usersNamed("a"))} },
		"other sync": func(c *crossChecks) []error {
			return []error{c.addUsers("r", "", usersNamed("a")), c.addGroups("s", "", groups, false)}
		},
		"nothing at all": func(*crossChecks) []error { return nil },
	} {
		checks := &crossChecks{now: still}
		for _, err := range append(before(checks), checks.addMembers(t.Context(), "s", "g1", membersNamed("nobody"))) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestFewerRowsThanTheVendorCounts: if the order is unstable, a list with the
// right total may repeat some rows and lack others.
func TestFewerRowsThanTheVendorCounts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		totals [2]int
		code   codes.Code
	}{
		"as counted": {[2]int{3, 3}, codes.OK}, "more than counted": {[2]int{2, 2}, codes.OK},
		"not counted": {[2]int{0, 0}, codes.OK}, "counted by page": {[2]int{2, 9}, codes.OK},
		"fewer": {[2]int{4, 4}, codes.Aborted},
	} {
		checks := &crossChecks{now: still}
		first, second := usersNamed("a", "b"), usersNamed("b", "c")
		first.Next, first.Total, second.Total = "2", row.totals[0], row.totals[1]
		if err := checks.addUsers("s", "", first); err != nil {
			t.Errorf("%s: before the end: %v", name, err)
		}
		err := checks.addUsers("s", "2", second)
		if status.Code(err) != row.code || err != nil && !strings.Contains(err.Error(), "3 users were listed, but the vendor counts 4") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestObservationsAreBounded(t *testing.T) {
	t.Parallel()
	checks := &crossChecks{now: still}
	for i := range 10 * maxSyncs {
		if err := checks.addUsers(fmt.Sprint(i), "", usersNamed("a")); err != nil {
			t.Fatal(err)
		}
	}
	if len(checks.syncs) > maxSyncs {
		t.Errorf("%d syncs are remembered", len(checks.syncs))
	}
}
