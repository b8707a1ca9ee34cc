package rudderstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// groupRow is what is read of a SCIM group itself (RFC 7643, section 4.2).
type groupRow struct {
	ID          string  `json:"id"`
	ExternalID  string  `json:"externalId"`
	DisplayName string  `json:"displayName"`
	Meta        metaRow `json:"meta"`
}

// groupNames lists groups without their members, which would make the answer
// many times as long (RFC 7644, section 3.4.2.5). A server that sends them all
// the same does no harm.
var groupNames = &collection[groupRow]{
	path:  groupsPath,
	query: url.Values{"excludedAttributes": {"members"}},
	shape: &shape{kind: object, under: map[string]*shape{
		"id": aText, "externalid": aText, "displayname": aText, "meta": metaShape,
	}},
	id: func(row *groupRow) string { return row.ID },
}

// Groups implements directory.Source.
func (s *Source) Groups(ctx context.Context, written string) (directory.Page[directory.Group], error) {
	var page directory.Page[directory.Group]
	c, err := parseCursor(written, ofGroups)
	if err != nil {
		return page, err
	}
	if written == "" {
		s.known.forget(ctx)
		s.apart.Clear()
	}
	got, err := step(ctx, s, groupNames, *c.Walk)
	if err != nil {
		none, err := s.noGroups(ctx, c.Walk, err)
		if none {
			ctxzap.Extract(ctx).Warn("RudderStack offers no SCIM groups for this organization: syncing users alone")
		}
		return page, err
	}
	if got.next == nil && c.Walk.begins() && len(got.rows) == 0 {
		ctxzap.Extract(ctx).Warn("RudderStack states that the organization has no groups")
	}
	page.Rows = make([]directory.Group, len(got.rows))
	for i := range got.rows {
		page.Rows[i] = got.rows[i].group()
	}
	page.Total = got.total
	if got.next != nil {
		page.Next = cursor{List: ofGroups, Walk: got.next}.String()
	}
	return page, nil
}

// Group implements directory.Source.
func (s *Source) Group(ctx context.Context, id string) (directory.Group, error) {
	row, err := readGroup(ctx, s, groupNames, id)
	if codeOf(err) == codes.NotFound {
		if broken := s.vanished(ctx, id, err); broken != nil {
			err = broken
		}
	}
	if err != nil {
		return directory.Group{}, err
	}
	return row.group(), nil
}

// group is the row in the words of the directory.
func (row *groupRow) group() directory.Group {
	g := directory.Group{
		ID:        row.ID,
		Name:      first(row.DisplayName, row.ID),
		CreatedAt: row.Meta.created(),
		Profile:   map[string]any{"group_id": row.ID},
	}
	if external := strings.TrimSpace(row.ExternalID); external != "" {
		g.Profile["external_id"] = external
	}
	return g
}

// readGroup reads one group by its id, as a row of a collection.
func readGroup[T any](ctx context.Context, s *Source, c *collection[T], id string) (T, error) {
	var row T
	ask := func(query url.Values) error {
		return s.client.Get(ctx, rest.Request{Path: []string{c.path, id}, Query: query, Item: true}, func(a *rest.Answer) error {
			var err error
			row, err = decodeGroup(a, c, id)
			return err
		})
	}
	err := ask(c.query)
	if (refused(err) || answered(err, http.StatusNotImplemented)) && len(c.query) > 0 {
		err = ask(nil)
	}
	return row, err
}

// decodeGroup reads the answer to a request for one group.
func decodeGroup[T any](a *rest.Answer, c *collection[T], id string) (T, error) {
	var row, none T
	if err := json.Unmarshal(a.Body, &row); err != nil {
		row = none
		if err := reshape(a.Body, err, c.shape, &row); err != nil {
			return none, unfit(a, err, new(T))
		}
	}
	got := c.id(&row)
	if got == "" && c.nameless != nil && c.nameless(&row) {
		got = id // the URL says whose they are
	}
	switch {
	case a.First() != '{' || got == "":
		return none, a.Fault("the answer is not a SCIM group", "")
	case !strings.EqualFold(got, id):
		return none, a.Errorf(codes.FailedPrecondition, vendorFault, "the answer is another group than the one asked for")
	}
	if c.check != nil {
		if err := c.check(&row); err != nil {
			return none, a.Errorf(codes.Internal, vendorFault, "%v", err)
		}
	}
	return row, nil
}

// noGroups says whether an error of the first page of /Groups means that the
// organization has no SCIM groups. Mid-way it never does, nor where a walk
// begins again: it has seen some.
func (s *Source) noGroups(ctx context.Context, w *walk, err error) (bool, error) {
	if !w.begins() || w.Back > 0 {
		return false, usersAlone(err)
	}
	return s.absent(ctx, err)
}

// absent decides by evidence whether an error of /Groups means that there are
// no SCIM groups: 501 says so (RFC 7644, section 3.12), and 404 does if the
// server's own list of what it serves has users and no groups. In silence "no
// groups" would take every membership away, so anything else is an error.
func (s *Source) absent(ctx context.Context, err error) (bool, error) {
	switch {
	case answered(err, http.StatusNotImplemented):
		return true, nil
	case answered(err, http.StatusNotFound):
		var served []resourceType
		evidence := s.client.Get(ctx, rest.Request{Path: []string{resourceTypesPath}}, func(a *rest.Answer) error {
			var err error
			served, err = decodeTypes(a)
			return err
		})
		if evidence == nil && listsUsersAlone(served) {
			return true, nil
		}
		if code := codeOf(evidence); code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled {
			return false, evidence
		}
	}
	return false, usersAlone(err)
}

// resourceType is an entry of /ResourceTypes (RFC 7643, section 6).
type resourceType struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
}

var typeShape = &shape{kind: object, under: map[string]*shape{"id": aText, "name": aText, "endpoint": aText}}

func decodeTypes(a *rest.Answer) ([]resourceType, error) {
	page, err := decodeList(a, &collection[resourceType]{
		path:  resourceTypesPath,
		shape: typeShape,
		id:    func(t *resourceType) string { return first(t.ID, t.Name, t.Endpoint) },
	}, "the list of resource types")
	if err == nil && page.total > len(page.rows) {
		return nil, fmt.Errorf("%d of %d resource types", len(page.rows), page.total)
	}
	return page.rows, err
}

func listsUsersAlone(served []resourceType) bool {
	var users, groups bool
	for _, t := range served {
		for _, word := range []string{t.ID, t.Name, t.Endpoint} {
			word = strings.ToLower(word)
			users = users || strings.Contains(word, "user")
			groups = groups || strings.Contains(word, "group")
		}
	}
	return users && !groups
}

// usersAlone adds to an error of /Groups how to do without them, where doing
// the same again will not help.
func usersAlone(err error) error {
	var e *rest.Error
	if !errors.As(err, &e) || e.Status < 400 && e.Code != codes.FailedPrecondition {
		return err
	}
	switch e.Code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Unauthenticated, codes.Canceled, codes.Aborted, codes.Internal:
		return err
	}
	more := *e
	more.Next = strings.TrimPrefix(more.Next+"; to sync users alone, run with --sync-resource-types user", "; ")
	return &more
}
