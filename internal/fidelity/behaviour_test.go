package fidelity

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// behaviour is one way in which a vendor may behave, and the end that a sync
// must then reach: the vendor's truth in the c1z, or an error and no finished
// sync. Each is a row of docs/fidelity.md and a subtest of TestFidelity.
type behaviour struct {
	// vendor is ofRudderStack, ofGuru or ofBoth.
	vendor string
	// name is the subtest's name.
	name string
	// does describes the vendor's behaviour in plain words.
	does string
	// fault names the simulator's fault; empty means the behaviour's own name,
	// "-" means none.
	fault string
	// on selects the requests that the fault strikes: requests for users,
	// groups or members, or those of the simulator's default.
	on collection
	// from and to are the first and the last of those requests to strike, as in
	// simulator.When. Request 1 for users and for groups is the credentials
	// check, which asks for one page before the sync begins.
	from, to int
	// more are further options of the simulator.
	more []simulator.Option
	// size is the directory's size; empty means usualSize.
	size *simulator.Size
	// set changes the directory before the sync or, with OnRequest, during it.
	set func(s *simulator.Server)
	// options changes the source's options.
	options func(*rest.Options)
	// warm means that the outcome depends on a process's memory between calls,
	// such as the time of the last answer.
	warm bool
	// connector means that pkg/connector decides the outcome. The source alone
	// does not show it.
	connector bool

	// silent means that the rows of Guru's members name no groups.
	silent bool

	// code is the error's code; OK if the c1z must hold the truth.
	code codes.Code
	// words must all appear in the error.
	words []string
	// warns must appear in a logged warning.
	warns string
	// but is an addition to the outcome in docs/fidelity.md.
	but string
	// requests is the largest number of requests that the sync may send; 0
	// means maxRequests.
	requests int
}

const (
	ofRudderStack = fixture.RudderStack
	ofGuru        = fixture.Guru
	ofBoth        = "both"
)

// maxRequests bounds the requests of a sync of a directory of usualSize. Such a
// sync takes at most 25. A client that spins, or that walks on through pages
// without new rows, sends more.
const maxRequests = 60

type collection string

const (
	users   collection = "users"
	groups  collection = "groups"
	members collection = "members"
)

// path returns the pattern for simulator.When.
func (c collection) path(vendor string) string {
	switch {
	case c == "":
		return ""
	case vendor == ofRudderStack && c == users:
		return "/Users"
	case vendor == ofRudderStack:
		return "/Groups" // which includes the members
	case c == users:
		return "/members"
	case c == groups:
		return "/groups/usergroups"
	default:
		return "/groups/*/members"
	}
}

// usualSize has several pages of users and of memberships, and groups with
// sizes around the page limit.
func usualSize(vendor string) simulator.Size {
	sizes := []int{0, 1, 100, 101, 150}
	if vendor == ofRudderStack {
		for range 100 {
			sizes = append(sizes, 2)
		}
	}
	return simulator.Size{Users: 230, GroupSizes: sizes}
}

// behaviours lists all behaviours.
var behaviours = slices.Concat(bothBehaviours(), rudderStackBehaviours(), []behaviour{nobody}, guruBehaviours(), changeBehaviours(), witnessBehaviours())

// vendors lists the vendors that can behave this way.
func (b behaviour) vendors() []string {
	if b.vendor == ofBoth {
		return fixture.Vendors
	}
	return []string{b.vendor}
}

// simulated starts a vendor with this behaviour.
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
