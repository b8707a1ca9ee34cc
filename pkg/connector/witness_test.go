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

	"github.com/conductorone/baton-connectors/internal/memory"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// reread is a vendor that is read a second time. It counts the requests, and
// fails the first time if a test sets that.
type reread struct {
	memory.Source
	asked  []string
	fails  map[string]codes.Code // once
	denied string                // a group that may not be read
}

func (s *reread) ask(what string) error {
	s.asked = append(s.asked, what)
	if code, fails := s.fails[what]; fails {
		delete(s.fails, what)
		return status.Error(code, "not now")
	}
	return nil
}

func (s *reread) Users(ctx context.Context, cursor string) (directory.Page[directory.User], error) {
	if err := s.ask("users"); err != nil {
		return directory.Page[directory.User]{}, err
	}
	return s.Source.Users(ctx, cursor)
}

func (s *reread) Groups(ctx context.Context, cursor string) (directory.Page[directory.Group], error) {
	if err := s.ask("groups"); err != nil {
		return directory.Page[directory.Group]{}, err
	}
	return s.Source.Groups(ctx, cursor)
}

func (s *reread) Group(_ context.Context, id string) (directory.Group, error) {
	err := s.ask("group " + id)
	switch {
	case err != nil:
		return directory.Group{}, err
	case id == s.denied:
		return directory.Group{}, status.Error(codes.PermissionDenied, "not for you")
	case strings.HasPrefix(id, "gone"):
		return directory.Group{}, status.Error(codes.NotFound, "no such group")
	case strings.HasPrefix(id, "personal"):
		return directory.Group{ID: id, Origin: directory.OriginPersonal}, nil
	case strings.HasPrefix(id, "everyone"):
		return directory.Group{ID: id, Origin: directory.OriginBuiltIn}, nil
	}
	return directory.Group{ID: id}, nil
}

func (s *reread) Members(ctx context.Context, id, cursor string) (directory.Page[directory.Member], error) {
	if err := s.ask("members " + id); err != nil {
		return directory.Page[directory.Member]{}, err
	}
	return s.Source.Members(ctx, id, cursor)
}

// rowsOf are users with the groups that their rows name: "ann: g1 g2".
func rowsOf(lines ...string) (rows []directory.User) {
	for _, line := range lines {
		id, groups, _ := strings.Cut(line, ":")
		rows = append(rows, directory.User{ID: id, Groups: strings.Fields(groups), Disabled: strings.HasPrefix(id, "invited"), Service: strings.HasPrefix(id, "agent")})
	}
	return rows
}

// listsOf are the members of groups: "g1: ann bob".
func listsOf(lines ...string) map[string][]directory.Member {
	lists := map[string][]directory.Member{}
	for _, line := range lines {
		group, ids, _ := strings.Cut(line, ":")
		lists[group] = membersNamed(strings.Fields(ids)...).Rows
	}
	return lists
}

// TestRowsAndListsMustNotContradict: a group that no list has, or a member
// missing from its list, loses access in silence. A change between two readings
// must not end a sync.
func TestRowsAndListsMustNotContradict(t *testing.T) {
	t.Parallel()
	rows := []string{"ann: g1 g2 all", "bob: g1 all", "cyd: g1 all", "dan:"}
	lists := []string{"g1: ann bob cyd dan", "g2: ann", "all:"}
	for name, test := range map[string]struct {
		rows, lists []string // as they are read first
		again       []string // rows on a second reading, if they differ
		lists2      []string // and lists
		groups2     string   // one more group on a second reading
		fails       map[string]codes.Code
		denied      string
		code        codes.Code
		words       []string
		warns       string
		quiet       bool // nothing is asked
	}{
		"all agree":                                 {rows: rows, lists: lists, quiet: true},
		"no row names a group":                      {rows: []string{"ann:", "bob:"}, lists: lists, quiet: true},
		"a list has more":                           {rows: []string{"ann: g2", "bob:"}, lists: lists, quiet: true},
		"a row comes twice, and says less":          {rows: append([]string{"ann: g1 g2"}, rows...), lists: lists, quiet: true},
		"the group of everybody is empty":           {rows: []string{"ann: all", "bob: all", "cyd: all"}, lists: []string{"g1: ann"}, quiet: true},
		"another group of everybody":                {rows: []string{"ann: g1 g2", "bob: g2", "cyd: g2"}, lists: []string{"g1: ann"}, quiet: true},
		"a member is left out":                      {rows: rows, lists: []string{"g1: ann cyd", "g2: ann"}, code: codes.FailedPrecondition, words: []string{"1 of 4 memberships", "on a second reading too (groups: 1, such as g1)"}},
		"an invited user and an agent are left out": {rows: append([]string{"invited-1: g1", "agent-1: g1 g9"}, rows...), lists: lists, quiet: true},
		"a member has joined since":                 {rows: rows, lists: []string{"g1: ann cyd", "g2: ann"}, lists2: lists},
		"a member has left since":                   {rows: rows, lists: []string{"g1: ann cyd", "g2: ann"}, again: []string{"ann: g1 g2", "bob: all", "cyd: g1"}},
		"a user is gone since":                      {rows: rows, lists: []string{"g1: ann cyd", "g2: ann"}, again: []string{"ann: g1 g2", "cyd: g1"}},
		"a group was emptied since":                 {rows: rows, lists: []string{"g1: ann bob cyd", "g2:"}, again: []string{"ann: g1", "bob: g1", "cyd: g1"}},
		"most is left out":                          {rows: rows, lists: []string{"g1: cyd", "g2: "}, warns: "the sync ignores these rows"},
		"the vendor is away for a moment":           {rows: rows, lists: []string{"g1: ann cyd", "g2: ann"}, fails: map[string]codes.Code{"members g1": codes.Unavailable, "users": codes.DeadlineExceeded}, code: codes.FailedPrecondition, words: []string{"1 of 4 memberships"}},
		"a group is not listed":                     {rows: []string{"ann: g1 g9", "bob: g1"}, lists: lists, code: codes.FailedPrecondition, words: []string{"the list of groups lacks groups that users' own rows name and that exist (1, such as g9)", "may not see all groups"}},
		"a group is new":                            {rows: []string{"ann: g1 g9", "bob: g1"}, lists: lists, groups2: "g9"},
		"a group is gone":                           {rows: []string{"ann: g1 gone", "bob: g1"}, lists: lists},
		"groups of the vendor's own":                {rows: []string{"ann: g1 personal-1 everyone-2", "bob: g1 everyone-2"}, lists: lists, warns: "groups that are not listed"},
		"a group may not be read":                   {rows: []string{"ann: g1 g9", "bob: g1"}, lists: lists, denied: "g9", warns: "groups that are not listed"},
		"a group is out of reach at first":          {rows: []string{"ann: g1 g9", "bob: g1"}, lists: lists, fails: map[string]codes.Code{"group g9": codes.Unavailable, "groups": codes.Unavailable}, code: codes.FailedPrecondition, words: []string{"(1, such as g9)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.WarnLevel)
			ctx := ctxzap.ToContext(context.Background(), zap.New(core))
			checks := &crossChecks{now: still}
			listed := groupsNamed("g1", "g2", "all")
			listed.Rows[2].Origin = directory.OriginBuiltIn
			read := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			again := &reread{fails: test.fails, denied: test.denied}
			again.UserRows, again.MemberRows, again.GroupRows = rowsOf(test.rows...), listsOf(test.lists...), listed.Rows
			if test.again != nil {
				again.UserRows = rowsOf(test.again...)
			}
			if test.lists2 != nil {
				again.MemberRows = listsOf(test.lists2...)
			}
			if test.groups2 != "" {
				again.GroupRows = append(again.GroupRows, directory.Group{ID: test.groups2})
			}
			half := len(test.rows) / 2 // the groups are listed while users are
			read(checks.addUsers("s", "", directory.Page[directory.User]{Rows: rowsOf(test.rows[:half]...), Next: "2"}))
			read(checks.addGroups("s", "", listed, false))
			silent := usersNamed("ann", "bob", "cyd", "dan").Rows
			read(checks.addUsers("s", "2", directory.Page[directory.User]{Rows: append(rowsOf(test.rows[half:]...), silent...)}))
			var err error
			for _, group := range []string{"all", "g1", "g2"} {
				if len(again.asked) > 0 || err != nil {
					t.Fatalf("before all was read: %q, %v", again.asked, err)
				}
				page := directory.Page[directory.Member]{Rows: listsOf(test.lists...)[group]}
				read(checks.addMembers(ctx, "s", group, page))
				err = checks.checkWitness(ctx, "s", again)
			}
			for range len(test.fails) + 1 { // the syncer tries again
				if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded {
					break
				}
				err = checks.checkWitness(ctx, "s", again)
			}
			if status.Code(err) != test.code {
				t.Fatalf("it ended with %v", err)
			}
			said := fmt.Sprint(err, logs.All())
			for _, word := range append(test.words, test.warns) {
				if !strings.Contains(said, word) {
					t.Errorf("%q is missing in %s", word, said)
				}
			}
			if (logs.Len() > 0) != (test.warns != "") {
				t.Errorf("logged: %v", logs.All())
			}
			if strings.Contains(said, "ann") || strings.Contains(said, "bob") {
				t.Errorf("a person is named: %s", said)
			}
			if test.quiet && len(again.asked) > 0 {
				t.Errorf("it asked for %q", again.asked)
			}
			if asked := len(again.asked); err == nil {
				if err := checks.checkWitness(ctx, "s", again); err != nil || len(again.asked) > asked {
					t.Errorf("it is judged twice: %v, %q", err, again.asked)
				}
			}
		})
	}
}

// TestAWitnessNeedsTheWholeSync: a process that saw only a part knows nothing.
func TestAWitnessNeedsTheWholeSync(t *testing.T) {
	t.Parallel()
	rows := directory.Page[directory.User]{Rows: rowsOf("ann: g1 g9")}
	for name, before := range map[string]func(*crossChecks) error{
		"no first page of users": func(c *crossChecks) error { return c.addUsers("s", "2", rows) },
		"users are still read": func(c *crossChecks) error {
			return c.addUsers("s", "", directory.Page[directory.User]{Rows: rows.Rows, Next: "2"})
		},
		"users of another sync": func(c *crossChecks) error { return c.addUsers("r", "", rows) },
		"more than can be remembered": func(c *crossChecks) error {
			many := make([]string, maxStated+1)
			return c.addUsers("s", "", directory.Page[directory.User]{Rows: append(rowsOf("ann: g1 g9"), directory.User{ID: "bob", Groups: many})})
		},
	} {
		checks, source := &crossChecks{now: still}, &reread{}
		if err := before(checks); err != nil {
			t.Fatal(err)
		}
		if err := checks.addGroups("s", "", groupsNamed("g1"), false); err != nil {
			t.Fatal(err)
		}
		if err := checks.addMembers(t.Context(), "s", "g1", membersNamed()); err != nil {
			t.Fatal(err)
		}
		if err := checks.checkWitness(t.Context(), "s", source); err != nil || len(source.asked) > 0 {
			t.Errorf("%s: %v, %q", name, err, source.asked)
		}
	}
}

// TestFewUnlistedGroupsAreAskedFor: a vendor may name a group for every user.
func TestFewUnlistedGroupsAreAskedFor(t *testing.T) {
	t.Parallel()
	checks, source := &crossChecks{now: still}, &reread{}
	var rows []string
	for i := range 500 {
		rows = append(rows, fmt.Sprintf("user-%d: g1 personal-%d", i, i))
	}
	rows = append(rows, "ann: secret", "bob: secret")
	if err := checks.addUsers("s", "", directory.Page[directory.User]{Rows: rowsOf(rows...)}); err != nil {
		t.Fatal(err)
	}
	if err := checks.addGroups("s", "", groupsNamed("g2"), false); err != nil {
		t.Fatal(err)
	}
	if err := checks.addMembers(t.Context(), "s", "g2", membersNamed()); err != nil {
		t.Fatal(err)
	}
	err := checks.checkWitness(t.Context(), "s", source)
	if status.Code(err) != codes.FailedPrecondition || len(source.asked) > maxAsked+1 {
		t.Errorf("after %d requests: %v", len(source.asked), err)
	}
	if source.asked[0] != "group g1" || source.asked[1] != "group secret" {
		t.Errorf("those that most users name are not asked for first: %q", source.asked[:2])
	}
}
