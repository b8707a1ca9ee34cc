package guru

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Users lists the members of the team.
func (s *Source) Users(ctx context.Context, text string) (directory.Page[directory.User], error) {
	at := s.users.start(unrouted)
	if text != "" {
		var err error
		if at, err = parseCursor(text, s.users.id); err != nil {
			return directory.Page[directory.User]{}, err
		}
	}
	rows, next, err := s.users.read(ctx, s.client, at)
	if err != nil {
		return directory.Page[directory.User]{}, err
	}
	page := directory.Page[directory.User]{Rows: make([]directory.User, len(rows)), Next: next}
	for i := range rows {
		page.Rows[i] = rows[i].user()
	}
	return page, nil
}

func decodeUsers(a *rest.Answer, page uint64) ([]row, error) {
	// Guru answers 204 for an empty list, and the last page may have become
	// empty since the link to it was made.
	rows, err := decodeList[row](a, page, noContentIsEmpty)
	if err != nil {
		return nil, err
	}
	if page == 1 && len(rows) == 0 {
		return nil, a.Errorf(codes.FailedPrecondition, rest.Advice{
			Cause: "the user of the API token is a member of the team, so this cannot be the whole truth",
			Next:  "check the base URL, and that the user may read the team's members",
		}, "the list of the team's members is empty")
	}
	for i := range rows {
		if missing := rows[i].settle(); missing != "" {
			return nil, incomplete(a, page, i, missing)
		}
	}
	return rows, nil
}
