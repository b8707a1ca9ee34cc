package guru

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Groups lists the groups of the team.
func (s *Source) Groups(ctx context.Context, text string) (directory.Page[directory.Group], error) {
	page, err := s.listGroups(ctx, text)
	s.prefetchMembers(ctx, page.Rows)
	return page, err
}

func (s *Source) listGroups(ctx context.Context, text string) (directory.Page[directory.Group], error) {
	if text == "" {
		return s.firstGroups(ctx, func(at cursor) (directory.Page[directory.Group], error) { return s.groupsAt(ctx, at) })
	}
	at, err := s.groups.parse(text)
	if err != nil {
		return directory.Page[directory.Group]{}, err
	}
	return s.groupsAt(ctx, at)
}

func (s *Source) groupsAt(ctx context.Context, at cursor) (directory.Page[directory.Group], error) {
	rows, next, err := s.groups.read(ctx, s.client, at)
	return directory.Page[directory.Group]{Rows: rows, Next: s.groups.encode(next)}, err
}

// peekGroups reads all of the first page and nothing beyond it.
func (s *Source) peekGroups(ctx context.Context) ([]directory.Group, error) {
	page, err := s.firstGroups(ctx, func(at cursor) (directory.Page[directory.Group], error) {
		rows, _, err := s.groups.fetch(ctx, s.client, at)
		return directory.Page[directory.Group]{Rows: rows}, err
	})
	return page.Rows, err
}

// firstGroups reads groups/usergroups and, where that is not a list of groups,
// reads groups. The cursor keeps to the one that worked.
func (s *Source) firstGroups(ctx context.Context, read func(cursor) (directory.Page[directory.Group], error)) (directory.Page[directory.Group], error) {
	page, first := read(s.groups.start(viaUserGroups))
	if first == nil || !s.servedElsewhere(ctx, first) {
		return page, first
	}
	page, err := read(s.groups.start(viaGroups))
	if err != nil {
		if rest.StatusOf(first) == http.StatusForbidden {
			err, first = first, err // what the user may not read is the cause
		}
		return page, fmt.Errorf("neither of Guru's lists of groups can be read: %w; and: %v", err, first) //nolint:errorlint // one code is enough
	}
	return page, nil
}

// servedElsewhere says whether an answer means that the list of groups is
// served at the other path: the path is not known, is taken for the id of a
// group, may not be read, or fails twice. Guru was seen to answer 401 to paths
// that it does not know, so a 401 is judged by whether the same credential
// reads the members. A limit is the same at both paths.
func (s *Source) servedElsewhere(ctx context.Context, err error) bool {
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

func decodeGroups(a *rest.Answer, page int) ([]directory.Group, error) {
	rows, err := decodeList[groupRow](a, page, false)
	if err != nil {
		return nil, err
	}
	if page == 1 && len(rows) == 0 {
		// The other path may have them. That neither has is not the truth.
		return nil, &notListError{a.Errorf(codes.FailedPrecondition, rest.Advice{
			Cause: "every team has the group of all its members, so the user of the API token may not see the groups",
			Next:  "use the API token of a user with an administrative role on the team; to sync users alone, run with --sync-resource-types user",
		}, "the list of groups is empty")}
	}
	out := make([]directory.Group, len(rows))
	for i := range rows {
		if out[i], err = rows[i].group(); err != nil {
			return nil, badRow(a, page, i, err)
		}
	}
	return out, nil
}

// Group reads one group. It is NotFound only if the list of groups does not
// have it either: a proxy that hides a path would make groups look deleted.
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

// allMembers is the groupIdentifier of the group of all members of the team,
// which Guru keeps by itself.
const allMembers = "team"

// groupRow is what Guru calls a UserGroup. Its numberOfMembers is left out:
// samples state 0 for the group of all members.
type groupRow struct {
	ID              rest.Text `json:"id"`
	Name            rest.Text `json:"name"`
	DateCreated     rest.Text `json:"dateCreated"`
	GroupIdentifier rest.Text `json:"groupIdentifier"`
	Modifiable      rest.Bool `json:"modifiable"`
	ManagedByScim   rest.Bool `json:"managedByScim"`
}

// builtIn says whether it is the group of all members. A group of the team's own
// may have its identifier, but can be changed.
func (r *groupRow) builtIn() bool {
	return r.GroupIdentifier.Trim() == allMembers && !r.Modifiable.Value
}

// group is the row in the words of the directory. The error says what is wrong
// if the row is not complete.
func (r *groupRow) group() (directory.Group, error) {
	id := r.ID.Value // with its blanks, which may be all that tells two groups apart
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
	}
	return g, nil
}
