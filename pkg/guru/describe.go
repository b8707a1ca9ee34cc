package guru

import (
	"context"
	"net/http"
	"strings"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

var _ directory.Describer = (*Source)(nil)

// Describe implements directory.Describer: the owner of the token, the owner's role,
// the team, and the path that lists the groups.
func (s *Source) Describe(ctx context.Context) ([]directory.Fact, error) {
	var facts []directory.Fact
	who, err := rest.Get(ctx, s.client, rest.Request{Path: []string{whoAmI}}, userToken)
	switch rest.StatusOf(err) {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		facts = append(facts, directory.Fact{Name: "token of", Value: "not shown: the token lacks the right read:identity"})
	default:
		if err != nil {
			return nil, err
		}
		s.owner.set(who.User)
		role, err := s.owner.role(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, fact := range []directory.Fact{
			{Name: "token of", Value: who.User.Email.Trim()}, {Name: "its role", Value: role}, {Name: "team", Value: who.Team.Name.Trim()},
		} {
			if fact.Value != "" {
				facts = append(facts, fact)
			}
		}
	}
	if s.usersAlone {
		return facts, nil
	}
	via := unrouted
	_, err = s.firstGroups(ctx, func(at cursor) (directory.Page[directory.Group], error) {
		via = at.Route
		_, _, err := s.groups.fetch(ctx, s.client, at)
		return directory.Page[directory.Group]{}, err
	})
	return append(facts, directory.Fact{Name: "groups path", Value: "/" + strings.Join(groupsPath(via), "/")}), err
}
