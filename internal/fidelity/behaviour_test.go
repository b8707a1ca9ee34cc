package fidelity

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// behaviour is one way in which a vendor may behave, and how a sync must end
// that meets it: with the vendor's truth in the c1z, or with an error and no
// finished sync. Each is a row of docs/fidelity.md and a subtest of
// TestFidelity.
type behaviour struct {
	// vendor is ofRudderStack, ofGuru or ofBoth.
	vendor string
	// name is the subtest's.
	name string
	// does is what the vendor does, in plain words.
	does string
	// fault is the simulator's; empty for the name, "-" for none.
	fault string
	// on says which requests the fault strikes: those for users, groups or
	// members, or all that the simulator's own default says.
	on collection
	// from and to are the first and the last of those requests that it
	// strikes, as in simulator.When. Of users and groups the credentials check
	// asks for one page before the sync begins, which is number 1.
	from, to int
	// more are further options of the simulator.
	more []simulator.Option
	// size is that of the directory; usualSize where it is empty.
	size *simulator.Size
	// set changes the directory before the sync or, with OnRequest, during it.
	set func(s *simulator.Server)
	// options change those of the source.
	options func(*rest.Options)
	// warm says that the outcome rests on what one process remembers from call
	// to call, such as since when nothing was answered.
	warm bool
	// connector says that pkg/connector decides the outcome, so that the source
	// alone does not show it.
	connector bool

	// silent says that the rows of Guru's members name no groups.
	silent bool

	// code is that of the error; OK where the c1z must hold the truth.
	code codes.Code
	// words must all be in the error.
	words []string
	// warns must be in a warning in the log.
	warns string
	// but is what docs/fidelity.md adds to the outcome.
	but string
	// requests is the most that the vendor may be sent; 0 for maxRequests.
	requests int
}

const (
	ofRudderStack = fixture.RudderStack
	ofGuru        = fixture.Guru
	ofBoth        = "both"
)

// maxRequests bounds the requests of a sync of a directory of usualSize,
// which takes at most 25: a client that spins, or that walks on through pages
// that bring nothing, sends more.
const maxRequests = 60

type collection string

const (
	users   collection = "users"
	groups  collection = "groups"
	members collection = "members"
)

// path is the pattern of simulator.When.
func (c collection) path(vendor string) string {
	switch {
	case c == "":
		return ""
	case vendor == ofRudderStack && c == users:
		return "/Users"
	case vendor == ofRudderStack:
		return "/Groups" // which carries the members
	case c == users:
		return "/members"
	case c == groups:
		return "/groups/usergroups"
	default:
		return "/groups/*/members"
	}
}

// usualSize has several pages of users and of what holds members, and groups
// at the edges of a page.
func usualSize(vendor string) simulator.Size {
	sizes := []int{0, 1, 100, 101, 150}
	if vendor == ofRudderStack {
		for range 100 {
			sizes = append(sizes, 2)
		}
	}
	return simulator.Size{Users: 230, GroupSizes: sizes}
}

// behaviours is the registry of all.
var behaviours = slices.Concat(bothBehaviours(), rudderStackBehaviours(), []behaviour{nobody}, guruBehaviours(), changeBehaviours(), witnessBehaviours())

// vendors are those that the behaviour is of.
func (b behaviour) vendors() []string {
	if b.vendor == ofBoth {
		return fixture.Vendors
	}
	return []string{b.vendor}
}

// simulated starts a vendor that behaves so.
func (b behaviour) simulated(t testing.TB, vendor string) *fixture.Vendor {
	t.Helper()
	size := usualSize(vendor)
	if b.size != nil {
		size = *b.size
	}
	opts := append(slices.Clone(b.more), simulator.WithFast(), simulator.WithMemory())
	if vendor == ofGuru && !b.silent { // as documented
		opts = append(opts, simulator.WithFault("rows-name-groups"))
	}
	fault := b.fault
	if fault == "" {
		fault = b.name
	}
	if fault != "-" {
		if when := (simulator.When{Path: b.on.path(vendor), From: b.from, To: b.to}); when != (simulator.When{}) {
			opts = append(opts, simulator.WithFault(fault, when))
		} else {
			opts = append(opts, simulator.WithFault(fault))
		}
	}
	return fixture.Start(t, vendor, size, opts...)
}
