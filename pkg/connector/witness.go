package connector

import (
	"cmp"
	"context"
	"slices"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

const (
	// maxStated bounds the memberships that a witness remembers: 4 bytes each,
	// 8 while there is room for more.
	maxStated = 4 << 20
	// maxAsked is how many groups that no list has are asked for.
	maxAsked = 20
)

// witness compares what users' own rows say of their groups (directory.User.Groups)
// with the lists of groups and of their members. It leaves out what a vendor may
// list as it likes: groups that are built in or of one user, accounts that cannot
// be used, such as those of people who are invited, and accounts of programs.
type witness struct {
	// groups are those that rows name, by the fingerprint of their ids.
	groups map[uint64]*namedGroup
	// left are listed groups that do not count.
	left map[uint64]struct{}
	// stated counts the memberships in groups, witnesses the rows that state some.
	stated, witnesses int
	// off says that there are too many, done that all is judged or being judged.
	off, done bool
}

// namedGroup is a group that users' rows name.
type namedGroup struct {
	id string
	// users are those who name it, as short fingerprints, in order when sorted.
	users  []uint32
	sorted bool
	// found marks those of users who are in the group's list: a bit each.
	found []uint64
}

// short halves a fingerprint. Two users may share one, once in four thousand
// million: then one of them can hide that the other is missing.
func short(fingerprint uint64) uint32 { return uint32(fingerprint ^ fingerprint>>32) } //nolint:gosec // both halves are used

// users notes what rows say. The list begins with the first page.
func (w *witness) users(rows []directory.User, begins bool) {
	if begins {
		*w = witness{left: w.left}
	}
	for i := range rows {
		if rows[i].Disabled || rows[i].Service {
			continue
		}
		if w.stated += len(rows[i].Groups); w.off || w.stated > maxStated {
			w.groups, w.off = nil, true
			return
		}
		if len(rows[i].Groups) > 0 {
			w.witnesses++
		}
		for _, id := range rows[i].Groups {
			group := directory.Fingerprint(id)
			if _, left := w.left[group]; left {
				continue
			}
			if w.groups == nil {
				w.groups = map[uint64]*namedGroup{}
			}
			if w.groups[group] == nil {
				w.groups[group] = &namedGroup{id: id}
			}
			w.groups[group].users = append(w.groups[group].users, short(directory.Fingerprint(rows[i].ID)))
		}
	}
}

// list notes listed groups that do not count.
func (w *witness) list(rows []directory.Group, begins bool) {
	if begins {
		w.left = nil
	}
	for i := range rows {
		if !special(rows[i].Origin) {
			continue
		}
		if w.left == nil {
			w.left = map[uint64]struct{}{}
		}
		group := directory.Fingerprint(rows[i].ID)
		w.left[group] = struct{}{}
		delete(w.groups, group)
	}
}

// special says that a group is one that the vendor keeps for itself.
func special(origin directory.GroupOrigin) bool {
	return origin == directory.OriginBuiltIn || origin == directory.OriginPersonal
}

// member notes that a user is in a group's list.
func (w *witness) member(group, user uint64) {
	g := w.groups[group]
	if g == nil {
		return
	}
	g.sort()
	if i, stated := slices.BinarySearch(g.users, short(user)); stated {
		g.found[i/64] |= 1 << (i % 64)
	}
}

func (g *namedGroup) sort() {
	if g.sorted {
		return
	}
	slices.Sort(g.users)
	g.users = slices.Compact(g.users)
	g.found, g.sorted = make([]uint64, (len(g.users)+63)/64), true
}

// missing are the users who name the group and are not in its list.
func (g *namedGroup) missing() []uint32 {
	g.sort()
	var out []uint32
	for i, user := range g.users {
		if g.found[i/64]&(1<<(i%64)) == 0 {
			out = append(out, user)
		}
	}
	return out
}

// contradictions are what a sync has read that contradicts the users' own rows.
type contradictions struct {
	// stated counts the memberships in listed groups that rows state.
	stated int
	// missing are, by group, the users who name it and are not in its list.
	missing map[string][]uint32
	// unlisted are the groups that rows name and no list has, those that most
	// users name first.
	unlisted []string
}

func (w *witness) contradictions(listed map[uint64]struct{}) contradictions {
	out := contradictions{missing: map[string][]uint32{}}
	var unlisted []*namedGroup
	for group, g := range w.groups {
		if _, known := listed[group]; !known {
			unlisted = append(unlisted, g)
			continue
		}
		missing := g.missing()
		if len(missing) == len(g.users) && 10*len(missing) >= 9*w.witnesses {
			continue // it is the group of everybody, whose list vendors may leave empty
		}
		out.stated += len(g.users)
		if len(missing) > 0 {
			out.missing[g.id] = missing
		}
	}
	slices.SortFunc(unlisted, func(a, b *namedGroup) int {
		return cmp.Or(cmp.Compare(len(b.users), len(a.users)), cmp.Compare(a.id, b.id))
	})
	for _, g := range unlisted {
		out.unlisted = append(out.unlisted, g.id)
	}
	return out
}

// hearWitness compares, when the last membership of a sync has been read in this
// process, what has been read with what the users' own rows state. It makes no
// request where they agree. What contradicts is read once more, because a
// directory changes while it is read: the list of groups, those groups' members,
// then the rows. What still contradicts fails the sync (FailedPrecondition).
func (c *crossChecks) hearWitness(ctx context.Context, syncID string, source directory.Source) error {
	var found contradictions
	read := false
	err := c.in(syncID, func(o *observation) error {
		w := &o.witness
		if w.done || w.off || len(w.groups) == 0 || o.open == nil || len(o.open) > 0 || !o.users.complete() || !o.groups.complete() {
			return nil
		}
		found = w.contradictions(o.groups.ids)
		w.done, read = true, true
		return nil
	})
	if err != nil || !read {
		return err
	}
	err = found.judge(ctx, source)
	_ = c.in(syncID, func(o *observation) error {
		if o.witness.done = err == nil; err == nil { // else the syncer may call again
			o.witness.groups = nil
		}
		return nil
	})
	return err
}

func (f *contradictions) judge(ctx context.Context, source directory.Source) error {
	if len(f.unlisted) > 0 {
		if err := f.askUnlisted(ctx, source); err != nil {
			return err
		}
	}
	missing := count(f.missing)
	switch {
	case missing == 0:
		return nil
	case 2*missing > f.stated:
		ctxzap.Extract(ctx).Warn("users' own rows name groups whose lists lack most of them: these rows are not relied on; compare a group with the vendor's own pages",
			zap.Int("stated", f.stated), zap.Int("missing", missing))
		return nil
	}
	return f.readAgain(ctx, source)
}

func count(users map[string][]uint32) (n int) {
	for _, list := range users {
		n += len(list)
	}
	return n
}

// askUnlisted asks for groups that rows name and no list has.
func (f *contradictions) askUnlisted(ctx context.Context, source directory.Source) error {
	existing, others := map[string]bool{}, 0
	for _, id := range f.unlisted[:min(len(f.unlisted), maxAsked)] {
		group, err := source.Group(ctx, id)
		switch code := status.Code(err); {
		case code == codes.NotFound: // deleted since
		case passes(code):
			return err
		case err != nil || special(group.Origin):
			others++
		default:
			existing[id] = true
		}
	}
	if len(existing) > 0 { // which may be new
		err := each(ctx, source.Groups, func(group *directory.Group) { delete(existing, group.ID) })
		if err != nil {
			return err
		}
	}
	if len(existing) > 0 {
		return errorf(codes.FailedPrecondition, "the list of groups lacks groups that users' own rows name and that exist (%s, such as %s): "+
			"the credential may not see all groups; use the credential of an administrator; if it is one, report this message",
			Thousands(len(existing)), least(existing))
	}
	if others > 0 {
		ctxzap.Extract(ctx).Warn("users' own rows name groups that are not listed: the vendor's own, groups of a single user, or some that the credential may not read",
			zap.Int("groups", others))
	}
	return nil
}

// readAgain reads what seems to be missing once more.
func (f *contradictions) readAgain(ctx context.Context, source directory.Source) error {
	for id, users := range f.missing {
		listed := map[uint32]bool{}
		members := func(ctx context.Context, cursor string) (directory.Page[directory.Member], error) {
			return source.Members(ctx, id, cursor)
		}
		err := each(ctx, members, func(m *directory.Member) {
			if !m.IsGroup {
				listed[short(directory.Fingerprint(m.ID))] = true
			}
		})
		if err != nil {
			return err
		}
		users = slices.DeleteFunc(slices.Clone(users), func(user uint32) bool { return listed[user] })
		if f.missing[id] = users; len(users) == 0 {
			delete(f.missing, id)
		}
	}
	if len(f.missing) == 0 {
		return nil
	}
	still, groups := 0, map[string]bool{}
	err := each(ctx, source.Users, func(user *directory.User) {
		for _, id := range user.Groups {
			if _, named := slices.BinarySearch(f.missing[id], short(directory.Fingerprint(user.ID))); named {
				still, groups[id] = still+1, true
			}
		}
	})
	if err != nil || still == 0 {
		return err
	}
	return errorf(codes.FailedPrecondition, "groups' lists lack %s of %s memberships that users' own rows state, on a second reading too (groups: %s, such as %s): "+
		"those lists are not whole; check that the credential may read all groups, and run the sync again; if it ends so again, report this message",
		Thousands(still), Thousands(f.stated), Thousands(len(groups)), least(groups))
}

// least is the first of some ids, so that a message is the same each time.
func least(ids map[string]bool) string {
	first := ""
	for id := range ids {
		if first == "" || id < first {
			first = id
		}
	}
	return cut(clean(first), 100)
}

// passes says that an error is no answer to what was asked.
func passes(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return true
	}
	return false
}

// each calls a function with each row of a list.
func each[T any](ctx context.Context, read reader[T], do func(*T)) error {
	for cursor := ""; ; {
		page, err := read(ctx, cursor)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			do(&page.Rows[i])
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}
