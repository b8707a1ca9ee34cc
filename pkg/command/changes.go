package command

import (
	"bytes"
	"context"
	"encoding/csv"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/connectorstore"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
)

// changes counts the differences to the sync that --file held before.
type changes struct {
	// Since is the time when that sync ended.
	Since       time.Time   `json:"since"`
	Users       userChanges `json:"users"`
	Groups      rowChanges  `json:"groups"`
	Memberships rowChanges  `json:"memberships"`
}

type rowChanges struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
}

type userChanges struct {
	rowChanges
	// Disabled counts users who were enabled before.
	Disabled int `json:"disabled"`
}

// changeColumns is the first row of the file of --changes. id and name describe
// a user or a group; group_id and group_name name the group that a member was
// added to or removed from.
var changeColumns = []string{"change", "type", "id", "name", "group_id", "group_name"}

// compare counts the rows that were added, removed and disabled between two
// stores, and writes each change to rows, unless that is nil. It does not
// compare memberships that the SDK derived from nested groups.
//
// It takes 8 bytes and a bit of memory for each user and group of the older
// store, and for each member of one group at a time. With rows it also takes
// the names of users and groups.
func compare(ctx context.Context, before, now c1zstore.Store, rows *csv.Writer) (changes, error) {
	var found changes
	names := map[string]string{}
	write := func(change, kind string, who, group *v2.ResourceId) error {
		if rows == nil {
			return nil
		}
		row := []string{change, kind, who.GetResource(), names[key(who)], group.GetResource(), names[key(group)]}
		for i := range row {
			row[i] = csvText(row[i])
		}
		return rows.Write(row)
	}

	var resources, enabled keySet
	if err := eachResource(ctx, before, func(r *v2.Resource) error {
		id := key(r.GetId())
		resources.add(id)
		if !isDisabled(r) {
			enabled.add(id)
		}
		if rows != nil {
			names[id] = r.GetDisplayName()
		}
		return nil
	}); err != nil {
		return found, err
	}
	resources.sort()
	enabled.sort()
	if err := eachResource(ctx, now, func(r *v2.Resource) error {
		id, kind := key(r.GetId()), r.GetId().GetResourceType()
		if rows != nil {
			names[id] = r.GetDisplayName()
		}
		if !resources.mark(id) {
			found.resource(kind).Added++
			return write("added", kind, r.GetId(), nil)
		}
		if kind == "user" && isDisabled(r) && enabled.has(id) {
			found.Users.Disabled++
			return write("disabled", kind, r.GetId(), nil)
		}
		return nil
	}); err != nil {
		return found, err
	}
	if resources.unmarked() > 0 {
		if err := eachResource(ctx, before, func(r *v2.Resource) error {
			if !resources.mark(key(r.GetId())) || resources.wasMarked {
				return nil
			}
			kind := r.GetId().GetResourceType()
			found.resource(kind).Removed++
			return write("removed", kind, r.GetId(), nil)
		}); err != nil {
			return found, err
		}
	}

	return found, eachChangedGroup(ctx, before, now, func(group *v2.Resource) error {
		return compareMembers(ctx, before, now, group, &found.Memberships, func(change string, who *v2.ResourceId) error {
			return write(change, "membership", who, group.GetId())
		})
	})
}

// eachChangedGroup calls do for each group whose members may differ between two
// stores. The SDK's store has a digest of each group's members; groups with equal
// digests are skipped. A store without digests (--storage-engine sqlite) skips
// none.
func eachChangedGroup(ctx context.Context, before, now c1zstore.Store, do func(group *v2.Resource) error) error {
	digest := func(store c1zstore.Store, e *v2.Entitlement) (connectorstore.GrantDigest, bool, error) {
		reader, ok := store.(connectorstore.EntitlementGrantDigestReader)
		if !ok {
			return connectorstore.GrantDigest{}, false, nil
		}
		return reader.GetEntitlementGrantDigest(ctx, e)
	}
	var seen keySet
	if err := eachEntitlement(ctx, before, func(e *v2.Entitlement) error {
		seen.add(e.GetId())
		old, known, err := digest(before, e)
		if err != nil {
			return err
		}
		if known {
			fresh, known, err := digest(now, e)
			if err != nil || known && fresh.Count == old.Count && bytes.Equal(fresh.Hash, old.Hash) {
				return err
			}
		}
		return do(e.GetResource())
	}); err != nil {
		return err
	}
	seen.sort()
	return eachEntitlement(ctx, now, func(e *v2.Entitlement) error {
		if seen.has(e.GetId()) {
			return nil
		}
		return do(e.GetResource())
	})
}

// compareMembers counts and writes the members that were added to a group or
// removed from it.
func compareMembers(ctx context.Context, before, now c1zstore.Store, group *v2.Resource, found *rowChanges, write func(change string, who *v2.ResourceId) error) error {
	var members keySet
	if err := eachMember(ctx, before, group, func(who *v2.ResourceId) error {
		members.add(key(who))
		return nil
	}); err != nil {
		return err
	}
	members.sort()
	if err := eachMember(ctx, now, group, func(who *v2.ResourceId) error {
		if members.mark(key(who)) {
			return nil
		}
		found.Added++
		return write("added", who)
	}); err != nil {
		return err
	}
	if members.unmarked() == 0 {
		return nil
	}
	return eachMember(ctx, before, group, func(who *v2.ResourceId) error {
		if !members.mark(key(who)) || members.wasMarked {
			return nil
		}
		found.Removed++
		return write("removed", who)
	})
}

// resource is the count of a resource type.
func (c *changes) resource(kind string) *rowChanges {
	if kind == "user" {
		return &c.Users.rowChanges
	}
	return &c.Groups
}

func key(id *v2.ResourceId) string { return id.GetResourceType() + "\x00" + id.GetResource() }

func isDisabled(r *v2.Resource) bool {
	return r.GetStatus().GetStatus() == v2.Status_RESOURCE_STATUS_DISABLED
}

// csvText quotes a name that a spreadsheet would take for a formula.
func csvText(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// keySet is a set of keys, stored as fingerprints of 8 bytes, with a mark for
// each. Add all keys and sort the set before you look one up.
type keySet struct {
	prints []uint64
	marked []uint64 // a bit for each print
	marks  int
	// wasMarked reports whether the key of the last call of mark was marked
	// already.
	wasMarked bool
}

var seed = maphash.MakeSeed()

func (s *keySet) add(key string) { s.prints = append(s.prints, maphash.String(seed, key)) }

func (s *keySet) sort() {
	slices.Sort(s.prints)
	s.prints = slices.Compact(s.prints)
	s.marked = make([]uint64, (len(s.prints)+63)/64)
}

func (s *keySet) has(key string) bool {
	_, ok := slices.BinarySearch(s.prints, maphash.String(seed, key))
	return ok
}

// mark marks a key and reports whether it is in the set.
func (s *keySet) mark(key string) bool {
	at, ok := slices.BinarySearch(s.prints, maphash.String(seed, key))
	if !ok {
		return false
	}
	bit := uint64(1) << (at % 64)
	if s.wasMarked = s.marked[at/64]&bit != 0; !s.wasMarked {
		s.marked[at/64] |= bit
		s.marks++
	}
	return true
}

// unmarked returns the number of keys without a mark.
func (s *keySet) unmarked() int { return len(s.prints) - s.marks }
