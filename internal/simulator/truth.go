// Package simulator stands in for the vendors on loopback, for the demo, the
// tests and the benchmarks. Each vendor's server can tell the truth that a
// sync against it must reproduce.
package simulator

import (
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// Truth is what a finished sync must hold: no more, no less.
type Truth struct {
	// Users and Groups are keyed by Baton resource id.
	Users  map[string]User
	Groups map[string]Group
	// Grants holds every member of every group. Expansion of nested groups is
	// not part of it.
	Grants map[Grant]bool
	// Passing holds the Baton ids of users and groups that came or went while
	// the directory was read: a sync may hold them and their grants or not.
	Passing map[string]bool
	// PassingGrants holds memberships that came or went in that time.
	PassingGrants map[Grant]bool
}

// User is what a sync must say of a user.
type User struct {
	Login, Name string
	// Emails in the vendor's order.
	Emails    []directory.Email
	Disabled  bool
	Detail    string
	Service   bool
	CreatedAt time.Time
	// Profile holds keys that the synced profile must hold, with their values;
	// the synced profile may hold more.
	Profile map[string]any
}

// Group is what a sync must say of a group.
type Group struct {
	Name, Description string
	CreatedAt         time.Time
	// Profile is as in User.
	Profile map[string]any
}

// Grant is one membership.
type Grant struct {
	Group, Principal string
	// Nested says that the principal is a group.
	Nested bool
}
