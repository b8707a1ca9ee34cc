package rudderstack

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// groupRow has the attributes that are read of a SCIM group, without its members
// (RFC 7643, section 4.2).
type groupRow struct {
	ID          rest.Text            `json:"id"`
	ExternalID  rest.Text            `json:"externalId"`
	DisplayName rest.Text            `json:"displayName"`
	Meta        rest.Object[metaRow] `json:"meta"`
}

// groupNames lists groups without their members, which make an answer many times as
// long (RFC 7644, section 3.4.2.5). A server that sends them nevertheless does no
// harm.
var groupNames = &collection[groupRow]{
	path:  groupsPath,
	query: url.Values{"excludedAttributes": {"members"}},
	id:    func(row *groupRow) string { return row.ID.Value },
}

// Groups implements directory.Source.
func (s *Source) Groups(ctx context.Context, cursor string) (directory.Page[directory.Group], error) {
	var page directory.Page[directory.Group]
	if s.usersOnly {
		ctxzap.Extract(ctx).Info(`groups are left out, as the setting "Sync users only" says`)
		return page, nil
	}
	w, err := decodeWalk("groups", cursor)
	if err != nil {
		return page, err
	}
	if cursor == "" { // a sync begins
		s.known.forget(ctx)
		s.limit.forget()
	}
	got, err := readPage(ctx, s, groupNames, w)
	if err != nil {
		none, err := s.noGroupsAt(ctx, w, err)
		if none {
			ctxzap.Extract(ctx).Warn("RudderStack offers no SCIM groups for this organization: syncing users only")
		}
		return page, err
	}
	if got.next == nil && w.begins() && len(got.rows) == 0 {
		ctxzap.Extract(ctx).Warn("RudderStack states that the organization has no groups")
	}
	page.Rows = make([]directory.Group, len(got.rows))
	for i := range got.rows {
		page.Rows[i] = got.rows[i].group()
	}
	page.Total = got.total
	if got.next != nil {
		page.Next = directory.EncodeCursor("groups", got.next)
	}
	return page, nil
}

// Group implements directory.Source.
func (s *Source) Group(ctx context.Context, id string) (directory.Group, error) {
	if s.usersOnly {
		return directory.Group{}, &rest.Error{
			URL: s.base + "/" + groupsPath, Code: codes.NotFound, What: "not sent",
			Advice: rest.Advice{Cause: `the setting "Sync users only" leaves groups out`, Next: "turn it off to sync groups"},
		}
	}
	row, err := readGroup(ctx, s, groupNames, id)
	if status.Code(err) == codes.NotFound {
		if hidden := s.vanished(ctx, id, err); hidden != nil {
			err = hidden
		}
	}
	if err != nil {
		return directory.Group{}, err
	}
	return row.group(), nil
}

// group converts the row.
func (row *groupRow) group() directory.Group {
	g := directory.Group{
		ID:        row.ID.Value,
		Name:      first(row.DisplayName.Value, row.ID.Value),
		CreatedAt: row.Meta.Value.created(),
		Profile:   map[string]any{"group_id": row.ID.Value},
	}
	if external := row.ExternalID.Trim(); external != "" {
		g.Profile["external_id"] = external
	}
	return g
}

// readGroup reads one group by its id, as a row of a collection. It fails with
// NotFound if the server has no such group.
func readGroup[T any](ctx context.Context, s *Source, c *collection[T], id string) (T, error) {
	ask := func(query url.Values) (T, error) {
		return rest.Get(ctx, s.client, rest.Request{Path: []string{c.path, id}, Query: query, Item: true}, func(a *rest.Answer) (T, error) {
			return decodeGroup(a, c, id)
		})
	}
	row, err := ask(c.query)
	if len(c.query) > 0 && (refused(err) || rest.StatusOf(err) == http.StatusNotImplemented) {
		row, err = ask(nil)
	}
	return row, err
}

// decodeGroup reads the answer to a request for one group.
func decodeGroup[T any](a *rest.Answer, c *collection[T], id string) (T, error) {
	var none T
	row, err := rest.JSON[T](a)
	if err != nil {
		return none, err
	}
	switch got := c.id(&row); {
	case a.First() != '{' || got == "":
		return none, a.Fault("the answer is not a SCIM group", "")
	case !strings.EqualFold(got, id):
		return none, a.Errorf(codes.FailedPrecondition, vendorFault, "the answer is not the requested group")
	}
	if err := c.fault(&row); err != nil {
		return none, a.Errorf(codes.Internal, vendorFault, "%v", err)
	}
	return row, nil
}

// vanished decides what a 404 of a listed group means. It returns nil if the
// list no longer has the group. Otherwise the error is FailedPrecondition,
// because the SDK would read NotFound as "no members".
func (s *Source) vanished(ctx context.Context, id string, notFound error) error {
	listed, err := s.known.has(ctx, s, id, s.now())
	if err != nil {
		return err
	}
	var e *rest.Error
	if !listed || !errors.As(notFound, &e) {
		ctxzap.Extract(ctx).Warn("a group is not found and not listed: it has been deleted", zap.String("group_id", id))
		return nil
	}
	hidden := *e
	hidden.Code = codes.FailedPrecondition
	hidden.Advice = rest.Advice{Cause: "the group is listed but cannot be read by its id", Next: reportIt}
	return &hidden
}

// groupIDs is the set of the ids of all groups. It is loaded when a member states no
// type, or when a group is not found.
type groupIDs struct {
	// turn is a lock that a call can stop waiting for.
	turn chan struct{}
	// loaded is the time when the set was completed; zero without a set.
	loaded time.Time
	// ids are sorted fingerprints, 8 bytes a group.
	ids []uint64
	// rest is the walk of a load that failed, for the next load; stopped is
	// when it failed, and found are the ids that it read. If each load started
	// again from the first row, it would never end at a vendor that refuses
	// every third request.
	rest    *walk
	stopped time.Time
	found   []uint64
}

const (
	// maxSetAge is how old the set may be when it classifies a member.
	maxSetAge = 2 * time.Minute
	// maxStopped is the time for which a failed load can be continued. It is
	// longer than the longest pause of a sync.
	maxStopped = 90 * time.Minute
)

func newGroupIDs() groupIDs { return groupIDs{turn: make(chan struct{}, 1)} }

// has reports whether the set has an id. It loads the set if that was not completed
// since a time. One call loads at a time; the others wait for it.
func (g *groupIDs) has(ctx context.Context, s *Source, id string, since time.Time) (bool, error) {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return false, status.FromContextError(ctx.Err()).Err()
	}
	if g.loaded.IsZero() || g.loaded.Before(since) {
		if err := g.load(ctx, s); err != nil {
			return false, err
		}
	}
	_, found := slices.BinarySearch(g.ids, directory.Fingerprint(id))
	return found, nil
}

// load reads the list of groups, and continues a load that failed a short time ago.
func (g *groupIDs) load(ctx context.Context, s *Source) error {
	if g.rest == nil || s.now().Sub(g.stopped) > maxStopped {
		begin := newWalk()
		g.rest, g.found = &begin, nil
	}
	for g.rest != nil {
		got, err := readPage(ctx, s, groupNames, *g.rest)
		if err != nil { // never "no groups": the set is loaded only if there is a group
			g.stopped = s.now()
			if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded {
				g.rest = nil // a retry of this page would not help
			}
			return err
		}
		for i := range got.rows {
			g.found = append(g.found, directory.Fingerprint(got.rows[i].ID.Value))
		}
		g.rest = got.next
	}
	slices.Sort(g.found)
	g.ids, g.found, g.loaded = g.found, nil, s.now()
	return nil
}

// forget drops the set, so that the next sync loads its own.
func (g *groupIDs) forget(ctx context.Context) {
	select {
	case g.turn <- struct{}{}:
		g.loaded, g.ids, g.rest, g.found = time.Time{}, nil, nil, nil
		<-g.turn
	case <-ctx.Done():
	}
}

// noGroupsAt is noGroups for an error of a walk over /Groups. Only the first
// request can show that there are no groups: later ones have seen some.
func (s *Source) noGroupsAt(ctx context.Context, w walk, err error) (bool, error) {
	if !w.begins() {
		return false, s.groupsFailed(err)
	}
	return s.noGroups(ctx, err)
}

// noGroups reports whether an error of /Groups means that the organization has no
// SCIM groups. 501 does (RFC 7644, section 3.12). 404 does if the server's list of
// resource types has users and no groups. Anything else is an error, because a wrong
// "no groups" would revoke every membership.
func (s *Source) noGroups(ctx context.Context, err error) (bool, error) {
	switch rest.StatusOf(err) {
	case http.StatusNotImplemented:
		return true, nil
	case http.StatusNotFound:
		served, evidence := rest.Get(ctx, s.client, rest.Request{Path: []string{resourceTypesPath}}, decodeTypes)
		if evidence == nil && listsUsersAlone(served) {
			return true, nil
		}
		if passing(evidence) {
			return false, evidence
		}
	}
	return false, s.groupsFailed(err)
}

// resourceType is an entry of /ResourceTypes (RFC 7643, section 6).
type resourceType struct {
	ID       rest.Text `json:"id"`
	Name     rest.Text `json:"name"`
	Endpoint rest.Text `json:"endpoint"`
}

func decodeTypes(a *rest.Answer) ([]resourceType, error) {
	page, err := decodeList(a, &collection[resourceType]{
		path: resourceTypesPath,
		id:   func(t *resourceType) string { return first(t.ID.Value, t.Name.Value, t.Endpoint.Value) },
	}, "the list of resource types")
	if err == nil && page.total > len(page.rows) {
		return nil, a.Fault("the list of resource types is not whole", "the server pages it")
	}
	return page.rows, err
}

func listsUsersAlone(served []resourceType) bool {
	var users, groups bool
	for _, t := range served {
		for _, word := range []string{t.ID.Value, t.Name.Value, t.Endpoint.Value} {
			word = strings.ToLower(word)
			users = users || strings.Contains(word, "user")
			groups = groups || strings.Contains(word, "group")
		}
	}
	return users && !groups
}
