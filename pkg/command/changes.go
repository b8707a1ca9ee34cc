package command

import (
	"context"
	"encoding/csv"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/dotc1z/c1zstore"
)

// changes is what came and went since the sync that --file held before.
type changes struct {
	// Since is when that sync ended.
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

// changeColumns is the first row of the file of --changes. An id and a name
// are those of a user or a group; group_id and group_name say which group a
// member was added to or removed from.
var changeColumns = []string{"change", "type", "id", "name", "group_id", "group_name"}

// compare finds what came and went between two stores. Each change also goes
// to rows, if that is not nil. Memory: 8 bytes and a bit for each row of the
// older store and, to write rows, the names of users and groups. Memberships
// that the SDK derived from nested groups are not compared.
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

	var memberships keySet
	membership := func(g *v2.Grant) (id string, who, group *v2.ResourceId) {
		who, group = g.GetPrincipal().GetId(), g.GetEntitlement().GetResource().GetId()
		return key(group) + "\x00" + key(who), who, group
	}
	if err := eachMembership(ctx, before, func(g *v2.Grant) error {
		id, _, _ := membership(g)
		memberships.add(id)
		return nil
	}); err != nil {
		return found, err
	}
	memberships.sort()
	if err := eachMembership(ctx, now, func(g *v2.Grant) error {
		id, who, group := membership(g)
		if memberships.mark(id) {
			return nil
		}
		found.Memberships.Added++
		return write("added", "membership", who, group)
	}); err != nil {
		return found, err
	}
	found.Memberships.Removed = memberships.unmarked()
	if rows == nil || found.Memberships.Removed == 0 {
		return found, nil
	}
	return found, eachMembership(ctx, before, func(g *v2.Grant) error {
		id, who, group := membership(g)
		if !memberships.mark(id) || memberships.wasMarked {
			return nil
		}
		return write("removed", "membership", who, group)
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

// csvText keeps a spreadsheet from taking a name for a formula.
func csvText(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// keySet is a set of keys, kept as fingerprints of 8 bytes, with a mark for
// each. Add all keys, sort, then ask.
type keySet struct {
	prints []uint64
	marked []uint64 // a bit for each print
	marks  int
	// wasMarked says whether the key that was marked last had its mark before.
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

// mark marks a key and says whether it is in the set.
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

// unmarked is how many keys have no mark.
func (s *keySet) unmarked() int { return len(s.prints) - s.marks }
