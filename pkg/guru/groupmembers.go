package guru

import (
	"context"
	"net/http"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Members lists the members of one group. A member need not be in the list of
// users: somebody may have joined since that was read.
func (s *Source) Members(ctx context.Context, groupID, text string) (directory.Page[directory.Member], error) {
	l := list[directory.Member]{
		id:     directory.Fingerprint(members + "/" + groupID),
		path:   func(route) []string { return []string{groups, groupID, members} },
		decode: decodeMembers,
		key:    func(m directory.Member) string { return m.ID },
		kept:   s.memberships,
	}
	at := l.start(unrouted)
	if text != "" {
		var err error
		if at, err = parseCursor(text, l.id); err != nil {
			return directory.Page[directory.Member]{}, err
		}
	}
	rows, next, err := l.read(ctx, s.client, at)
	switch httpStatus(err) {
	case http.StatusNotFound, http.StatusGone:
		return directory.Page[directory.Member]{}, s.vanished(ctx, groupID, err)
	}
	return directory.Page[directory.Member]{Rows: rows, Next: next}, err
}

// vanished decides what it means that a group's members are not found. It
// returns nil only if the group has been deleted since it was listed.
func (s *Source) vanished(ctx context.Context, groupID string, notFound error) error {
	_, err := s.Group(ctx, groupID)
	switch {
	case err == nil:
		return contradicts(notFound, "no members are found of a group that exists")
	case status.Code(err) != codes.NotFound:
		return err
	}
	ctxzap.Extract(ctx).Warn("a group was deleted while the sync ran: it has no members", zap.String("group", groupID))
	return nil
}

// decodeMembers reads who is in a group. For an empty group Guru answers 204
// without a body; a body of no length is taken for the same, but not on a
// later page: that the group has one says that it is not empty.
func decodeMembers(a *rest.Answer, page uint64) ([]directory.Member, error) {
	empty := bodylessIsEmpty
	if page > 1 {
		empty = noContentIsEmpty
	}
	rows, err := decodeList[memberRow](a, page, empty)
	if err != nil {
		return nil, err
	}
	out := make([]directory.Member, len(rows))
	for i := range rows {
		key, missing := rows[i].member()
		if missing != "" {
			return nil, incomplete(a, page, i, missing)
		}
		out[i].ID = key
	}
	return out, nil
}
