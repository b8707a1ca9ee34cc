package rudderstack

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// membersRow has the attributes that are read of a SCIM group for its members (RFC
// 7643, section 4.2).
type membersRow struct {
	ID rest.Text `json:"id"`
	// Members is nil if the vendor does not state them.
	Members memberRows `json:"members"`
}

type memberRows []memberRow

type memberRow struct {
	Value string `json:"value"`
	Type  string `json:"type"`
	Ref   string `json:"$ref"`
}

// UnmarshalJSON implements json.Unmarshaler. It accepts only an array: a number or
// a text may count or describe the members, and would hide them if it were taken
// for one. An id may be a number, and a member may be a bare id.
func (m *memberRows) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*[]memberRow)(m)) == nil { // nearly always, and the fastest
		return nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(b, &elements); err != nil {
		return err
	}
	*m = make(memberRows, len(elements))
	for i, element := range elements {
		var row struct {
			Value rest.Text `json:"value"`
			Type  rest.Text `json:"type"`
			Ref   rest.Text `json:"$ref"`
		}
		if json.Unmarshal(element, &row) != nil {
			_ = row.Value.UnmarshalJSON(element) // never fails
		}
		(*m)[i] = memberRow{row.Value.Value, row.Type.Value, row.Ref.Value}
	}
	return nil
}

// groupMembers lists groups with their members.
var groupMembers = &collection[membersRow]{
	path:  groupsPath,
	id:    func(row *membersRow) string { return row.ID.Value },
	check: (*membersRow).fault,
}

// membershipsCursor is a position of Memberships: a page of groups, or groups that
// are read by their ids, one a page.
type membershipsCursor struct {
	Walk   *walk    `json:"w,omitempty"`
	Groups []string `json:"g,omitempty"`
}

const memberships = "memberships"

// Memberships implements directory.Memberships. The list of groups has the members,
// so one request reads the members of a page of groups. Some servers state members,
// or all of them, only if a group is read by its id: such groups become siblings of
// the page.
func (s *Source) Memberships(ctx context.Context, cursor string) (directory.Page[directory.Membership], error) {
	var page directory.Page[directory.Membership]
	if s.usersOnly {
		return page, nil
	}
	w := newWalk()
	if cursor != "" {
		c, err := directory.DecodeCursor[membershipsCursor](memberships, cursor)
		if err != nil || (c.Walk == nil) == (len(c.Groups) == 0) || c.Walk != nil && !c.Walk.valid() {
			return page, directory.ErrCursor
		}
		if c.Walk == nil {
			return s.nextGroup(ctx, c.Groups)
		}
		w = *c.Walk
	}
	got, err := readPage(ctx, s, groupMembers, w)
	if err != nil {
		none, err := s.noGroupsAt(ctx, w, err)
		if none {
			err = s.noneListed(ctx)
		}
		return page, err
	}
	if got.next == nil && w.begins() && len(got.rows) == 0 {
		return page, s.noneListed(ctx)
	}
	limit, err := s.limit.find(ctx, s, got.rows)
	if err != nil {
		return page, err
	}
	var byID []string
	for i := range got.rows {
		row := &got.rows[i]
		if row.Members == nil || len(row.Members) == limit {
			byID = append(byID, row.ID.Value)
			continue
		}
		if page.Rows, err = s.members(ctx, page.Rows, row.ID.Value, row.Members); err != nil {
			return page, err
		}
	}
	page.Siblings = siblings(byID)
	if got.next != nil {
		page.Next = directory.EncodeCursor(memberships, membershipsCursor{Walk: got.next})
	}
	return page, nil
}

// siblings returns cursors that read groups by their ids, each once. A page may have
// at most MaxSiblings, so a cursor may be for several groups.
func siblings(groups []string) []string {
	slices.Sort(groups)
	groups = slices.Compact(groups)
	var out []string
	for part := range slices.Chunk(groups, len(groups)/directory.MaxSiblings+1) {
		out = append(out, directory.EncodeCursor(memberships, membershipsCursor{Groups: part}))
	}
	return out
}

// nextGroup lists the members of the first group; the next page has the others.
func (s *Source) nextGroup(ctx context.Context, groups []string) (directory.Page[directory.Membership], error) {
	var page directory.Page[directory.Membership]
	row, err := s.oneGroup(ctx, groups[0])
	if err == nil {
		page.Rows, err = s.members(ctx, nil, groups[0], row)
	}
	if err == nil && len(groups) > 1 {
		page.Next = directory.EncodeCursor(memberships, membershipsCursor{Groups: groups[1:]})
	}
	return page, err
}

// Members implements directory.Source. A SCIM group states all its members in one
// answer, so there is one page.
func (s *Source) Members(ctx context.Context, groupID, cursor string) (directory.Page[directory.Member], error) {
	var page directory.Page[directory.Member]
	if cursor != "" {
		return page, directory.ErrCursor
	}
	if s.usersOnly {
		return page, nil
	}
	rows, err := s.oneGroup(ctx, groupID)
	if err != nil {
		return page, err
	}
	page.Rows = make([]directory.Member, len(rows))
	for i := range rows {
		if page.Rows[i], err = s.member(ctx, groupID, &rows[i]); err != nil {
			return directory.Page[directory.Member]{}, err
		}
	}
	return page, nil
}

// members appends the members of a group.
func (s *Source) members(ctx context.Context, to []directory.Membership, group string, rows memberRows) ([]directory.Membership, error) {
	to = slices.Grow(to, len(rows))
	for i := range rows {
		member, err := s.member(ctx, group, &rows[i])
		if err != nil {
			return nil, err
		}
		to = append(to, directory.Membership{GroupID: group, Member: member})
	}
	return to, nil
}

// oneGroup reads the members of one group by its id; none if it was deleted.
func (s *Source) oneGroup(ctx context.Context, id string) (memberRows, error) {
	row, err := readGroup(ctx, s, groupMembers, id)
	if status.Code(err) == codes.NotFound {
		return nil, s.vanished(ctx, id, err)
	}
	if err != nil || row.Members != nil {
		return row.Members, err
	}
	return s.askedMembers(ctx, id)
}

// askedMembers reads the members of a group that states none. Most likely it has
// none, but a server may return them only on request (RFC 7643, section 7:
// "returned" is "request").
func (s *Source) askedMembers(ctx context.Context, id string) (memberRows, error) {
	rows, err := rest.Get(ctx, s.client, rest.Request{
		Path: []string{groupsPath, id}, Query: url.Values{"attributes": {"members"}}, Item: true,
	}, func(a *rest.Answer) (memberRows, error) {
		row, err := rest.JSON[membersRow](a) // the id may be missing: it was not requested
		if err != nil {
			return nil, err
		}
		if err := row.fault(); err != nil {
			return nil, a.Errorf(codes.Internal, vendorFault, "%v", err)
		}
		return row.Members, nil
	})
	if code := status.Code(err); passing(err) || code == codes.Unauthenticated || code == codes.Internal {
		return nil, err
	}
	return rows, nil // the server refuses the parameter, or states nothing
}

// noneListed is called if the list of groups with their members has none. It fails
// unless the list without members has none either: otherwise every group would lose
// its members.
func (s *Source) noneListed(ctx context.Context) error {
	w := newWalk()
	got, err := readPage(ctx, s, groupNames, w)
	if err != nil {
		_, err = s.noGroupsAt(ctx, w, err)
		return err
	}
	if len(got.rows) == 0 && got.next == nil {
		return nil
	}
	return s.walkFailed(groupsPath, &walkError{
		codes.FailedPrecondition, "groups are listed, but the list that has their members is empty or not served",
		rest.Advice{Cause: "the server does not follow RFC 7644, or groups were added during the sync", Next: reportIt},
	})
}

// listLimit finds out whether the server's lists cut off the members of a group at
// a limit. If so, the largest groups of a list have exactly that many members there,
// and more if they are read by their ids. So it reads a few of the largest.
type listLimit struct {
	mu sync.Mutex
	// most is the largest number of members in a list; the limit cannot be lower.
	// whole counts the groups of that size that have no more members.
	most, whole int
	// cut is set if most is the limit.
	cut bool
}

const (
	// minLimit and maxLimit enclose the limits of known servers.
	minLimit, maxLimit = 10, 10_000
	// limitProbes is the number of groups of one size to read by their ids.
	limitProbes = 3
)

// find returns the limit of the list that has these rows, -1 for none. It makes no
// request unless the rows have the largest group so far.
func (l *listLimit) find(ctx context.Context, s *Source, rows []membersRow) (int, error) {
	largest := 0
	for i := range rows {
		largest = max(largest, len(rows[i].Members))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if largest > l.most {
		l.most, l.whole, l.cut = largest, 0, false
	}
	if largest == l.most && largest >= minLimit && largest <= maxLimit && !l.cut {
		if err := l.probe(ctx, s, rows); err != nil {
			return 0, err
		}
	}
	if l.cut {
		return l.most, nil
	}
	return -1, nil
}

// probe reads some of the largest groups by their ids.
func (l *listLimit) probe(ctx context.Context, s *Source, rows []membersRow) error {
	var ids []string
	for i := range rows {
		if id := rows[i].ID.Value; len(rows[i].Members) == l.most && !slices.Contains(ids, id) && l.whole+len(ids) < limitProbes {
			ids = append(ids, id)
			s.client.Prefetch(ctx, rest.Request{Path: []string{groupsPath, id}, Item: true})
		}
	}
	for _, id := range ids {
		members, err := s.oneGroup(ctx, id)
		if err != nil {
			return err
		}
		if len(members) > l.most {
			l.cut = true
			return nil
		}
		l.whole++
	}
	return nil
}

// forget drops the findings, so that the next sync has its own.
func (l *listLimit) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most, l.whole, l.cut = 0, 0, false
}
