package command

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// listsMemberships also lists the members of all groups in one walk.
type listsMemberships struct {
	directory.Source
	page directory.Page[directory.Membership]
	err  error
}

func (s *listsMemberships) Groups(context.Context, string) (directory.Page[directory.Group], error) {
	return directory.Page[directory.Group]{Rows: []directory.Group{{ID: "1", Name: "One"}}}, nil
}

func (s *listsMemberships) Memberships(context.Context, string) (directory.Page[directory.Membership], error) {
	return s.page, s.err
}

// If a check skipped memberships that a sync cannot read, it would promise a
// sync that fails.
func TestCheckReadsTheMembershipsAsASyncDoes(t *testing.T) {
	t.Parallel()
	p := &program[*testConfig]{info: connector.Info{Name: "baton-test"}}
	var out checkResult
	source := &listsMemberships{page: directory.Page[directory.Membership]{Rows: make([]directory.Membership, 2), Next: "more"}}
	if err := p.checkGroups(t.Context(), source, &out); err != nil {
		t.Fatal(err)
	}
	if want := (checkedList{Rows: 2, More: true}); out.Members != want || out.Groups.Rows != 1 {
		t.Errorf("it saw the groups %+v and the memberships %+v, want %+v", out.Groups, out.Members, want)
	}
	source.err = status.Error(codes.PermissionDenied, "not these")
	f := failureOf("baton-test", p.checkGroups(t.Context(), source, &out))
	if f.code != int(codes.PermissionDenied) || f.line != "baton-test: list group memberships: not these" {
		t.Errorf("it ends with %d: %s", f.code, f.line)
	}
}
