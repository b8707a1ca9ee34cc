// Package directory is the contract between a vendor's package and
// pkg/connector: the types User, Group and Member, and the Source that reads them
// from a vendor a page at a time. It knows no vendor, no HTTP and no SDK.
//
// One membership takes this way: a vendor's package decodes JSON into a Member
// and returns it in a Page; pkg/connector turns it into a grant; the SDK's syncer
// stores the grant in a c1z.
package directory

import (
	"context"
	"time"
)

// User is an account in the vendor's directory.
type User struct {
	// ID is the key of every grant. It never changes while the account exists,
	// and CheckID accepts it.
	ID string
	// Login is the name that the person signs in with; may be empty.
	Login string
	// DisplayName is the vendor's name for the account or, if it states none, a
	// fallback of the source's choice; never empty.
	DisplayName string
	// Emails holds every address that the vendor states. At most one is primary.
	Emails []Email
	// Disabled is true if the vendor states that the account cannot be used,
	// and false if it does not state the status.
	Disabled bool
	// StatusDetail is the vendor's own word for the status; may be empty.
	StatusDetail string
	// EmployeeID is the person's number at the employer; may be empty.
	EmployeeID string
	// Service marks an account that belongs to a program, not to a person.
	Service bool
	// Groups has the ids of the groups in the user's own row, if the vendor
	// states memberships twice; nil if the row states nothing. They grant
	// nothing: pkg/connector compares them with the groups' lists of members.
	Groups []string
	// CreatedAt is zero if the vendor does not state it.
	CreatedAt time.Time
	// Profile holds further statements of the vendor that help a reviewer.
	// Values are strings, booleans and float64, or []any and map[string]any of
	// those.
	Profile map[string]any
}

// Email is one address of a user.
type Email struct {
	Address string
	Primary bool
}

// Group is a named set of members.
type Group struct {
	// ID never changes while the group exists, and CheckID accepts it.
	ID string
	// Name is never empty; it need not be unique.
	Name string
	// Description may be empty.
	Description string
	// Origin is the group's origin.
	Origin GroupOrigin
	// CreatedAt is zero if the vendor does not state it.
	CreatedAt time.Time
	// Profile has the same meaning as in User.
	Profile map[string]any
}

// GroupOrigin is the origin of a group.
type GroupOrigin int

const (
	// OriginNotStated means that the vendor does not state the origin.
	OriginNotStated GroupOrigin = iota
	// OriginBuiltIn is a group that the vendor maintains, such as one of all users.
	OriginBuiltIn
	// OriginPersonal is a group that the vendor makes for a single user.
	OriginPersonal
	// OriginDirectory is a group from the customer's own directory, such as by
	// SCIM.
	OriginDirectory
)

// Member says that a user, or all members of another group, is in a group.
type Member struct {
	// ID is the User.ID or, with IsGroup, the Group.ID of the member.
	ID string
	// IsGroup marks a nested group.
	IsGroup bool
}

// Membership is a Member together with the group that it is in.
type Membership struct {
	GroupID string
	Member  Member
}

// MaxSiblings is the SDK's limit on the siblings of a page.
const MaxSiblings = 1024

// Page is one step of a walk over a list.
type Page[T any] struct {
	// Rows may have any length on any page, also 0.
	Rows []T
	// Next is the cursor of the following page; empty on the last.
	Next string
	// Siblings are cursors of further pages of the list, at most MaxSiblings.
	// They may be read in any order and in parallel with each other and with
	// Next. Only Memberships returns them.
	Siblings []string
	// Total is the vendor's own count of the rows of the whole list, 0 if it
	// states none. It shows in progress reports. If all pages of a list of users
	// or groups state the same count, but the list has fewer distinct ids, the
	// sync fails.
	Total int
}

// Source reads one vendor's directory, a page at a time. Its methods are safe
// for concurrent use.
//
// The empty cursor is the first page of a list. Only the source makes and reads
// cursors; another process than the one that made a cursor may pass it back. A
// cursor holds no secret and nothing that names a person. A cursor that the
// source did not make is ErrCursor.
//
// A method returns all rows that the vendor has for the page, or an error. An
// error never becomes an empty page. Errors carry a gRPC code
// (google.golang.org/grpc/status):
//
//   - Unauthenticated, PermissionDenied: the credentials were refused.
//   - Unavailable, DeadlineExceeded: a retry may succeed.
//   - FailedPrecondition: the configuration or the vendor's answer is not as
//     the connector needs it.
//   - Aborted: the directory changed too much while it was read, or the vendor
//     was out of reach for too long.
//   - InvalidArgument: the vendor refuses the request as malformed, or the host
//     does not exist.
//   - AlreadyExists, Unimplemented: the vendor answered 409 or 501.
//   - Internal: a row cannot be understood.
//   - Canceled: the context was.
//   - NotFound: from Group alone. The SDK takes it for "skip this", so a list
//     never returns it.
type Source interface {
	// Check proves that the credentials can read everything that a sync reads.
	Check(ctx context.Context) error
	// Users lists all users.
	Users(ctx context.Context, cursor string) (Page[User], error)
	// Groups lists all groups.
	Groups(ctx context.Context, cursor string) (Page[Group], error)
	// Group reads one group by its id. It fails with NotFound if the vendor has
	// no such group.
	Group(ctx context.Context, id string) (Group, error)
	// Members lists the direct members of one group. A group that was deleted
	// after it was listed has none. The source needs proof of that: a 404 may
	// also mean that the path is hidden.
	Members(ctx context.Context, groupID, cursor string) (Page[Member], error)
}

// Memberships is implemented by sources that can list the members of all groups
// in fewer requests than one a group. It returns what Source.Members returns for
// all groups together.
type Memberships interface {
	Memberships(ctx context.Context, cursor string) (Page[Membership], error)
}

// Fact is a statement of the vendor about the credential or its API, such as
// the token's owner.
type Fact struct {
	// Name is one or two words, such as "token of".
	Name string `json:"name"`
	// Value is a few words. It holds no secret.
	Value string `json:"value"`
}

// Describer is implemented by sources that can describe the credential. A user
// who checks the settings sees the facts. It is called after Check.
type Describer interface {
	Describe(ctx context.Context) ([]Fact, error)
}
