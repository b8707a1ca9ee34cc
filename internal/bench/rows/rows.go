// Package rows copies a vendor's directory, read through the connector's own
// source, to the floor of the benchmarks. The floor serves the same rows from
// memory, at no cost of reading.
package rows

import (
	"bufio"
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/conductorone/baton-connectors/internal/memory"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// pageSize is the number of rows in a page.
const pageSize = 750

// Rows is a whole directory. Principals holds each member of any group once.
// Members holds, group by group, indices into Principals, so that a million
// memberships load as fast as a million numbers.
type Rows struct {
	Users      []directory.User
	Groups     []directory.Group
	Principals []directory.Member
	Members    [][]uint32
}

// Read walks a source to its end.
func Read(ctx context.Context, source directory.Source) (*Rows, error) {
	r := &Rows{}
	var err error
	if r.Users, err = walk(func(cursor string) (directory.Page[directory.User], error) { return source.Users(ctx, cursor) }); err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if r.Groups, err = walk(func(cursor string) (directory.Page[directory.Group], error) { return source.Groups(ctx, cursor) }); err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	byID := make(map[string]int, len(r.Groups))
	for i := range r.Groups {
		byID[r.Groups[i].ID] = i
	}
	r.Members = make([][]uint32, len(r.Groups))
	known := make(map[directory.Member]uint32, len(r.Users))
	add := func(group int, m directory.Member) {
		at, seen := known[m]
		if !seen {
			at = uint32(len(r.Principals)) //nolint:gosec // far below four thousand million
			known[m] = at
			r.Principals = append(r.Principals, m)
		}
		r.Members[group] = append(r.Members[group], at)
	}
	if many, ok := source.(directory.Memberships); ok {
		all, err := walk(func(cursor string) (directory.Page[directory.Membership], error) {
			return many.Memberships(ctx, cursor)
		})
		if err != nil {
			return nil, fmt.Errorf("read memberships: %w", err)
		}
		for _, m := range all {
			group, listed := byID[m.GroupID]
			if !listed {
				return nil, fmt.Errorf("a membership names the group %q, which is not listed", m.GroupID)
			}
			add(group, m.Member)
		}
		return r, nil
	}
	for i := range r.Groups {
		all, err := walk(func(cursor string) (directory.Page[directory.Member], error) {
			return source.Members(ctx, r.Groups[i].ID, cursor)
		})
		if err != nil {
			return nil, fmt.Errorf("read the members of a group: %w", err)
		}
		for _, m := range all {
			add(i, m)
		}
	}
	return r, nil
}

func walk[T any](page func(cursor string) (directory.Page[T], error)) ([]T, error) {
	var rows []T
	for cursors := []string{""}; len(cursors) > 0; {
		p, err := page(cursors[0])
		if err != nil {
			return nil, err
		}
		rows, cursors = append(rows, p.Rows...), append(cursors[1:], p.Siblings...)
		if p.Next != "" {
			cursors = append(cursors, p.Next)
		}
	}
	return rows, nil
}

// Save writes the rows to a file.
func (r *Rows) Save(path string) error {
	register()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = gob.NewEncoder(buffered).Encode(r)
	if err == nil {
		err = buffered.Flush()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// Load reads what Save wrote.
func Load(path string) (*Rows, error) {
	register()
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	r := &Rows{}
	if err := gob.NewDecoder(bufio.NewReaderSize(file, 1<<20)).Decode(r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// register names the types in a profile other than plain values.
func register() {
	gob.Register(time.Time{})
	gob.Register([]any{})
	gob.Register(map[string]any{})
}

// Source serves the rows, in as few and as large pages as the contract
// allows.
func (r *Rows) Source() *Source {
	s := &Source{ManySource: memory.ManySource{Source: memory.Source{UserRows: r.Users, GroupRows: r.Groups}}}
	s.MemberRows = make(map[string][]directory.Member, len(r.Groups))
	for i := range r.Groups {
		list := make([]directory.Member, len(r.Members[i]))
		for k, at := range r.Members[i] {
			list[k] = r.Principals[at]
			s.all = append(s.all, directory.Membership{GroupID: r.Groups[i].ID, Member: list[k]})
		}
		s.MemberRows[r.Groups[i].ID] = list
	}
	return s
}

// Source is a directory in memory. All its memberships can be read in parallel,
// which no vendor allows.
type Source struct {
	memory.ManySource
	all []directory.Membership
}

// fan is the number of pages of memberships that one page names.
const fan = 200

// Memberships implements directory.Memberships. The cursor is the index of a
// page. One page in fan names those that follow.
func (s *Source) Memberships(_ context.Context, cursor string) (directory.Page[directory.Membership], error) {
	at := 0
	if cursor != "" {
		var err error
		if at, err = strconv.Atoi(cursor); err != nil || at < 0 || at*pageSize > len(s.all) {
			return directory.Page[directory.Membership]{}, fmt.Errorf("%q is no cursor of this list", cursor)
		}
	}
	page := directory.Page[directory.Membership]{Rows: s.all[at*pageSize : min((at+1)*pageSize, len(s.all))]}
	if at%fan != 0 {
		return page, nil
	}
	for next := at + 1; next*pageSize < len(s.all); next++ {
		if next == at+fan {
			page.Next = strconv.Itoa(next)
			break
		}
		page.Siblings = append(page.Siblings, strconv.Itoa(next))
	}
	return page, nil
}
