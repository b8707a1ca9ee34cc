package guru

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Members implements directory.Source. A member may be missing from the list of
// users if the account was added after that list was read.
func (s *Source) Members(ctx context.Context, groupID, text string) (directory.Page[directory.Member], error) {
	l := memberList(groupID)
	at := l.start(unrouted)
	if text != "" {
		var err error
		if at, err = l.parse(text); err != nil {
			return directory.Page[directory.Member]{}, err
		}
	}
	rows, next, err := l.read(ctx, s.client, at)
	switch rest.StatusOf(err) {
	case http.StatusNotFound, http.StatusGone:
		return directory.Page[directory.Member]{}, s.vanished(ctx, groupID, err)
	case http.StatusForbidden:
		if group, other := s.groupAt(ctx, groupID); other == nil && group.Origin == directory.OriginBuiltIn {
			err = everyoneHidden(err)
		}
		return directory.Page[directory.Member]{}, err
	}
	return directory.Page[directory.Member]{Rows: rows, Next: l.encode(next)}, err
}

// memberList is the list of the members of one group.
func memberList(groupID string) list[directory.Member] {
	return list[directory.Member]{
		name:   "guru members of " + groupID + " 2",
		path:   func(route) []string { return []string{groups, groupID, members} },
		decode: decodeMembers,
		key:    func(m directory.Member) string { return m.ID },
	}
}

// prefetchMembers prefetches the members of groups that were listed, while few
// other requests are in flight. Each page of users names the next, so reading the
// users leaves most of the connection idle.
func (s *Source) prefetchMembers(ctx context.Context, listed []directory.Group) {
	for _, group := range listed {
		l := memberList(group.ID)
		l.prefetch(ctx, s.client.PrefetchWhenIdle, l.start(unrouted))
	}
}

// vanished decides what a 404 of a group's members means. It returns nil only if
// the group was deleted after it was listed.
func (s *Source) vanished(ctx context.Context, groupID string, notFound error) error {
	group, err := s.Group(ctx, groupID)
	switch {
	case err == nil && group.Origin == directory.OriginBuiltIn:
		return everyoneHidden(contradicts(notFound, ""))
	case err == nil:
		return contradicts(notFound, "no members are found of a group that exists")
	case status.Code(err) != codes.NotFound:
		return err
	}
	ctxzap.Extract(ctx).Warn("a group was deleted while the sync ran: it has no members", zap.String("group", groupID))
	return nil
}

// decodeMembers reads a page of a group's members. Guru answers 204 without a body
// for an empty group. An empty body with status 200 means the same on the first
// page; on a later page it is an error, as that page was announced.
func decodeMembers(a *rest.Answer, page int) ([]directory.Member, error) {
	rows, err := decodeList[memberRow](a, page, page == 1)
	if err != nil {
		return nil, err
	}
	out := make([]directory.Member, len(rows))
	for i := range rows {
		if out[i].ID, err = rows[i].member(); err != nil {
			return nil, badRow(a, page, i, err)
		}
	}
	return out, nil
}

// memberRow has the fields that are read of a member of a group, Guru's
// UserGroupMember.
type memberRow struct {
	ID    rest.Text `json:"id"`
	Email rest.Text `json:"email"`
	User  *struct {
		ID    rest.Text `json:"id"`
		Email rest.Text `json:"email"`
	} `json:"user"`
	// Only a row that is a group has these.
	Type            rest.Text       `json:"type"`
	Group           json.RawMessage `json:"group"`
	GroupIdentifier json.RawMessage `json:"groupIdentifier"`
	NumberOfMembers json.RawMessage `json:"numberOfMembers"`
}

// member returns the key of the user. A row without a user is complete: its id
// names the user.
func (r *memberRow) member() (string, error) {
	if r.User != nil {
		return userKey(r.ID, r.User.Email, r.User.ID)
	}
	if strings.EqualFold(r.Type.Trim(), "group") || len(r.Group)+len(r.GroupIdentifier)+len(r.NumberOfMembers) > 0 {
		return "", errors.New("is a group and not a user")
	}
	return userKey(r.ID, r.Email, r.ID)
}
