package guru

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Groups implements directory.Source.
func (s *Source) Groups(ctx context.Context, text string) (directory.Page[directory.Group], error) {
	page, err := s.listGroups(ctx, text)
	s.prefetchMembers(ctx, page.Rows)
	return page, err
}

func (s *Source) listGroups(ctx context.Context, text string) (directory.Page[directory.Group], error) {
	if text == "" {
		return s.firstGroups(ctx, func(at cursor) (directory.Page[directory.Group], error) { return s.groupsAt(ctx, at, text) })
	}
	at, err := s.groups.parse(text)
	if err != nil {
		return directory.Page[directory.Group]{}, err
	}
	return s.groupsAt(ctx, at, text)
}

// groupsAt reads the page at a cursor; its text is empty for the first page. The
// groups that only groups has follow the last page of groups/usergroups.
func (s *Source) groupsAt(ctx context.Context, at cursor, text string) (directory.Page[directory.Group], error) {
	if at.Route == afterUserGroups {
		rows, next, err := s.missedGroups(ctx, at)
		return s.groupPage(rows, next), err
	}
	if at.Route == viaUserGroups && at.Page == 1 {
		s.groups.prefetch(ctx, s.client.PrefetchWhenIdle, s.groups.start(afterUserGroups))
	}
	rows, next, err := s.groups.read(ctx, s.client, at)
	if err != nil {
		return directory.Page[directory.Group]{}, err
	}
	if at.Route == viaUserGroups {
		s.userGroupsFailed.Store(false)
		s.userGroups.add(rows, text, s.groups.encode(next))
		if next.Page == 0 {
			var missed []groupRow
			if missed, next, err = s.missedGroups(ctx, s.groups.start(afterUserGroups)); err != nil {
				return directory.Page[directory.Group]{}, err
			}
			rows = append(rows, missed...)
		}
	}
	return s.groupPage(rows, next), nil
}

func (s *Source) groupPage(rows []groupRow, next cursor) directory.Page[directory.Group] {
	page := directory.Page[directory.Group]{Rows: make([]directory.Group, len(rows)), Next: s.groups.encode(next)}
	for i := range rows {
		page.Rows[i], _ = rows[i].group() // decodeGroups has checked it
	}
	return page
}

// missedGroups reads a page of groups and returns the groups that
// groups/usergroups lacks. According to the documentation both are the same
// list, so a difference is logged. groups/usergroups may leave out the groups
// that Guru makes itself: the group of all members and the groups of a single
// user.
//
// If Guru refuses the first page of a list of groups, the sync does not end,
// because groups/usergroups has answered. Any other error ends it: otherwise
// groups would come and go from sync to sync.
func (s *Source) missedGroups(ctx context.Context, at cursor) ([]groupRow, cursor, error) {
	rows, next, err := s.groups.read(ctx, s.client, at)
	if err != nil {
		switch status.Code(err) {
		case codes.Canceled, codes.Aborted, codes.Internal, codes.Unavailable, codes.DeadlineExceeded:
			return nil, cursor{}, err
		}
		if at.Page > 1 {
			return nil, cursor{}, err
		}
		ctxzap.Extract(ctx).Info("/groups is not compared with /groups/usergroups, because it cannot be read", zap.Error(err))
		rows, next = nil, cursor{}
	}
	missed, known := s.userGroups.missing(rows)
	missed = slices.DeleteFunc(missed, func(r groupRow) bool { return r.builtIn() || r.SingleUser.Value })
	if known && len(missed) > 0 {
		ctxzap.Extract(ctx).Warn("/groups lists groups that /groups/usergroups lacks: the sync has both", zap.Int("groups", len(missed)))
	}
	return missed, next, nil
}

// userGroupIDs has the fingerprints, of 8 bytes, of the groups that a walk over
// groups/usergroups has seen in this process.
type userGroupIDs struct {
	mu   sync.Mutex
	seen map[uint64]struct{}
	sequence
}

// add records the rows of the page at a cursor.
func (g *userGroupIDs) add(rows []groupRow, cursor, next string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.step(cursor, next); cursor == "" || g.seen == nil {
		g.seen = map[uint64]struct{}{}
	}
	for i := range rows {
		g.seen[directory.Fingerprint(rows[i].ID.Value)] = struct{}{}
	}
}

// missing returns the rows that the list lacks. If this process has not read the
// whole list, it returns all rows: a group that comes twice does no harm.
func (g *userGroupIDs) missing(rows []groupRow) (missed []groupRow, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.complete() {
		return rows, false
	}
	return slices.DeleteFunc(rows, func(r groupRow) bool {
		_, listed := g.seen[directory.Fingerprint(r.ID.Value)]
		return listed
	}), true
}

// peekGroups reads only the first page.
func (s *Source) peekGroups(ctx context.Context) ([]directory.Group, error) {
	page, err := s.firstGroups(ctx, func(at cursor) (directory.Page[directory.Group], error) {
		rows, _, err := s.groups.fetch(ctx, s.client, at)
		return s.groupPage(rows, cursor{}), err
	})
	return page.Rows, err
}

// firstGroups reads the first page of groups/usergroups or, if that is not a list
// of groups, of groups. The cursor continues with the path that worked.
func (s *Source) firstGroups(ctx context.Context, read func(cursor) (directory.Page[directory.Group], error)) (directory.Page[directory.Group], error) {
	page, first := read(s.groups.start(viaUserGroups))
	if first == nil || !s.tryOtherPath(ctx, first) {
		return page, first
	}
	page, err := read(s.groups.start(viaGroups))
	if err != nil {
		if rest.StatusOf(first) == http.StatusForbidden {
			err, first = first, err // the missing permission is the cause
		}
		return page, fmt.Errorf("neither of Guru's lists of groups can be read: %w; and: %v", err, first) //nolint:errorlint // one code is enough
	}
	return page, nil
}

// tryOtherPath reports whether, after an error of groups/usergroups, the list may
// be at the other path: Guru does not know this path, takes it for the id of a
// group, forbids it, or failed at it twice. Guru was seen to answer 401 to unknown
// paths, so a 401 counts if the same credential can read the members. A rate limit
// does not count: it is the same at both paths.
func (s *Source) tryOtherPath(ctx context.Context, err error) bool {
	if not := new(notListError); errors.As(err, &not) {
		return true
	}
	e := new(rest.Error)
	if !errors.As(err, &e) {
		return false
	}
	switch {
	case e.Status == 0: // a redirect to another origin, such as a login page
		return e.Code == codes.FailedPrecondition
	case e.Status == http.StatusUnauthorized:
		return s.checkUsers(ctx) == nil
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests:
		return false
	case e.Status >= 500:
		return s.userGroupsFailed.Swap(true)
	default:
		return e.Status >= 300
	}
}

func groupsPath(via route) []string {
	if via == viaUserGroups {
		return []string{groups, userGroups}
	}
	return []string{groups}
}

func decodeGroups(a *rest.Answer, page int) ([]groupRow, error) {
	rows, err := decodeList[groupRow](a, page, false)
	if err != nil {
		return nil, err
	}
	if page == 1 && len(rows) == 0 {
		// The other path may have them. Every team has a group.
		return nil, &notListError{a.Errorf(codes.FailedPrecondition, rest.Advice{
			Cause: "every team has the group of all its members, so the user of the API token may not see the groups",
			Next:  "use the API token of a user with an administrative role on the team; to sync only users, run with --sync-resource-types user",
		}, "the list of groups is empty")}
	}
	for i := range rows {
		if _, err := rows[i].group(); err != nil {
			return nil, badRow(a, page, i, err)
		}
	}
	return rows, nil
}

// Group implements directory.Source. It fails with NotFound only if the list of
// groups does not have the group either: behind a proxy that hides a path, groups
// would look deleted.
func (s *Source) Group(ctx context.Context, id string) (directory.Group, error) {
	group, err := s.groupAt(ctx, id)
	if status.Code(err) != codes.NotFound {
		return group, err
	}
	for at := ""; ; {
		listed, failed := s.listGroups(ctx, at)
		if failed != nil {
			return group, failed
		}
		if slices.ContainsFunc(listed.Rows, func(g directory.Group) bool { return g.ID == id }) {
			return group, contradicts(err, "a group that exists is not found")
		}
		if at = listed.Next; at == "" {
			return group, err
		}
	}
}

func (s *Source) groupAt(ctx context.Context, id string) (directory.Group, error) {
	return rest.Get(ctx, s.client, rest.Request{Path: []string{groups, id}, Item: true}, func(a *rest.Answer) (directory.Group, error) {
		if a.Status != http.StatusOK || a.First() != '{' {
			return directory.Group{}, a.Fault("the answer is not a group", "")
		}
		exact := *a
		exact.Body = exactNames(a.Body)
		row, err := rest.JSON[groupRow](&exact)
		if err != nil {
			return directory.Group{}, err
		}
		group, _ := row.group()
		if group.ID != id {
			return directory.Group{}, a.Errorf(codes.FailedPrecondition, rest.Advice{
				Cause: "not Guru's API but another server or a proxy answered",
				Next:  "check the base URL",
			}, "the answer is not the group that was asked for")
		}
		return group, nil
	})
}

// allMembers is the groupIdentifier of the group of all members, which Guru
// maintains.
const allMembers = "team"

// groupRow is a group, Guru's UserGroup. Its numberOfMembers is not read: samples
// state 0 for the group of all members.
type groupRow struct {
	ID              rest.Text `json:"id"`
	Name            rest.Text `json:"name"`
	DateCreated     rest.Text `json:"dateCreated"`
	GroupIdentifier rest.Text `json:"groupIdentifier"`
	Modifiable      rest.Bool `json:"modifiable"`
	ManagedByScim   rest.Bool `json:"managedByScim"`
	SingleUser      rest.Bool `json:"singleUser"`
}

// builtIn reports whether the group is the group of all members. A group that
// the team made may have the same identifier, but is modifiable.
func (r *groupRow) builtIn() bool {
	return r.GroupIdentifier.Trim() == allMembers && !r.Modifiable.Value
}

// group converts the row. The error of an incomplete row reads as the end of a
// sentence.
func (r *groupRow) group() (directory.Group, error) {
	id := r.ID.Value // with its blanks: two groups may differ in them alone
	if r.ID.Invalid {
		return directory.Group{}, errIDKind
	}
	if err := directory.CheckID(id); err != nil {
		return directory.Group{}, err
	}
	g := directory.Group{
		ID:        id,
		Name:      r.Name.Trim(),
		CreatedAt: date(r.DateCreated.Value),
		Profile:   map[string]any{"group_id": id},
	}
	if g.Name == "" {
		g.Name = id
	}
	if identifier := r.GroupIdentifier.Trim(); identifier != "" {
		g.Profile["group_identifier"] = identifier
	}
	if r.Modifiable.Stated {
		g.Profile["modifiable"] = r.Modifiable.Value
	}
	if r.ManagedByScim.Stated {
		g.Profile["managed_by_scim"] = r.ManagedByScim.Value
	}
	switch {
	case r.ManagedByScim.Value:
		g.Origin = directory.OriginDirectory
	case r.builtIn():
		g.Origin = directory.OriginBuiltIn
	case r.SingleUser.Value:
		g.Origin = directory.OriginPersonal
	}
	return g, nil
}
