package guru

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Check reads the owner of the credential, the first page of members and, if groups
// are synced, the first page of groups.
//
// After a failure that a retry may heal, the next check continues with the step that
// failed. Otherwise a vendor that refuses every third request would refuse the third
// step for ever, and the success of the first step would hide an outage at the
// third.
func (s *Source) Check(ctx context.Context) error {
	s.client.DropPrefetched() // a sync may begin; one in progress loses no rows
	steps := []func(context.Context) error{s.checkToken, s.checkUsers, s.checkGroups}
	if s.usersAlone {
		steps = steps[:2]
	}
	for i := s.checked.passed(); i < len(steps); i++ {
		if err := steps[i](ctx); err != nil {
			s.checked.failed(i, err)
			return err
		}
	}
	s.checked.failed(0, nil)
	return nil
}

func (s *Source) checkToken(ctx context.Context) error {
	who, err := rest.Get(ctx, s.client, rest.Request{Path: []string{whoAmI}}, userToken)
	s.owner.set(who.User)
	switch rest.StatusOf(err) {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		// The path needs a right of its own (read:identity in Guru's Swagger),
		// which a sync does not need.
		return nil
	}
	return err
}

func (s *Source) checkUsers(ctx context.Context) error {
	_, _, err := s.users.fetch(ctx, s.client, s.users.start(unrouted))
	return err
}

func (s *Source) checkGroups(ctx context.Context) error {
	_, err := s.peekGroups(ctx)
	return err
}

// maxCheckAge is the time for which a passed step is not repeated. It is longer
// than the longest wait between two tries (60 s).
const maxCheckAge = 5 * time.Minute

// progress counts the steps that the last check passed, if a retry may heal it.
type progress struct {
	now func() time.Time

	mu    sync.Mutex
	steps int
	at    time.Time
}

func (p *progress) passed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now().Sub(p.at) > maxCheckAge {
		return 0
	}
	return p.steps
}

func (p *progress) failed(step int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps, p.at = 0, p.now()
	if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
		p.steps = step
	}
}

// userToken decodes /whoami. It refuses the token of a collection, which cannot read
// the team.
func userToken(a *rest.Answer) (whoAmIRow, error) {
	if a.Status != http.StatusOK || a.First() != '{' {
		return whoAmIRow{}, a.Fault("the answer does not say who the token belongs to", "")
	}
	exact := *a
	exact.Body = exactNames(a.Body)
	answer, err := rest.JSON[whoAmIRow](&exact)
	if err != nil {
		return whoAmIRow{}, err
	}
	kind := strings.ToUpper(answer.TokenType.Trim())
	switch {
	case kind == "COLLECTION":
	case answer.User != nil:
		return answer, nil
	case kind == "":
		return whoAmIRow{}, a.Fault("the answer does not say who the token belongs to", "")
	}
	return whoAmIRow{}, a.Errorf(codes.PermissionDenied, rest.Advice{
		Cause: "a collection token cannot read the team's members and groups",
		Next:  "use the API token of a user",
	}, "the API token does not belong to a user")
}
