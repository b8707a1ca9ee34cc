// Package memory is a directory in memory: the smallest possible
// directory.Source. It shows the contract, lets tests feed any row to the
// connector, and is the floor of the benchmarks, because it sends no request.
package memory

import (
	"context"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// defaultPageSize is the number of rows in a page if Source.PageSize is 0.
const defaultPageSize = 750

// Source serves its fields, with PageSize rows per page (0 means
// defaultPageSize).
type Source struct {
	UserRows  []directory.User
	GroupRows []directory.Group
	// MemberRows holds the members of each group by its id.
	MemberRows map[string][]directory.Member
	PageSize   int
}

var _ directory.Source = (*Source)(nil)

// Check always succeeds.
func (s *Source) Check(context.Context) error { return nil }

// Users lists UserRows.
func (s *Source) Users(_ context.Context, cursor string) (directory.Page[directory.User], error) {
	return page(s.UserRows, cursor, s.PageSize)
}

// Groups lists GroupRows.
func (s *Source) Groups(_ context.Context, cursor string) (directory.Page[directory.Group], error) {
	return page(s.GroupRows, cursor, s.PageSize)
}

// Group looks a group up.
func (s *Source) Group(_ context.Context, id string) (directory.Group, error) {
	for _, g := range s.GroupRows {
		if g.ID == id {
			return g, nil
		}
	}
	return directory.Group{}, status.Errorf(codes.NotFound, "no group %q", id)
}

// Members lists the MemberRows of a group.
func (s *Source) Members(_ context.Context, groupID, cursor string) (directory.Page[directory.Member], error) {
	return page(s.MemberRows[groupID], cursor, s.PageSize)
}

// page cuts one page out of rows. The cursor is the index of its first row.
func page[T any](rows []T, cursor string, size int) (directory.Page[T], error) {
	from := 0
	if cursor != "" {
		var err error
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 || from > len(rows) {
			return directory.Page[T]{}, status.Errorf(codes.InvalidArgument, "%q is no cursor of this list", cursor)
		}
	}
	if size <= 0 {
		size = defaultPageSize
	}
	to := min(from+size, len(rows))
	out := directory.Page[T]{Rows: rows[from:to], Total: len(rows)}
	if to < len(rows) {
		out.Next = strconv.Itoa(to)
	}
	return out, nil
}

// ManySource is a Source that also lists all memberships in one walk.
type ManySource struct{ Source }

// Memberships lists the MemberRows of all groups, in the order of GroupRows.
// The cursor is "group index/row index".
func (s *ManySource) Memberships(_ context.Context, cursor string) (directory.Page[directory.Membership], error) {
	var at position
	if err := at.parse(cursor); err != nil {
		return directory.Page[directory.Membership]{}, err
	}
	size := s.PageSize
	if size <= 0 {
		size = defaultPageSize
	}
	var out directory.Page[directory.Membership]
	for ; at.group < len(s.GroupRows); at = (position{group: at.group + 1}) {
		id := s.GroupRows[at.group].ID
		for rows := s.MemberRows[id]; at.row < len(rows); at.row++ {
			if len(out.Rows) == size {
				out.Next = at.String()
				return out, nil
			}
			out.Rows = append(out.Rows, directory.Membership{GroupID: id, Member: rows[at.row]})
		}
	}
	return out, nil
}

type position struct{ group, row int }

func (p position) String() string { return strconv.Itoa(p.group) + "/" + strconv.Itoa(p.row) }

func (p *position) parse(cursor string) error {
	if cursor == "" {
		return nil
	}
	for i := range len(cursor) {
		if cursor[i] != '/' {
			continue
		}
		group, err1 := strconv.Atoi(cursor[:i])
		row, err2 := strconv.Atoi(cursor[i+1:])
		if err1 == nil && err2 == nil && group >= 0 && row >= 0 {
			*p = position{group, row}
			return nil
		}
	}
	return status.Errorf(codes.InvalidArgument, "%q is no cursor of this list", cursor)
}
