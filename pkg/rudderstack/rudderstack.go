// Package rudderstack reads users, groups and memberships from RudderStack's SCIM
// 2.0 API as a directory.Source. RudderStack publishes no reference of that API, so
// the package follows RFC 7643 and RFC 7644, and tolerates known deviations of SCIM
// servers.
//
// Read the files in this order: users.go, groups.go and members.go say what is
// read; nested.go tells users from groups among the members; list.go reads one page
// of a list; walk.go decides which page is next.
package rudderstack

import (
	"context"
	"strings"
	"sync/atomic"
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
	// usersOnly is the setting "Sync users only": no groups are read or listed.
	usersOnly bool
	// usersAlone is rest.Options.UsersAlone: this run does not sync groups.
	usersAlone bool
	// usersAnswered is set once /Users has answered in this process.
	usersAnswered atomic.Bool
	known         groupIDs
	limit         listLimit
}

var (
	_ directory.Source      = (*Source)(nil)
	_ directory.Memberships = (*Source)(nil)
)

// New makes a source from a configuration, without any input or output. Its errors
// name the setting that is wrong and hide its value.
func New(ctx context.Context, cfg *config.Rudderstack, opts rest.Options) (*Source, error) {
	base, err := rest.Setting(config.BaseURL).BaseURL(cfg.RudderstackScimBaseUrl)
	if err != nil {
		return nil, err
	}
	token, err := rest.Setting(config.Token).Secret(cfg.RudderstackScimToken)
	if err != nil {
		return nil, err
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

		usersOnly:  cfg.SyncUsersOnly,
		usersAlone: opts.UsersAlone,
	}, nil
}

// Check implements directory.Source. It reads one user and, if groups are synced,
// one group.
func (s *Source) Check(ctx context.Context) error {
	s.client.DropPrefetched() // a sync may begin; one in progress loses no rows
	if err := probe(ctx, s, users); err != nil {
		return err
	}
	s.usersAnswered.Store(true)
	if s.usersOnly || s.usersAlone {
		return nil
	}
	err := probe(ctx, s, groupNames)
	if err == nil {
		return nil
	}
	_, err = s.noGroups(ctx, err)
	return err
}
