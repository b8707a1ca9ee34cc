// Package example is a third connector, as small as one can be: Acme lists
// users and teams page by page and the members of a team in one answer.
package example

import (
	"context"
	"net/url"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Acme implements directory.Source.
type Acme struct{ client *rest.Client }

// New makes a source; config and its checks are left out here.
func New(ctx context.Context, base *url.URL, token string, opts rest.Options) (*Acme, error) {
	client, err := rest.New(ctx, rest.Vendor{Base: base, Authorization: "Bearer " + token}, opts)
	return &Acme{client}, err
}

// Check reads the first page of what a sync will read.
func (a *Acme) Check(ctx context.Context) error {
	if _, err := a.Users(ctx, ""); err != nil {
		return err
	}
	_, err := a.Groups(ctx, "")
	return err
}

// Users reads GET /users?page=N.
func (a *Acme) Users(ctx context.Context, cursor string) (directory.Page[directory.User], error) {
	return list(ctx, a, cursor, func(r row) directory.User {
		return directory.User{ID: r.ID, DisplayName: r.Name, Disabled: r.Blocked}
	}, "users")
}

// Groups reads GET /teams?page=N.
func (a *Acme) Groups(ctx context.Context, cursor string) (directory.Page[directory.Group], error) {
	return list(ctx, a, cursor, func(r row) directory.Group { return directory.Group{ID: r.ID, Name: r.Name} }, "teams")
}

// Group reads GET /teams/{id}.
func (a *Acme) Group(ctx context.Context, id string) (directory.Group, error) {
	var team row
	err := a.client.Get(ctx, rest.Request{Path: []string{"teams", id}, Item: true}, func(answer *rest.Answer) error { return answer.JSON(&team) })
	return directory.Group{ID: team.ID, Name: team.Name}, err
}

// Members reads GET /teams/{id}/members.
func (a *Acme) Members(ctx context.Context, groupID, cursor string) (directory.Page[directory.Member], error) {
	return list(ctx, a, cursor, func(r row) directory.Member { return directory.Member{ID: r.ID} }, "teams", groupID, "members")
}

type row struct {
	ID, Name string
	Blocked  bool
}

// list reads one page. The cursor is the number of the page; Acme names the
// last one. An empty page before that is a fault, not the end.
func list[T any](ctx context.Context, a *Acme, cursor string, convert func(row) T, path ...string) (directory.Page[T], error) {
	var page directory.Page[T]
	number := 1
	if cursor != "" {
		var err error
		if number, err = strconv.Atoi(cursor); err != nil || number < 2 {
			return page, &rest.Error{Code: codes.InvalidArgument, What: "not a cursor of this connector"}
		}
	}
	err := a.client.Get(ctx, rest.Request{Path: path, Query: url.Values{"page": {strconv.Itoa(number)}}}, func(answer *rest.Answer) error {
		var body struct {
			Rows []row
			Last *int
		}
		if err := answer.JSON(&body); err != nil {
			return err
		}
		if body.Last == nil || len(body.Rows) == 0 && number < *body.Last {
			return answer.Fault("this is not a page of a list", "")
		}
		for _, r := range body.Rows {
			page.Rows = append(page.Rows, convert(r))
		}
		if number < *body.Last {
			page.Next = strconv.Itoa(number + 1)
		}
		return nil
	})
	return page, err
}
