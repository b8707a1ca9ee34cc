// Package directory is the vocabulary of the connectors: users, groups, who is
// in which group, and the Source that reads them from a vendor a page at a
// time. It knows no vendor, no HTTP and no SDK.
package directory

import (
	"context"
	"time"
)

// User is an account in the vendor's directory.
type User struct {
	// ID never changes for the life of the account. It keys every grant, is
	// never empty, at most MaxID bytes long, and valid UTF-8.
	ID string
	// Login is what the person signs in with; may be empty.
	Login string
	// DisplayName is the vendor's name for the account, with the source's
	// fallbacks applied; never empty.
	DisplayName string
	// Emails holds every address that the vendor states, the primary one
	// marked. At most one is primary.
	Emails []Email
	// Disabled says that the vendor states that the account cannot be used.
	// An account whose status the vendor does not state is not disabled.
	Disabled bool
	// StatusDetail is the vendor's own word for the status; may be empty.
	StatusDetail string
	// EmployeeID is the person's number at the employer; may be empty.
	EmployeeID string
	// Service marks an account that belongs to a program, not to a person.
	Service bool
	// CreatedAt is zero where the vendor does not state it.
	CreatedAt time.Time
	// Profile holds what else the vendor states that helps a reviewer. Values
	// are strings, booleans and float64, or []any and map[string]any of those.
	Profile map[string]any
}

// Email is one address of a user.
type Email struct {
	Address string
	Primary bool
}

// Group is a named set of members.
type Group struct {
	// ID never changes for the life of the group; otherwise as in User.
	ID string
	// Name is never empty; it need not be unique.
	Name string
	// Description may be empty.
	Description string
	// Origin is where the group comes from, where the vendor states it.
	Origin GroupOrigin
	// CreatedAt is zero where the vendor does not state it.
	CreatedAt time.Time
	// Profile is as in User.
	Profile map[string]any
}

// GroupOrigin says where a group comes from.
type GroupOrigin int

const (
	// OriginNotStated is that of most groups.
	OriginNotStated GroupOrigin = iota
	// OriginBuiltIn is that of a group that the vendor keeps by itself, such as
	// one of all users.
	OriginBuiltIn
	// OriginDirectory is that of a group that comes from the customer's
	// directory, as over SCIM.
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

// MaxSiblings is the most siblings that a page may name, a limit of the SDK's.
const MaxSiblings = 1024

// Page is one step of a walk over a list.
type Page[T any] struct {
	// Rows may be empty on any page, and of any number.
	Rows []T
	// Next is the cursor of the following page; empty on the last.
	Next string
	// Siblings are cursors of pages of the same list that may be read in
	// parallel with Next and with each other, in any order. Only Memberships
	// returns them, at most MaxSiblings.
	Siblings []string
	// Total is the vendor's own count of the rows of the whole list, 0 where
	// it states none. It serves progress reports; and a list of users or groups
	// whose pages all state the same count, but that has fewer distinct ids,
	// fails the sync.
	Total int
}

// Source reads one vendor's directory. Every method may be called from many
// goroutines at a time and from another process than the one that made its
// cursor. The empty cursor starts a walk. Cursors hold no secrets and nothing
// that names a person.
//
// A method either tells the vendor's whole truth for its page or fails:
// an error never turns into an empty page. Errors carry a gRPC code
// (google.golang.org/grpc/status): Unauthenticated and PermissionDenied for
// credentials, Unavailable and DeadlineExceeded for what a retry may heal,
// FailedPrecondition for an answer that means that the configuration or the
// vendor is not as the connector needs it, Aborted for a directory that
// changed too much while it was read or has been out of reach for too long,
// InvalidArgument for a request that the vendor refuses as malformed or a host
// that does not exist, AlreadyExists and Unimplemented for
// its 409 and 501, Internal for rows that cannot be understood, Canceled where
// the context was. A malformed cursor is ErrCursor. A list never fails with
// NotFound, which the SDK takes for "skip this".
type Source interface {
	// Check proves that the credentials can read what will be synced.
	Check(ctx context.Context) error
	// Users lists all users.
	Users(ctx context.Context, cursor string) (Page[User], error)
	// Groups lists all groups.
	Groups(ctx context.Context, cursor string) (Page[Group], error)
	// Group reads one group by its id; NotFound if the vendor has none such.
	Group(ctx context.Context, id string) (Group, error)
	// Members lists the direct members of one group. One that has been deleted
	// since it was listed has none, which takes proof: a 404 may as well mean
	// that the path is hidden.
	Members(ctx context.Context, groupID, cursor string) (Page[Member], error)
}

// Memberships is implemented by sources that can list the members of all
// groups in fewer requests than one a group. It must tell the same truth as
// calling Source.Members for each group.
type Memberships interface {
	Memberships(ctx context.Context, cursor string) (Page[Membership], error)
}

// Fact is something that the vendor says of the credential or of its API, such
// as whose token it is.
type Fact struct {
	// Name is one or two words, such as "token of".
	Name string `json:"name"`
	// Value is a few words. It holds no secret.
	Value string `json:"value"`
}

// Describer is implemented by sources that can say what the credential is. It
// is called after Check, for a person who checks the settings.
type Describer interface {
	Describe(ctx context.Context) ([]Fact, error)
}
