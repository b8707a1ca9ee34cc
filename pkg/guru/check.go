package guru

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// Check reads who the credential belongs to and the first page of members and
// of groups.
func (s *Source) Check(ctx context.Context) error {
	err := s.client.Get(ctx, rest.Request{Path: []string{whoAmI}}, userToken)
	// What this one path is not served for, the lists still have to show.
	if err != nil && httpStatus(err) != http.StatusNotFound {
		return err
	}
	if _, _, err := s.users.fetch(ctx, s.client, s.users.start(unrouted)); err != nil {
		return err
	}
	_, err = s.peekGroups(ctx)
	return err
}

// userToken refuses the credential of a collection, which cannot see the team.
func userToken(a *rest.Answer) error {
	if a.Status != http.StatusOK || a.First() != '{' {
		return a.Fault("the answer does not say who the token belongs to", "")
	}
	var answer struct {
		TokenType text            `json:"tokenType"`
		User      *map[string]any `json:"user"`
	}
	if err := a.JSON(&answer); err != nil {
		return err
	}
	kind := strings.ToUpper(answer.TokenType.trim())
	switch {
	case kind == "COLLECTION":
	case answer.User != nil:
		return nil
	case kind == "":
		return a.Fault("the answer does not say who the token belongs to", "")
	}
	return a.Errorf(codes.PermissionDenied, rest.Advice{
		Cause: "a collection token cannot read the team's members and groups",
		Next:  "use the API token of a user",
	}, "the API token does not belong to a user")
}
