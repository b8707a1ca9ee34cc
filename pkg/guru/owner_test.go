package guru

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

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// TestTheOwnerOfTheTokenIsAMember: a list of members without the token's owner
// is incomplete, and a sync of it revokes the access of all missing users.
func TestTheOwnerOfTheTokenIsAMember(t *testing.T) {
	t.Parallel()
	me := func(user string) string { return `{"tokenType":"API","team":{},"user":` + user + `}` }
	others := memberJSON("a@example.com")
	as := func(role string) string { return strings.ReplaceAll(memberJSON("Admin@example.com"), "ADMIN", role) }
	for name, row := range map[string]struct {
		whoAmI, first, second string
		code                  codes.Code
		warnings              int
	}{
		"on the first page":       {me(`{"email":"admin@Example.com"}`), as("ADMIN"), others, codes.OK, 0},
		"on the last page":        {me(`{"email":"admin@example.com"}`), others, as("ADMIN"), codes.OK, 0},
		"by the user's id":        {me(`{"id":"0c7e-Admin@example.com","email":"old@example.com"}`), others, as("ADMIN"), codes.OK, 0},
		"nowhere":                 {me(`{"id":"1","email":"admin@example.com"}`), others, others, codes.FailedPrecondition, 0},
		"nowhere by id":           {me(`{"id":"1"}`), others, as("ADMIN"), codes.FailedPrecondition, 0},
		"not stated":              {me(`{}`), others, others, codes.OK, 0},
		"no administrator":        {me(`{"email":"admin@example.com"}`), others, as("AUTHOR"), codes.OK, 1},
		"listed twice":            {me(`{"email":"admin@example.com"}`), as("AUTHOR"), as("AUTHOR"), codes.OK, 1},
		"of no role":              {me(`{"email":"admin@example.com"}`), others, as(""), codes.OK, 0},
		"an administrator, oddly": {me(`{"email":"admin@example.com"}`), others, as("Admin"), codes.OK, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := newVendor(t, answers{
				"whoami": say(row.whoAmI), "groups/usergroups": say(array(groupJSON("g1"))),
				"members": linked(say(array(row.first)), toPage("members", "2")), "members?token=2": say(array(row.second)),
			}).source(t, rest.Options{})
			core, logs := observer.New(zapcore.WarnLevel)
			ctx := ctxzap.ToContext(context.Background(), zap.New(core))
			for range 2 { // two syncs of one process
				logs.TakeAll()
				if err := source.Check(ctx); err != nil {
					t.Fatal(err)
				}
				page, err := source.Users(ctx, "")
				if err != nil || page.Next == "" {
					t.Fatal(page, err)
				}
				_, first := source.Users(ctx, page.Next)
				_, err = source.Users(ctx, page.Next) // the SDK's page begins with it again
				if (first == nil) != (err == nil) {
					t.Errorf("read again, it says %v instead of %v", err, first)
				}
				if row.code == codes.OK {
					if err != nil {
						t.Error(err)
					}
				} else {
					wantError(t, err, row.code, "/members: the list of members does not have the user whose API token reads it", "administrative role")
				}
				if logs.Len() != row.warnings {
					t.Errorf("%d warnings: %v", logs.Len(), logs.All())
				}
				if said := fmt.Sprint(err, logs.All()); strings.Contains(said, "@") {
					t.Errorf("a person is named: %s", said)
				}
			}
		})
	}
}

// TestWhoTheOwnerIsMustBeKnownHere: a process that has read only a part, as on
// AWS Lambda, knows nothing of the whole.
func TestWhoTheOwnerIsMustBeKnownHere(t *testing.T) {
	t.Parallel()
	v := newVendor(t, answers{
		"whoami": say(`{"tokenType":"API","user":{"email":"admin@example.com"}}`), "groups/usergroups": say(array(groupJSON("g1"))),
		"members":         linked(say(array(memberJSON("a@example.com"))), toPage("members", "2")),
		"members?token=2": say(array(memberJSON("b@example.com"))),
	})
	first, second := v.source(t, rest.Options{}), v.source(t, rest.Options{})
	if err := second.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	page, err := first.Users(context.Background(), "") // which has not asked who it is
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]*Source{"no owner": first, "no first page": second} {
		if _, err := source.Users(context.Background(), page.Next); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
