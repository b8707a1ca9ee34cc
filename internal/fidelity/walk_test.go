package fidelity

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"github.com/conductorone/baton-sdk/pkg/annotations"
	"github.com/conductorone/baton-sdk/pkg/connectorbuilder"
	"github.com/conductorone/baton-sdk/pkg/retry"
	"github.com/conductorone/baton-sdk/pkg/types"
	"google.golang.org/protobuf/proto"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// maxPages bounds a walk. No list of these tests has as many pages.
const maxPages = 5000

// reading reads a directory once from beginning to end, as the SDK's syncer
// does: the check, the users, the groups, their members, page by page. It
// retries errors that a retry may heal, after the wait that the error asks for,
// by the SDK's own rule.
type reading struct {
	// name opens every error, like the connector's name.
	name string
	// workers is the number of parallel calls, if calls can run in parallel.
	workers int
	got     *fixture.Content
	// inOneWalk holds the memberships that a source returned in one walk; got
	// holds those that it returned group by group. inOneWalk is nil if the
	// source has no such walk.
	inOneWalk map[simulator.Grant]bool

	mu sync.Mutex
	// cursors and rows hold everything that was read, for a search for secrets.
	cursors []string
	rows    []byte
}

// page is the result of one call: the cursors of further pages, or an error.
type page struct {
	next  string
	after []string
}

// task is a page still to read, of a group or of a list.
type task struct{ group, cursor string }

// walk reads all pages that follow from the tasks.
func (r *reading) walk(ctx context.Context, doing string, workers int, read func(ctx context.Context, at task) (page, error), tasks ...task) error {
	retryer := retry.NewRetryer(ctx, retry.RetryConfig{})
	var (
		wake   = sync.NewCond(&r.mu)
		busy   int
		read1  int
		failed error
		group  sync.WaitGroup
	)
	r.mu.Lock()
	defer r.mu.Unlock()
	for range workers {
		group.Go(func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			defer wake.Broadcast()
			for failed == nil {
				if len(tasks) == 0 {
					if busy == 0 {
						return
					}
					wake.Wait()
					continue
				}
				at := tasks[0]
				tasks = tasks[1:]
				busy++
				read1++
				r.mu.Unlock()
				got, err := read(ctx, at)
				for err != nil && retryer.ShouldWaitAndRetry(ctx, err) {
					got, err = read(ctx, at)
				}
				if err == nil {
					retryer.ShouldWaitAndRetry(ctx, nil) // the waits start again from the shortest
				}
				r.mu.Lock()
				busy--
				switch {
				case err != nil:
					failed = err
				case read1 > maxPages:
					failed = fmt.Errorf("%s: the walk does not end", doing)
				case got.next != "" && got.next == at.cursor:
					failed = fmt.Errorf("%s: a page leads to itself", doing)
				}
				for _, cursor := range append(got.after, got.next) {
					if cursor != "" {
						tasks = append(tasks, task{at.group, cursor})
						r.cursors = append(r.cursors, cursor)
					}
				}
				wake.Broadcast()
			}
		})
	}
	r.mu.Unlock()
	group.Wait()
	r.mu.Lock()
	return failed
}

// noted records a message's encoded bytes.
func (r *reading) noted(message proto.Message) {
	raw, err := proto.Marshal(message)
	if err != nil {
		r.got.Invalid = append(r.got.Invalid, err.Error())
	}
	r.rows = append(r.rows, raw...)
}

// ofSource reads a source itself. If the source has two ways to list
// memberships, ofSource uses both, and both must give the same.
func (r *reading) ofSource(ctx context.Context, source directory.Source) error {
	failed := func(doing string, err error) error { return fmt.Errorf("%s: %s: %w", r.name, doing, err) }
	r.got = fixture.NewContent()
	if err := r.walk(ctx, "check", 1, func(ctx context.Context, _ task) (page, error) {
		if err := source.Check(ctx); err != nil {
			return page{}, failed("check the credentials", err)
		}
		return page{}, nil
	}, task{}); err != nil {
		return err
	}
	if err := r.walk(ctx, "users", 1, func(ctx context.Context, at task) (page, error) {
		got, err := source.Users(ctx, at.cursor)
		if err != nil {
			return page{}, failed("list users", err)
		}
		for i := range got.Rows {
			r.addUser(&got.Rows[i])
		}
		return page{got.Next, got.Siblings}, nil
	}, task{}); err != nil {
		return err
	}
	var groups []string
	if err := r.walk(ctx, "groups", 1, func(ctx context.Context, at task) (page, error) {
		got, err := source.Groups(ctx, at.cursor)
		if err != nil {
			return page{}, failed("list groups", err)
		}
		for i := range got.Rows {
			if id := got.Rows[i].ID; !slices.Contains(groups, id) {
				groups = append(groups, id)
			}
			r.addGroup(&got.Rows[i])
		}
		return page{got.Next, got.Siblings}, nil
	}, task{}); err != nil {
		return err
	}
	many, ok := source.(directory.Memberships)
	if ok {
		if err := r.walk(ctx, "memberships", r.workers, func(ctx context.Context, at task) (page, error) {
			got, err := many.Memberships(ctx, at.cursor)
			if err != nil {
				return page{}, failed("list group memberships", err)
			}
			for _, row := range got.Rows {
				r.addMember(row.GroupID, row.Member)
			}
			return page{got.Next, got.Siblings}, nil
		}, task{}); err != nil {
			return err
		}
	}
	if ok {
		r.inOneWalk, r.got.Grants = r.got.Grants, map[simulator.Grant]bool{}
	}
	tasks := make([]task, 0, len(groups))
	for _, id := range groups {
		tasks = append(tasks, task{group: id})
	}
	return r.walk(ctx, "members", r.workers, func(ctx context.Context, at task) (page, error) {
		got, err := source.Members(ctx, at.group, at.cursor)
		if err != nil {
			return page{}, failed("list the members of a group", err)
		}
		for _, row := range got.Rows {
			r.addMember(at.group, row)
		}
		return page{got.Next, got.Siblings}, nil
	}, tasks...)
}

func (r *reading) addUser(u *directory.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = fmt.Appendf(r.rows, "%+v\n", *u)
	if u.DisplayName == "" {
		r.got.Invalid = append(r.got.Invalid, "a user has no display name: "+u.ID)
	}
	r.got.Users[u.ID] = simulator.User{
		Login: u.Login, Name: u.DisplayName, Emails: u.Emails, Disabled: u.Disabled, Detail: u.StatusDetail,
		Service: u.Service, CreatedAt: u.CreatedAt, Profile: u.Profile,
	}
}

func (r *reading) addGroup(g *directory.Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = fmt.Appendf(r.rows, "%+v\n", *g)
	r.got.Groups[g.ID] = simulator.Group{Name: g.Name, Description: g.Description, CreatedAt: g.CreatedAt, Profile: g.Profile}
}

func (r *reading) addMember(group string, m directory.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got.Grants[simulator.Grant{Group: group, Principal: m.ID, Nested: m.IsGroup}] = true
}

// ofConnector reads a source as a connector, through the syncer's calls,
// without a transport.
func (r *reading) ofConnector(ctx context.Context, source directory.Source) error {
	r.got = fixture.NewContent()
	server, err := connectorbuilder.NewConnector(ctx, connector.New(connector.Info{Name: r.name, DisplayName: r.name}, source, nil))
	if err != nil {
		return err
	}
	if _, err := server.Validate(ctx, &v2.ConnectorServiceValidateRequest{}); err != nil {
		return err
	}
	var groups []task
	list := func(kind string) error {
		return r.walk(ctx, kind, 1, func(ctx context.Context, at task) (page, error) {
			got, err := server.ListResources(ctx, v2.ResourcesServiceListResourcesRequest_builder{ResourceTypeId: kind, PageToken: at.cursor}.Build())
			if err != nil {
				return page{}, err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, resource := range got.GetList() {
				if r.got.AddResource(resource) && kind == "group" {
					groups = append(groups, task{group: resource.GetId().GetResource()})
				}
			}
			r.noted(got)
			return page{got.GetNextPageToken(), further(got.GetAnnotations())}, nil
		}, task{})
	}
	if err := list("user"); err != nil {
		return err
	}
	if err := list("group"); err != nil {
		return err
	}
	var request annotations.Annotations
	if inOneWalk, err := typeScoped(ctx, server); err != nil {
		return err
	} else if inOneWalk {
		request, groups = annotations.New(&v2.TypeScopedGrants{}), []task{{}}
	}
	return r.walk(ctx, "grants", r.workers, func(ctx context.Context, at task) (page, error) {
		got, err := server.ListGrants(ctx, v2.GrantsServiceListGrantsRequest_builder{
			Resource:  v2.Resource_builder{Id: v2.ResourceId_builder{ResourceType: "group", Resource: at.group}.Build()}.Build(),
			PageToken: at.cursor, Annotations: request,
		}.Build())
		if err != nil {
			return page{}, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, grant := range got.GetList() {
			r.got.AddGrant(grant)
		}
		r.noted(got)
		if size := proto.Size(got); size > 4<<20 {
			return page{}, fmt.Errorf("an answer has %d bytes, which the SDK's transport refuses", size)
		}
		return page{got.GetNextPageToken(), further(got.GetAnnotations())}, nil
	}, groups...)
}

// typeScoped reports whether one call lists the members of all groups.
func typeScoped(ctx context.Context, server types.ConnectorServer) (bool, error) {
	kinds, err := server.ListResourceTypes(ctx, &v2.ResourceTypesServiceListResourceTypesRequest{})
	for _, kind := range kinds.GetList() {
		if kinds := annotations.Annotations(kind.GetAnnotations()); kinds.Contains(&v2.TypeScopedGrants{}) {
			return true, err
		}
	}
	return false, err
}

// further returns the page tokens of an answer other than the next one.
func further(all annotations.Annotations) []string {
	var tokens v2.EnqueuePageTokens
	if ok, err := all.Pick(&tokens); err != nil || !ok {
		return nil
	}
	return tokens.GetPageTokens()
}

// coldStarts is a source that is opened again for every call, like a function
// that the cloud starts again each time. Only the cursor survives a call.
type coldStarts struct{ open func() directory.Source }

func (c coldStarts) Check(ctx context.Context) error { return c.open().Check(ctx) }

func (c coldStarts) Users(ctx context.Context, cursor string) (directory.Page[directory.User], error) {
	return c.open().Users(ctx, cursor)
}

func (c coldStarts) Groups(ctx context.Context, cursor string) (directory.Page[directory.Group], error) {
	return c.open().Groups(ctx, cursor)
}

func (c coldStarts) Group(ctx context.Context, id string) (directory.Group, error) {
	return c.open().Group(ctx, id)
}

func (c coldStarts) Members(ctx context.Context, groupID, cursor string) (directory.Page[directory.Member], error) {
	return c.open().Members(ctx, groupID, cursor)
}

// coldManyStarts is coldStarts for a source of all memberships.
type coldManyStarts struct{ coldStarts }

func (c coldManyStarts) Memberships(ctx context.Context, cursor string) (directory.Page[directory.Membership], error) {
	return c.open().(directory.Memberships).Memberships(ctx, cursor)
}

// coldly returns a source that opens another source for each call.
func coldly(open func() directory.Source) directory.Source {
	if _, ok := open().(directory.Memberships); ok {
		return coldManyStarts{coldStarts{open}}
	}
	return coldStarts{open}
}

// long bounds a reading on the clock of its bubble.
const long = 3 * time.Hour
