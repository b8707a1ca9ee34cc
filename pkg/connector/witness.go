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
	// maxStated bounds the memberships that a witness remembers. Each takes 4
	// bytes, and up to 8 while the list grows.
	maxStated = 4 << 20
	// maxAsked bounds the unlisted groups that are read by their ids.
	maxAsked = 20
)

// witness compares the groups in users' own rows (directory.User.Groups) with
// the lists of groups and of their members. It excludes entries that vendors
// list in different ways: built-in groups and groups of one user, accounts that
// cannot be used, such as invited ones, and accounts of programs.
type witness struct {
	// groups are the groups that rows name, by the fingerprint of their ids.
	groups map[uint64]*namedGroup
	// excluded has the fingerprints of listed groups that are not compared.
	excluded map[uint64]struct{}
	// stated counts the memberships in groups, witnesses the rows that state some.
	stated, witnesses int
	// off is set if there are too many memberships, done if the comparison has
	// been made or is in progress.
	off, done bool
}

// namedGroup is a group that users' rows name.
type namedGroup struct {
	id string
	// users are the users who name it, as short fingerprints, perhaps sorted.
	users  []uint32
	sorted bool
	// found has a bit for each of users, set if the group's list has the user.
	found []uint64
}

// short halves a fingerprint. If two users share one, which happens once in 2^32,
// one of them can hide that the other is missing.
func short(fingerprint uint64) uint32 { return uint32(fingerprint ^ fingerprint>>32) } //nolint:gosec // both halves are used

// users records the groups that rows name. begins is set on the first page.
func (w *witness) users(rows []directory.User, begins bool) {
	if begins {
		*w = witness{excluded: w.excluded}
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
			if _, excluded := w.excluded[group]; excluded {
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

// list records listed groups that are not compared.
func (w *witness) list(rows []directory.Group, begins bool) {
	if begins {
		w.excluded = nil
	}
	for i := range rows {
		if !special(rows[i].Origin) {
			continue
		}
		if w.excluded == nil {
			w.excluded = map[uint64]struct{}{}
		}
		group := directory.Fingerprint(rows[i].ID)
		w.excluded[group] = struct{}{}
		delete(w.groups, group)
	}
}

// special reports whether the vendor makes the group itself.
func special(origin directory.GroupOrigin) bool {
	return origin == directory.OriginBuiltIn || origin == directory.OriginPersonal
}

// member records that a group's list has a user.
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

// missing returns the users who name the group and are not in its list.
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

// contradictions are differences between the lists that a sync has read and the
// users' own rows.
type contradictions struct {
	// stated counts the memberships in listed groups that rows state.
	stated int
	// missing has, for each group, the users who name it and are not in its list.
	missing map[string][]uint32
	// unlisted are the groups that rows name but no list has, sorted by the
	// number of users that name them.
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
			continue // the group of all users, whose list vendors may leave empty
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

// checkWitness compares the lists of a sync with the users' own rows, once all
// memberships have been read in this process. It makes no request if they agree.
// Otherwise it reads once more, because a directory changes while it is read: the
// list of groups, the members of the groups that differ, then the rows. If they
// differ still, it fails with FailedPrecondition.
func (c *crossChecks) checkWitness(ctx context.Context, syncID string, source directory.Source) error {
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
		ctxzap.Extract(ctx).Warn("users' own rows name groups whose lists lack most of them: the sync ignores these rows; compare a group with the vendor's own pages",
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

// askUnlisted reads groups that rows name and no list has by their ids.
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

// readAgain reads the memberships that seem to be missing once more.
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
		"those lists are not whole; check that the credential may read all groups, and run the sync again; if it fails again, report this message",
		Thousands(still), Thousands(f.stated), Thousands(len(groups)), least(groups))
}

// least returns the first of some ids, so that a message is the same each time.
func least(ids map[string]bool) string {
	first := ""
	for id := range ids {
		if first == "" || id < first {
			first = id
		}
	}
	return cut(clean(first), 100)
}

// passes reports whether a later call may succeed: the vendor is out of reach, or
// the call was stopped.
func passes(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return true
	}
	return false
}

// each calls do with each row of a list.
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
