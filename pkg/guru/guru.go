// Package guru reads members, groups and memberships from Guru's REST API as a
// directory.Source.
//
// Read the files in this order: users.go, groups.go and members.go say what is
// read; list.go reads a list page by page; link.go finds the next page; exact.go
// and date.go are details of decoding.
//
// All lists are bare JSON arrays. Only a Link header announces a further page. The
// package uses nothing but its paging token and builds every request on the
// configured base URL, so that the credential never follows a link to another
// host.
//
// The id of a user is the e-mail address in lower case. In every documented sample
// it is the top-level id of a row, and the only key that both the list of members
// and the lists of a group's members have. userKey has the rule for both.
package guru

import (
	"context"
	"encoding/base64"
	"sync/atomic"

	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/guru/config"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// The paths that are read, relative to the base URL, each with its operation in
// Guru's API reference (https://developer.getguru.com/reference) and the scope
// that it needs. None is sent a page size, which was seen to suppress the Link
// header.
const (
	// whoAmI names the owner of the credential: get-v1whoami-whoami,
	// read:identity.
	whoAmI = "whoami"
	// members lists the team, 50 a page: get-v1members-getteammembers,
	// read:members. Below a group it lists that group's members, 100 a page:
	// get-v1groups-getgroupmembers, read:groups.
	members = "members"
	// groups lists the groups: get-v1groups-getusergroups, read:groups. An id
	// below it reads one group: get-v1groups-getusergroup, read:groups.
	groups = "groups"
	// userGroups, below groups, is another path of the same list, in no
	// reference. A server without it takes the name for the id of a group. Groups
	// that this list lacks are read from groups.
	userGroups = "usergroups"
)

// Source implements directory.Source.
type Source struct {
	client *rest.Client
	base   string // for messages

	users    list[userRow]
	accounts accounts
	owner    owner
	groups   list[groupRow]
	// userGroups has the groups that the walk over groups/usergroups has seen.
	userGroups userGroupIDs

	checked progress
	// userGroupsFailed is set if groups/usergroups has answered 5xx.
	userGroupsFailed atomic.Bool
	// usersAlone is rest.Options.UsersAlone.
	usersAlone bool
}

var _ directory.Source = (*Source)(nil)

// New makes a source from a configuration, without any input or output. Its errors
// name the setting that is wrong and hide its value.
func New(ctx context.Context, cfg *config.Guru, opts rest.Options) (*Source, error) {
	email, err := rest.Setting(config.UserEmail).Email(cfg.UserEmail)
	if err != nil {
		return nil, err
	}
	token, err := rest.Setting(config.APIToken).Secret(cfg.ApiToken)
	if err != nil {
		return nil, err
	}
	address := cfg.BaseUrl
	if address == "" {
		address = config.DefaultBaseURL
	}
	base, err := rest.Setting(config.BaseURL).BaseURL(address)
	if err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = rest.WallClock
	}
	// RFC 7617, section 2: the user name, a colon, the password.
	basic := base64.StdEncoding.EncodeToString([]byte(email + ":" + token))
	client, err := rest.New(ctx, rest.Vendor{
		Base:          base,
		Authorization: "Basic " + basic,
		Secrets:       []string{token, basic},
		Explain:       explain,
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Source{
		client:     client,
		base:       base.String(),
		checked:    progress{now: opts.Now},
		usersAlone: opts.UsersAlone,
		users: list[userRow]{
			name:   "guru users 2",
			path:   func(route) []string { return []string{members} },
			decode: decodeUsers,
			key:    func(r userRow) string { return r.key },
		},
		groups: list[groupRow]{
			name:   "guru groups 3",
			path:   groupsPath,
			decode: decodeGroups,
			key:    func(r groupRow) string { return r.ID.Value },
		},
	}, nil
}
