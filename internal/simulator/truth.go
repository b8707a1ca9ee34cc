// Package simulator replaces the vendors, on loopback, in the demo, the tests
// and the benchmarks. Each vendor's server returns the truth that a sync
// against it must reproduce.
package simulator

import (
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// Truth holds the rows that a finished sync must have: no more, no fewer.
type Truth struct {
	// Users and Groups are keyed by Baton resource id.
	Users  map[string]User
	Groups map[string]Group
	// Grants holds every member of every group. It does not expand nested groups.
	Grants map[Grant]bool
	// Passing holds the Baton ids of users and groups that came or went during
	// the sync. A sync may include or omit them and their grants.
	Passing map[string]bool
	// PassingGrants holds memberships that came or went during the sync. They
	// are optional too.
	PassingGrants map[Grant]bool
}

// User holds the fields that a sync must have for a user.
type User struct {
	Login, Name string
	// Emails are in the vendor's order.
	Emails    []directory.Email
	Disabled  bool
	Detail    string
	Service   bool
	CreatedAt time.Time
	// Profile holds keys and values that the synced profile must have. The
	// synced profile may have more keys.
	Profile map[string]any
}

// Group holds the fields that a sync must have for a group.
type Group struct {
	Name, Description string
	CreatedAt         time.Time
	// Profile has the same meaning as in User.
	Profile map[string]any
}

// Grant is one membership.
type Grant struct {
	Group, Principal string
	// Nested marks a principal that is a group.
	Nested bool
}
