// Package rudderstack reads users, groups and memberships from RudderStack's
// SCIM 2.0 API as a directory.Source. RudderStack publishes no reference of
// that API, so the client follows RFC 7643 and RFC 7644 and tolerates what
// SCIM servers are known to do differently.
package rudderstack

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
	"github.com/conductorone/baton-connectors/pkg/rudderstack/config"
)

// Collections below the base URL.
const (
	usersPath         = "Users"         // RFC 7644, section 3.2
	groupsPath        = "Groups"        // RFC 7644, section 3.2
	resourceTypesPath = "ResourceTypes" // RFC 7644, section 4
)

// accept names SCIM's own media type first (RFC 7644, section 3.1).
const accept = "application/scim+json, application/json;q=0.9"

// Source implements directory.Source and directory.Memberships.
type Source struct {
	client *rest.Client
	base   string // for messages
	now    func() time.Time
	// usersAlone is that of the rest.Options.
	usersAlone bool
	known      groupIDs
	// apart has the fingerprints of nested groups whose ids are no user's.
	apart sync.Map
	kept  remainders
}

var (
	_ directory.Source      = (*Source)(nil)
	_ directory.Memberships = (*Source)(nil)
)

// New makes a source from a configuration, whose faults it reports without
// any input or output.
func New(ctx context.Context, cfg *config.Rudderstack, opts rest.Options) (directory.Source, error) {
	base, err := rest.Setting(config.BaseURL).BaseURL(cfg.RudderstackScimBaseUrl)
	if err != nil {
		return nil, err
	}
	token, err := rest.Setting(config.Token).Secret(cfg.RudderstackScimToken)
	if err != nil {
		return nil, err
	}
	outage, err := rest.Setting(config.OutageMinutes).Minutes(cfg.OutageMinutes)
	if err != nil {
		return nil, err
	}
	if outage > 0 {
		opts.Outage = outage
	}
	if opts.Now == nil {
		opts.Now = rest.WallClock
	}
	client, err := rest.New(ctx, rest.Vendor{
		Base:          base,
		Authorization: "Bearer " + token,
		Secrets:       []string{token},
		Accept:        accept,
		Explain:       explainer(strings.HasSuffix(strings.ToLower(base.Path), "/scim/v2")),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Source{
		client: client,
		base:   base.String(),
		now:    opts.Now,
		known:  newGroupIDs(),

		usersAlone: opts.UsersAlone,
		kept:       remainders{now: opts.Now},
	}, nil
}

// explainer gives the advice for an HTTP status. RudderStack documents only
// that 403 means that SCIM is not enabled for the organization.
func explainer(suffixed bool) func(int) rest.Advice {
	return func(httpStatus int) rest.Advice {
		switch httpStatus {
		case http.StatusUnauthorized:
			return rest.Advice{
				Cause: "the token was refused: it is a workspace-level or a personal one, of another region, incomplete or revoked",
				Next:  "create an organization-level Service Access Token and check that the base URL is that of the organization's region",
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
				Cause: "nothing is served at this path: the base URL is not that of the SCIM API, or SCIM is not enabled for this organization",
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

// Check reads one user and, if groups are synced, one group, which proves that
// the token may read what a sync reads.
func (s *Source) Check(ctx context.Context) error {
	s.client.DropPrefetched() // a sync may begin; one under way loses no rows by it
	if err := probe(ctx, s, users); err != nil || s.usersAlone {
		return err
	}
	err := probe(ctx, s, groupNames)
	if err == nil {
		return nil
	}
	_, err = s.absent(ctx, err)
	return err
}

// refused says whether err means that the server does not take a parameter: 400
// (RFC 7644, section 3.12), or 422 where a framework checks it.
func refused(err error) bool {
	return answered(err, http.StatusBadRequest) || answered(err, http.StatusUnprocessableEntity)
}

// answered says whether err is about an answer with a status.
func answered(err error, httpStatus int) bool {
	var e *rest.Error
	return errors.As(err, &e) && e.Status == httpStatus
}
