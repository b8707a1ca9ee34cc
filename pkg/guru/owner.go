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

// owner is the user whose API token it is, who is a member of the team: a list
// of members without the owner is not whole. What Guru shows depends on the
// user's rights, and it answers 200 all the same.
type owner struct {
	mu sync.Mutex
	// key and id are the owner's as /whoami states them, both empty before it
	// has answered in this process.
	key, id string
	// warned says that the role has been warned of since the list began.
	warned bool
}

// whoAmIRow is what Guru calls a WhoAmI, as far as it is needed.
type whoAmIRow struct {
	TokenType rest.Text `json:"tokenType"`
	User      *account  `json:"user"`
	Team      struct {
		Name rest.Text `json:"name"`
	} `json:"team"`
}

// set takes the owner from an answer of /whoami.
func (o *owner) set(who *account) {
	if who == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.key, _ = userKey(rest.Text{}, who.Email, who.ID)
	o.id = who.ID.Value
}

// is says whether a row of the list of members is the owner's.
func (o *owner) is(r *userRow) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.key != "" && r.key == o.key || o.id != "" && r.userID().Value == o.id
}

// check looks for the owner in a page of members, and warns once a list of a
// role that may not see everything. It fails if the list has ended without the
// owner.
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

// warn warns of the owner's role if it is not an administrator's.
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

// maxRolePages is how many pages of members are read for the owner's role.
const maxRolePages = 20

// role reads the owner's highestRole in the list of members; empty if it is not
// stated or not within the first pages.
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
