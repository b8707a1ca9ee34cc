package connector

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// crossChecks compares the parts of a sync: the members of groups with the
// users, the rows of a list with the vendor's own count, the lists of groups
// with the statements in the users' own rows (witness). Each part can look
// right while the whole is wrong.
//
// A check needs all pages of a sync in one process. It is off if calls are
// spread over processes, as on AWS Lambda, and for a sync that continues in
// another process. It remembers a fingerprint of 8 bytes for each user and
// group, and at most as much for each membership that users' own rows state.
type crossChecks struct {
	now func() time.Time

	mu    sync.Mutex
	syncs map[string]*observation
}

// observation holds what one sync has listed.
type observation struct {
	seen time.Time

	users, groups listing
	// members counts all members of groups; unlisted counts those that are no
	// listed user or group, and examples has some of their ids, made unreadable.
	members, unlisted int
	examples          []string
	// open has the pages of memberships that are still to be read, by the
	// fingerprint of a group's id or of a token. It is nil before all groups are
	// listed, and if this process has not seen all of them.
	open map[uint64]struct{}
	// witness has the groups that users' own rows name.
	witness witness
}

// listing is a list that is read page by page.
type listing struct {
	ids map[uint64]struct{}
	// next is the token of the next page; empty after the last one.
	next string
	// whole is set if this process has seen all pages so far.
	whole bool
	// total is the vendor's own count if all pages state the same, else 0.
	total int
}

// add records a page.
func (l *listing) add(token, next string, total int) {
	switch {
	case token == "":
		*l = listing{ids: map[uint64]struct{}{}, whole: true, total: total}
	case token != l.next:
		l.whole = false
	}
	if l.ids == nil { // another process read the first page
		l.ids = map[uint64]struct{}{}
	}
	if total != l.total {
		l.total = 0
	}
	l.next = next
}

// complete reports whether all pages of the list were seen.
func (l *listing) complete() bool { return l.whole && l.next == "" }

// countFault compares a complete list with the vendor's own count.
func (l *listing) countFault(what string) error {
	if !l.complete() || l.total <= len(l.ids) {
		return nil
	}
	return errorf(codes.Aborted, "%s %s were listed, but the vendor counts %s on every page: rows moved during the sync, or are missing; run the sync again; if it fails again, report this message to the vendor",
		Thousands(len(l.ids)), what, Thousands(l.total))
}

// in calls a function with the observation of a sync, one at a time.
func (c *crossChecks) in(syncID string, do func(*observation) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.syncs[syncID]
	if o == nil {
		if c.syncs == nil {
			c.syncs = map[string]*observation{}
		}
		for len(c.syncs) >= maxSyncs { // failed syncs stay until dropped here
			oldest := ""
			for id, other := range c.syncs {
				if oldest == "" || other.seen.Before(c.syncs[oldest].seen) {
					oldest = id
				}
			}
			delete(c.syncs, oldest)
		}
		o = &observation{}
		c.syncs[syncID] = o
	}
	o.seen = c.now()
	return do(o)
}

func (c *crossChecks) addUsers(syncID, token string, page directory.Page[directory.User]) error {
	return c.in(syncID, func(o *observation) error {
		o.users.add(token, page.Next, page.Total)
		for i := range page.Rows {
			o.users.ids[directory.Fingerprint(page.Rows[i].ID)] = struct{}{}
		}
		o.witness.users(page.Rows, token == "")
		return o.users.countFault("users")
	})
}

// addGroups records a page of groups. Memberships are read after all groups: in
// one walk, or group by group.
func (c *crossChecks) addGroups(syncID, token string, page directory.Page[directory.Group], inOneWalk bool) error {
	return c.in(syncID, func(o *observation) error {
		o.groups.add(token, page.Next, page.Total)
		for i := range page.Rows {
			o.groups.ids[directory.Fingerprint(page.Rows[i].ID)] = struct{}{}
		}
		o.witness.list(page.Rows, token == "")
		o.members, o.unlisted, o.examples, o.open = 0, 0, nil, nil
		if o.groups.complete() {
			o.open = map[uint64]struct{}{}
			if inOneWalk {
				o.open[directory.Fingerprint("")] = struct{}{}
			} else {
				for id := range o.groups.ids {
					o.open[id] = struct{}{}
				}
			}
		}
		return o.groups.countFault("groups")
	})
}

// addMembers records a page of the members of one group.
func (c *crossChecks) addMembers(ctx context.Context, syncID, group string, page directory.Page[directory.Member]) error {
	in := directory.Fingerprint(group)
	return c.in(syncID, func(o *observation) error {
		for i := range page.Rows {
			o.add(in, page.Rows[i])
		}
		if page.Next != "" {
			return nil
		}
		return o.closed(ctx, in)
	})
}

// addMemberships records a page of the members of all groups. Its next and
// siblings are still to be read.
func (c *crossChecks) addMemberships(ctx context.Context, syncID, token string, page directory.Page[directory.Membership]) error {
	return c.in(syncID, func(o *observation) error {
		for i := range page.Rows {
			o.add(directory.Fingerprint(page.Rows[i].GroupID), page.Rows[i].Member)
		}
		if o.open != nil {
			for _, next := range append([]string{page.Next}, page.Siblings...) {
				if next != "" {
					o.open[directory.Fingerprint(next)] = struct{}{}
				}
			}
		}
		return o.closed(ctx, directory.Fingerprint(token))
	})
}

// add records a member of the group with a fingerprint.
func (o *observation) add(group uint64, m directory.Member) {
	o.members++
	list, id := &o.users, directory.Fingerprint(m.ID)
	if m.IsGroup {
		list = &o.groups
	} else {
		o.witness.member(group, id)
	}
	if _, found := list.ids[id]; found {
		return
	}
	o.unlisted++
	if example := unreadable(m.ID); len(o.examples) < 2 && (len(o.examples) == 0 || o.examples[0] != example) {
		o.examples = append(o.examples, example)
	}
}

// closed records that a page of memberships was read. After the last one, it
// checks the members of all groups.
func (o *observation) closed(ctx context.Context, page uint64) error {
	if _, open := o.open[page]; !open {
		return nil // read again, or not known here
	}
	delete(o.open, page)
	if len(o.open) > 0 || !o.users.complete() || !o.groups.complete() || o.unlisted == 0 {
		return nil
	}
	such := strings.Join(o.examples, " or ")
	if 2*o.unlisted >= o.members {
		return errorf(codes.FailedPrecondition, "%s of %s members of groups are not listed as users or groups (their ids look like %s; %s users and %s groups are listed): "+
			"the list of users is not complete, or names people otherwise than the groups do; check that the credential may read all users; if it may, report this message",
			Thousands(o.unlisted), Thousands(o.members), such, Thousands(len(o.users.ids)), Thousands(len(o.groups.ids)))
	}
	ctxzap.Extract(ctx).Warn("members of groups are not listed as users or groups: they joined during the sync, or the list of users is incomplete",
		zap.Int("unlisted", o.unlisted), zap.Int("members", o.members), zap.String("their_ids_look_like", such))
	return nil
}

// unreadable returns the form of an id without its content: letters become a and
// digits 0, at most 40 bytes.
func unreadable(id string) string {
	shape := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '0'
		case r == '@' || r == '.' || r == '-' || r == '_' || r == ':' || r == '/':
			return r
		default:
			return 'a'
		}
	}, id)
	return cut(shape, 40)
}
