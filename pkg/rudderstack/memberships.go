package rudderstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// membersRow is what is read of a SCIM group for its members (RFC 7643,
// section 4.2).
type membersRow struct {
	ID string `json:"id"`
	// Members is nil where the vendor does not state them.
	Members []memberRow `json:"members"`
	// Schemas is read where the row lacks an id.
	Schemas []string `json:"schemas"`
}

type memberRow struct {
	Value string `json:"value"`
	Type  string `json:"type"`
	Ref   string `json:"$ref"`
}

// groupMembers lists groups with their members.
var groupMembers = &collection[membersRow]{
	path: groupsPath,
	shape: &shape{kind: object, under: map[string]*shape{
		"id":      aText,
		"schemas": {kind: many, under: map[string]*shape{"": {kind: text}}},
		"members": {kind: rows, under: map[string]*shape{"": {kind: object, main: "value", under: map[string]*shape{
			"value": aText, "type": aText, "$ref": aText,
		}}}},
	}},
	id: func(row *membersRow) string { return row.ID },
	check: func(row *membersRow) error {
		for i := range row.Members {
			m := &row.Members[i]
			if fault := idFault(m.Value); fault != "" {
				return fmt.Errorf("the member at index %d of group %q %s", i, row.ID, fault)
			}
			if m.kind() == kindUnknown {
				return fmt.Errorf("the member at index %d of group %q has the type %q, which is neither User nor Group", i, row.ID, m.Type)
			}
		}
		return nil
	},
}

// askedMembers is groupMembers for servers that return members only where
// they are asked for (RFC 7643, section 7: "returned" is "request").
var askedMembers = func() *collection[membersRow] {
	asked := *groupMembers
	asked.query = url.Values{"attributes": {"members"}}
	// Some take that for "and nothing else", and leave out an empty list.
	asked.nameless = func(row *membersRow) bool {
		return row.Members != nil || slices.ContainsFunc(row.Schemas, func(schema string) bool { return strings.EqualFold(schema, groupSchema) })
	}
	return &asked
}()

const groupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group"

type memberKind int

const (
	kindUser memberKind = iota
	kindGroup
	// kindUnstated must be told by whether the id is that of a group.
	kindUnstated
	kindUnknown
)

// kind classifies a member by its type, else by the collection in its $ref,
// which may be absolute or relative and in any case. Servers leave out both.
func (m *memberRow) kind() memberKind {
	switch {
	case strings.EqualFold(m.Type, "User"):
		return kindUser
	case strings.EqualFold(m.Type, "Group"):
		return kindGroup
	case strings.TrimSpace(m.Type) != "":
		return kindUnknown
	case m.Ref == "":
		return kindUnstated
	}
	path, _, _ := strings.Cut(m.Ref, "?")
	path, _, _ = strings.Cut(path, "#")
	elements := strings.Split(strings.TrimRight(path, "/"), "/")
	for i := len(elements) - 2; i >= 0; i-- {
		switch {
		case strings.EqualFold(elements[i], usersPath):
			return kindUser
		case strings.EqualFold(elements[i], groupsPath):
			return kindGroup
		}
	}
	return kindUnstated
}

// flatten lists the members of groups.
func (s *Source) flatten(ctx context.Context, groups []membersRow) ([]directory.Membership, error) {
	n := 0
	for i := range groups {
		n += len(groups[i].Members)
	}
	out := make([]directory.Membership, 0, n)
	for i := range groups {
		for j := range groups[i].Members {
			m := &groups[i].Members[j]
			kind := m.kind()
			if kind == kindUnstated {
				nested, err := s.isGroup(ctx, m.Value)
				if err != nil {
					return nil, err
				}
				if nested {
					if err := s.notUser(ctx, groups[i].ID, m.Value); err != nil {
						return nil, err
					}
					kind = kindGroup
				}
			}
			out = append(out, directory.Membership{
				GroupID: groups[i].ID,
				Member:  directory.Member{ID: m.Value, IsGroup: kind == kindGroup},
			})
		}
	}
	return out, nil
}

// notUser makes sure that the id of a group, which a member has that does not
// say what it is, is not one of a user as well: ids may be unique among users
// and among groups alone. Only 200 says that it is.
func (s *Source) notUser(ctx context.Context, group, id string) error {
	key := directory.Fingerprint(id)
	if _, known := s.apart.Load(key); known {
		return nil
	}
	err := s.client.Get(ctx, rest.Request{Path: []string{usersPath, id}, Item: true}, func(a *rest.Answer) error {
		var user struct {
			ID json.RawMessage `json:"id"`
		}
		if err := json.Unmarshal(a.Body, &user); err == nil && len(user.ID) > 0 {
			return a.Errorf(codes.FailedPrecondition, vendorFault,
				"group %q has a member that is %q, which is the id of a user and of a group, and does not say which", group, id)
		}
		return nil
	})
	switch codeOf(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unauthenticated, codes.Aborted:
		return err
	}
	var e *rest.Error
	if errors.As(err, &e) && e.Status == http.StatusOK {
		return err
	}
	s.apart.Store(key, nil)
	return nil
}

// Memberships implements directory.Memberships. The list of groups carries the
// members, so it takes a request a page of groups.
func (s *Source) Memberships(ctx context.Context, written string) (directory.Page[directory.Membership], error) {
	var page directory.Page[directory.Membership]
	c, err := parseCursor(written, ofMemberships)
	if err != nil {
		return page, err
	}
	if c.Walk == nil {
		return s.oneGroup(ctx, c, written)
	}
	if c.After != nil {
		if rest, ok := s.kept.take(written); ok {
			return s.serve(c, rest), nil
		}
	}
	got, err := step(ctx, s, groupMembers, *c.Walk)
	if err != nil {
		none, err := s.noGroups(ctx, c.Walk, err)
		if none {
			err = s.noneListed(ctx)
		}
		return page, err
	}
	if got.next == nil && c.Walk.begins() && len(got.rows) == 0 {
		return page, s.noneListed(ctx)
	}
	mark := got.mark
	var siblings []string
	for i := range got.rows {
		if got.rows[i].Members == nil || cutOff(len(got.rows[i].Members)) {
			// Some servers state members, or all of them, only where one group
			// is asked for.
			siblings = append(siblings, cursor{List: ofMemberships, Group: got.rows[i].ID}.String())
			mark ^= directory.Fingerprint(got.rows[i].ID)
		}
	}
	if c.After != nil && c.Mark != mark {
		// Other groups are on the page than when its first rows were served.
		// They are served anew: a row twice does no harm, a missing one does.
		c.After = nil
		if c.Again++; c.Again > maxBack {
			return page, s.walkFailed(groupsPath, c.Walk.changed())
		}
	}
	c.Mark = mark
	whole, err := s.flatten(ctx, got.rows)
	if err != nil {
		return page, err
	}
	next := ""
	if got.next != nil {
		next = cursor{List: ofMemberships, Walk: got.next}.String()
	}
	served := c.After != nil
	page = s.serve(c, newRemainder(whole, c.After, next))
	if !served {
		page.Siblings = siblings
	}
	return page, nil
}

// cutOff says that servers limit the members of a group to so many in a list.
func cutOff(n int) bool { return n == 1000 || n == 2000 || n == 5000 || n == 10_000 }

// noneListed checks that there are no groups, where the list with their
// members shows none: nil if the list without them shows none either. Groups
// that keep their names and lose all their members would take access away.
func (s *Source) noneListed(ctx context.Context) error {
	begin := newWalk()
	got, err := step(ctx, s, groupNames, begin)
	if err != nil {
		_, err = s.noGroups(ctx, &begin, err)
		return err
	}
	if len(got.rows) == 0 && got.next == nil {
		return nil
	}
	return s.walkFailed(groupsPath, &walkError{
		codes.FailedPrecondition, "groups are listed, but the list that has their members is empty or not served",
		rest.Advice{
			Cause: "the server does not do as RFC 7644 says, or groups came while they were read",
			Next:  "run the sync again; if it fails again, report this message to RudderStack support",
		},
	})
}

// Members implements directory.Source.
func (s *Source) Members(ctx context.Context, groupID, written string) (directory.Page[directory.Member], error) {
	var page directory.Page[directory.Member]
	c, err := parseCursor(written, ofMembers)
	if err != nil {
		return page, err
	}
	if written != "" && c.Group != groupID {
		return page, tokenError("cannot go on with the members of a group: the page token is that of another group; run the sync again: it begins anew")
	}
	c.Group = groupID
	rows, err := s.oneGroup(ctx, c, written)
	if err != nil {
		return page, err
	}
	page.Rows = make([]directory.Member, len(rows.Rows))
	for i := range rows.Rows {
		page.Rows[i] = rows.Rows[i].Member
	}
	page.Next = rows.Next
	return page, nil
}

// oneGroup lists the members of the group that a cursor names.
func (s *Source) oneGroup(ctx context.Context, c cursor, written string) (directory.Page[directory.Membership], error) {
	if c.After != nil {
		if rest, ok := s.kept.take(written); ok {
			return s.serve(c, rest), nil
		}
	}
	var page directory.Page[directory.Membership]
	row, err := readGroup(ctx, s, groupMembers, c.Group)
	if err == nil && row.Members == nil {
		row, err = readGroup(ctx, s, askedMembers, c.Group)
	}
	if codeOf(err) == codes.NotFound {
		return page, s.vanished(ctx, c.Group, err)
	}
	if err != nil {
		return page, err
	}
	row.ID = c.Group // the answer may write it in another case
	whole, err := s.flatten(ctx, []membersRow{row})
	if err != nil {
		return page, err
	}
	return s.serve(c, newRemainder(whole, c.After, "")), nil
}

// vanished judges a group that was listed and now is not found: nil if it has
// gone from the list as well. The SDK would take NotFound for "no members"
// either way.
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
	broken := *e
	broken.Code = codes.FailedPrecondition
	broken.Advice = rest.Advice{
		Cause: "the group is listed but cannot be read by its id",
		Next:  "run the sync again; if it fails again, report this message to RudderStack support",
	}
	return &broken
}

// rank is a place of a membership in the order in which they are served:
// fingerprints of the group and of the member, and between them 1 for a
// nested group. It stays what it is when other memberships come and go, so
// going on after a rank loses nobody.
type rank [3]uint64

func rankOf(m directory.Membership) rank {
	r := rank{directory.Fingerprint(m.GroupID), 0, directory.Fingerprint(m.Member.ID)}
	if m.Member.IsGroup {
		r[1] = 1
	}
	return r
}

type ranked struct {
	rank rank
	row  directory.Membership
}

// remainder is what is still to be served of an answer.
type remainder struct {
	// few holds all rows where they fit into one page; many, ordered by rank
	// and without duplicates, where not.
	few  []directory.Membership
	many []ranked
	// next is the cursor after the last of them.
	next string
	kept time.Time
}

// newRemainder is what of the rows comes after a rank, nil for all.
func newRemainder(rows []directory.Membership, after *rank, next string) remainder {
	if after == nil && len(rows) <= directory.MaxRows {
		return remainder{few: rows, next: next}
	}
	order := make([]ranked, 0, len(rows))
	for _, row := range rows {
		if r := rankOf(row); after == nil || slices.Compare(r[:], after[:]) > 0 {
			order = append(order, ranked{r, row})
		}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		if by := slices.Compare(a.rank[:], b.rank[:]); by != 0 {
			return by
		}
		if by := strings.Compare(a.row.GroupID, b.row.GroupID); by != 0 {
			return by
		}
		return strings.Compare(a.row.Member.ID, b.row.Member.ID)
	})
	return remainder{many: slices.CompactFunc(order, func(a, b ranked) bool { return a.row == b.row }), next: next}
}

// serve makes the next page out of a remainder and keeps the rest at hand.
func (s *Source) serve(c cursor, left remainder) directory.Page[directory.Membership] {
	if left.few != nil || len(left.many) == 0 {
		return directory.Page[directory.Membership]{Rows: left.few, Next: left.next}
	}
	end := min(len(left.many), directory.MaxRows)
	// Rows of one rank stay together: after it, none of them is served.
	for end < len(left.many) && end > 0 && left.many[end-1].rank == left.many[end].rank {
		end--
	}
	// Only ids made to collide can fill a page with one rank.
	for end < len(left.many) && left.many[end].rank == left.many[0].rank {
		end++
	}
	page := directory.Page[directory.Membership]{Rows: make([]directory.Membership, end), Next: left.next}
	for i := range page.Rows {
		page.Rows[i] = left.many[i].row
	}
	if end < len(left.many) {
		c.After = &left.many[end-1].rank
		page.Next = c.String()
		left.many = left.many[end:]
		s.kept.put(page.Next, left)
	}
	return page
}

const (
	// maxKept is how many remainders are kept, one a list that is being read.
	maxKept = 4
	// maxKeptAge is longer than the syncer's pause between two tries.
	maxKeptAge = 2 * time.Minute
)

// remainders keeps what is left of answers, so that a page of groups is
// fetched and decoded once and not once for each directory.MaxRows of them. A
// remainder is found under the cursor that goes on with it, never by a list
// that begins. Without it, the answer is asked for again.
type remainders struct {
	now func() time.Time

	mu   sync.Mutex
	list map[string]remainder
}

func (k *remainders) put(written string, left remainder) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.list == nil {
		k.list = map[string]remainder{}
	}
	left.kept = k.now()
	k.list[written] = left
	oldest := written
	for other, r := range k.list {
		if left.kept.Sub(r.kept) > maxKeptAge {
			delete(k.list, other)
		} else if r.kept.Before(k.list[oldest].kept) {
			oldest = other
		}
	}
	if len(k.list) > maxKept {
		delete(k.list, oldest)
	}
}

func (k *remainders) take(written string) (remainder, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	left, ok := k.list[written]
	delete(k.list, written)
	return left, ok && k.now().Sub(left.kept) <= maxKeptAge
}

// groupIDs is the set of all groups' ids, loaded when a member does not say
// what it is or a group seems to be gone.
type groupIDs struct {
	// turn is held by the one who loads or looks.
	turn chan struct{}
	// loaded is when the set was complete; zero for no set.
	loaded time.Time
	// ids are fingerprints in order: 8 bytes a group.
	ids []uint64
	// rest is the walk that a load goes on with that could not be completed,
	// stopped is when that was, and found are the ids that it has brought. To
	// begin anew each time would never end at a vendor that refuses every
	// third request.
	rest    *walk
	stopped time.Time
	found   []uint64
}

const (
	// maxSetAge is how old the set may be when it classifies a member.
	maxSetAge = 2 * time.Minute
	// maxStopped is longer than the longest pause that a sync takes part in.
	maxStopped = 90 * time.Minute
)

func newGroupIDs() groupIDs { return groupIDs{turn: make(chan struct{}, 1)} }

// isGroup says whether an id is that of a listed group.
func (s *Source) isGroup(ctx context.Context, id string) (bool, error) {
	return s.known.has(ctx, s, id, s.now().Add(-maxSetAge))
}

// has says whether the set, complete not before a time, holds an id. One loads
// at a time; the others wait and share.
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

// load reads the list of groups, from where the last load stopped.
func (g *groupIDs) load(ctx context.Context, s *Source) error {
	if g.rest == nil || s.now().Sub(g.stopped) > maxStopped {
		begin := newWalk()
		g.rest, g.found = &begin, nil
	}
	for g.rest != nil {
		got, err := step(ctx, s, groupNames, *g.rest)
		if err != nil { // which is never "no groups": the set is asked for where there is one
			g.stopped = s.now()
			if code := codeOf(err); code != codes.Unavailable && code != codes.DeadlineExceeded {
				g.rest = nil // to go on would meet the same
			}
			return err
		}
		for i := range got.rows {
			g.found = append(g.found, directory.Fingerprint(got.rows[i].ID))
		}
		g.rest = got.next
	}
	slices.Sort(g.found)
	g.ids, g.found, g.loaded = g.found, nil, s.now()
	return nil
}

// forget drops the set: a sync that begins reads its own.
func (g *groupIDs) forget(ctx context.Context) {
	select {
	case g.turn <- struct{}{}:
		g.loaded, g.ids, g.rest, g.found = time.Time{}, nil, nil, nil
		<-g.turn
	case <-ctx.Done():
	}
}

// codeOf is the gRPC code of an error.
func codeOf(err error) codes.Code { return status.Code(err) }

// walkFailed gives an error of a walk its place.
func (s *Source) walkFailed(path string, err error) error {
	var lost *walkError
	if !errors.As(err, &lost) {
		return err
	}
	return &rest.Error{URL: s.base + "/" + path, Status: http.StatusOK, Code: lost.code, What: lost.what, Advice: lost.advice}
}
