package guru

import (
	"context"
	"strings"
	"sync"

	"github.com/grpc-ecosystem/go-grpc-middleware/logging/zap/ctxzap"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// owner is the user who owns this API token. The owner is a member of the team,
// so a list of members without the owner is not complete: Guru shows what the
// user's rights allow, and answers 200.
type owner struct {
	mu sync.Mutex
	// key and id are the owner's, from /whoami. Both are empty if it has not
	// answered in this process.
	key, id string
	// warned is set if a warning about the role was logged since the list
	// began.
	warned bool
}

// whoAmIRow has the fields that are read of /whoami, Guru's WhoAmI.
type whoAmIRow struct {
	TokenType rest.Text `json:"tokenType"`
	User      *account  `json:"user"`
	Team      struct {
		Name rest.Text `json:"name"`
	} `json:"team"`
}

// set stores the owner from an answer of /whoami.
func (o *owner) set(who *account) {
	if who == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.key, _ = userKey(rest.Text{}, who.Email, who.ID)
	o.id = who.ID.Value
}

// is reports whether a row of the list of members is the owner's.
func (o *owner) is(r *userRow) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.key != "" && r.key == o.key || o.id != "" && r.userID().Value == o.id
}

// check searches a page of members for the owner. It fails if the list has
// ended without the owner. It warns, once a list, about a role that may not see
// everything.
func (o *owner) check(ctx context.Context, s *Source, rows []userRow, begins bool) error {
	o.mu.Lock()
	if begins {
		o.warned = false
	}
	key, id := o.key, o.id
	o.mu.Unlock()
	for i := range rows {
		if o.is(&rows[i]) {
			o.warn(ctx, &rows[i])
		}
	}
	if !s.accounts.lacks(key, id) {
		return nil
	}
	return &rest.Error{
		URL: s.base + "/" + members, Code: codes.FailedPrecondition, What: "the list of members does not have the user whose API token reads it",
		Advice: rest.Advice{
			Cause: "Guru shows this user only a part of the team",
			Next:  "use the API token of a user with an administrative role on the team; if this user has one, report this message",
		},
	}
}

// warn logs a warning if the owner's role is not an administrator's.
func (o *owner) warn(ctx context.Context, r *userRow) {
	role := r.HighestRole.Trim()
	o.mu.Lock()
	known := o.warned || role == "" || strings.EqualFold(role, "ADMIN")
	o.warned = o.warned || !known
	o.mu.Unlock()
	if !known {
		ctxzap.Extract(ctx).Warn("the user of the API token is not an administrator of the team, so Guru may not show all members and groups; use the API token of an administrator",
			zap.String("role", role))
	}
}

// maxRolePages bounds the pages of members that are read for the owner's role.
const maxRolePages = 20

// role returns the owner's highestRole from the list of members. It is empty if the
// owner has none or is not on the first maxRolePages pages.
func (o *owner) role(ctx context.Context, s *Source) (string, error) {
	for at := s.users.start(unrouted); at.Page > 0 && at.Page <= maxRolePages; {
		rows, next, err := s.users.fetch(ctx, s.client, at)
		if err != nil {
			return "", err
		}
		for i := range rows {
			if o.is(&rows[i]) {
				o.warn(ctx, &rows[i])
				return rows[i].HighestRole.Trim(), nil
			}
		}
		at = next
	}
	return "", nil
}
