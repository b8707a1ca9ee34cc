package guru

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// explain returns the advice for an HTTP status, in Guru's terms.
func explain(status int) rest.Advice {
	switch status {
	case http.StatusBadRequest:
		return rest.Advice{
			Cause: "Guru does not accept the request or its paging token",
			Next:  "run the sync again; if it fails again, check that the base URL ends in /api/v1",
		}
	case http.StatusUnauthorized:
		return rest.Advice{
			Cause: "Guru refused the pair of user e-mail and API token",
			Next:  "check that the token belongs to that user and has not been revoked",
		}
	case http.StatusPaymentRequired:
		return rest.Advice{
			Cause: "the team's plan does not include the API, or a payment is due",
			Next:  "ask the owner of the team's plan or Guru support",
		}
	case http.StatusLocked:
		return rest.Advice{
			Cause: "the team is locked",
			Next:  "sign in to Guru to see why, or ask Guru support to unlock the team",
		}
	case http.StatusForbidden:
		return rest.Advice{
			Cause: "the user may not read the team's members or groups, or the token is a collection token",
			Next:  "use the API token of a user with an administrative role on the team",
		}
	case http.StatusNotFound, http.StatusGone:
		return rest.Advice{
			Cause: "Guru serves nothing at this path",
			Next:  "check that the base URL ends in /api/v1, as in " + config.DefaultBaseURL,
		}
	case http.StatusTooManyRequests:
		return rest.Advice{
			Cause: "Guru limits requests",
			Next:  "the sync waits and continues; fewer --workers send fewer requests; if the sync fails with this message, run it again later",
		}
	default:
		return rest.Advice{}
	}
}

// The faults of a row.
var (
	errIDKind = errors.New("has an id that is not a text")
	errNoKey  = errors.New("lacks an id and an e-mail address")
)

// badRow is the Internal error of a row that cannot be understood; no row is
// skipped. The index counts from 0, and fault states what the row has or lacks.
func badRow(a *rest.Answer, page, index int, fault error) error {
	return a.Errorf(codes.Internal, rest.Advice{
		Cause: "Guru's API does not answer as documented",
		Next:  "look at that row in Guru and report this message",
	}, "page %d: the row at index %d %v", page, index, fault)
}

// contradicts is the error of a 404 for a group that the list of groups has.
func contradicts(notFound error, what string) error {
	contradiction := &rest.Error{Code: codes.FailedPrecondition, What: what, Advice: rest.Advice{
		Cause: "the user may not read this group, or a proxy hides the path",
		Next:  "use the API token of a user with an administrative role on the team, and check the base URL",
	}}
	if e := new(rest.Error); errors.As(notFound, &e) {
		contradiction.URL, contradiction.Status = e.URL, e.Status
	}
	return contradiction
}

// everyoneHidden explains an error of the members of the group of all members.
func everyoneHidden(err error) error {
	e := new(rest.Error)
	if !errors.As(err, &e) {
		return err
	}
	hidden := *e
	hidden.What = strings.TrimSpace(strconv.Itoa(e.Status) + " " + http.StatusText(e.Status))
	hidden.Advice = rest.Advice{
		Cause: `Guru does not show who is in "All Members", the group that it keeps of the whole team`,
		Next: "use the API token of a user with an administrative role on the team; if this user has one, ask Guru support to show that group's members, " +
			"and sync only users until then, with --sync-resource-types user",
	}
	return &hidden
}
