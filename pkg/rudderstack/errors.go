package rudderstack

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

var vendorFault = rest.Advice{
	Cause: "the SCIM server does not follow RFC 7643 and 7644",
	Next:  "report this message to RudderStack support",
}

const reportIt = "run the sync again; if it fails again, report this message to RudderStack support"

// explainer returns a function for rest.Vendor.Explain. RudderStack documents one
// status: 403, if SCIM is not enabled for the organization. suffixed is set if the
// base URL ends in /scim/v2.
func explainer(suffixed bool) func(int) rest.Advice {
	return func(httpStatus int) rest.Advice {
		switch httpStatus {
		case http.StatusUnauthorized:
			return rest.Advice{
				Cause: "RudderStack refused the token: it is workspace-level or personal, belongs to another region, is incomplete or was revoked",
				Next:  "create an organization-level Service Access Token, and check that the base URL is right for the organization's region",
			}
		case http.StatusForbidden:
			return rest.Advice{
				Cause: "SCIM is not enabled for this organization (it needs the Enterprise plan with SSO) or the token is not organization-level",
				Next:  "create an organization-level Service Access Token or ask RudderStack support to enable SCIM",
			}
		case http.StatusNotFound, http.StatusGone:
			if !suffixed {
				return rest.Advice{
					Cause: "the base URL lacks the suffix /scim/v2",
					Next:  "give the whole base URL, such as https://api.rudderstack.com/scim/v2",
				}
			}
			return rest.Advice{
				Cause: "RudderStack serves nothing at this path: the base URL is not that of the SCIM API, or SCIM is not enabled for this organization",
				Next:  "check the base URL, such as https://api.rudderstack.com/scim/v2, or ask RudderStack support to enable SCIM",
			}
		case http.StatusBadRequest:
			return rest.Advice{
				Cause: "the server does not accept this SCIM request",
				Next:  "check that the base URL ends in /scim/v2; if it does, report this message",
			}
		case http.StatusNotImplemented:
			return rest.Advice{
				Cause: "this server does not offer this SCIM operation",
				Next:  "ask RudderStack support whether it is available for this organization",
			}
		}
		return rest.Advice{}
	}
}

// refused reports whether the server refuses a parameter: with 400 (RFC 7644,
// section 3.12), or with 422 if a framework checks it.
func refused(err error) bool {
	httpStatus := rest.StatusOf(err)
	return httpStatus == http.StatusBadRequest || httpStatus == http.StatusUnprocessableEntity
}

// passing reports whether a later request may succeed: the vendor is out of reach,
// or the call was stopped.
func passing(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return true
	}
	return false
}

// groupsFailed explains an error of /Groups. If /Users has answered, the base URL is
// right and the token was good, so the general explanation would mislead. If a retry
// will not help, it also names the setting that leaves groups out.
func (s *Source) groupsFailed(err error) error {
	var e *rest.Error
	if !errors.As(err, &e) || passing(err) || e.Status < 400 && e.Code != codes.FailedPrecondition || e.Code == codes.Internal {
		return err
	}
	answered := s.usersAnswered.Load()
	if e.Code == codes.Unauthenticated && !answered {
		return err
	}
	const doWithout = `, or leave groups out on purpose with the setting "Sync users only" (--sync-users-only)`
	more := *e
	switch {
	case answered && (e.Status == http.StatusNotFound || e.Status == http.StatusGone):
		more.Cause = "/Users answers and this does not: RudderStack may not offer SCIM groups to this organization yet"
		more.Next = "ask RudderStack support about SCIM groups"
	case answered && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		more.Cause = "/Users answers with the same token: it may not read groups, or was revoked a moment ago"
		more.Next = "ask RudderStack support whether the organization-level token may read SCIM groups"
	}
	more.Next += doWithout
	return &more
}

// walkError is the error of a walk that cannot go on.
type walkError struct {
	code   codes.Code
	what   string
	advice rest.Advice
}

func (e *walkError) Error() string { return e.what }

func changed(rows int) error {
	return &walkError{
		codes.Aborted, fmt.Sprintf("the rows received last cannot be found again after %d rows", rows),
		rest.Advice{Cause: "the directory changed too much while it was read", Next: reportIt},
	}
}

// unordered is the error changed for a list whose total has not changed.
func unordered(rows int) error {
	return &walkError{
		codes.Aborted, fmt.Sprintf("the rows received last cannot be found again after %d rows", rows),
		rest.Advice{Cause: "the server lists rows in another order each time, or its pages do not begin at startIndex", Next: reportIt},
	}
}

func broken(format string, args ...any) error {
	return &walkError{
		codes.FailedPrecondition, fmt.Sprintf(format, args...),
		rest.Advice{Cause: "the server does not page as RFC 7644 requires, so rows would be missing", Next: reportIt},
	}
}

// everyAnswerTheSame is the error for a server that answers every request with the
// same rows, as many as a usual limit.
func everyAnswerTheSame(n int) error {
	return &walkError{
		codes.FailedPrecondition, fmt.Sprintf("every answer is the same %d rows", n),
		rest.Advice{
			Cause: fmt.Sprintf("the server ignores startIndex, and %d is a usual limit, so there may be more rows that the connector cannot read", n),
			Next:  fmt.Sprintf("count them in RudderStack: if there are exactly %d, the sync works again with one more; if not, report this message to RudderStack support", n),
		},
	}
}

// walkFailed adds the URL to an error of a walk.
func (s *Source) walkFailed(path string, err error) error {
	var failed *walkError
	if !errors.As(err, &failed) {
		return err
	}
	return &rest.Error{URL: s.base + "/" + path, Status: http.StatusOK, Code: failed.code, What: failed.what, Advice: failed.advice}
}
