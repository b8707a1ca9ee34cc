package simulator

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Outcomes of a sync of a vendor with a fault.
const (
	// Right means that a correct client reads the whole truth.
	Right = "right"
	// Fails means that no client can read the whole truth.
	Fails = "fails"
	// Either means that both outcomes are correct. The outcome depends on the
	// size of the directory, the order of requests or the client's tolerance.
	Either = "either"
)

// Fault is a way in which a vendor misbehaves.
type Fault struct {
	Name string
	// Vendor is "both", "rudderstack" or "guru".
	Vendor string
	// What describes the fault in one line.
	What string
	// Outcome is Right, Fails or Either.
	Outcome string
	// When selects the requests, unless WithFault overrides it.
	When When

	// seed changes the directory, and so the truth, before the server starts.
	seed func(*Server)
	// wrap changes the answers.
	wrap func(s *Server, next http.Handler) http.Handler
}

func (f Fault) serves(v vendor) bool {
	_, isGuru := v.(*guru)
	return f.Vendor == "both" || isGuru == (f.Vendor == "guru")
}

// When selects the requests that a fault strikes. The zero value selects all.
type When struct {
	// Path is a pattern (path.Match) of paths below the prefix, such as /Users
	// or /groups/*/members. Requests for other paths are neither counted nor
	// struck.
	Path string
	// From and To are the numbers of the first and the last request, from 1.
	From, To int
	// Every is N to strike every Nth request.
	Every int
	// Share is the share of requests to strike, from 0 to 1. The seed decides which.
	Share float64
}

func (w When) hits(n, seed int) bool {
	switch {
	case n < w.From, w.To > 0 && n > w.To, w.Every > 0 && n%w.Every != 0:
		return false
	case w.Share > 0:
		return float64(hash("share", n+seed<<32)%1_000_000) < w.Share*1_000_000
	}
	return true
}

type chosen struct {
	fault Fault
	when  When
}

// WithFault makes the server misbehave on the requests that when selects, by
// default those of the fault's own When. It panics if there is no such fault.
func WithFault(name string, when ...When) Option {
	i := slices.IndexFunc(Faults(), func(f Fault) bool { return f.Name == name })
	if i < 0 {
		panic("simulator: no fault is named " + name)
	}
	c := chosen{fault: Faults()[i]}
	c.when = c.fault.When
	if len(when) > 0 {
		c.when = when[0]
	}
	return func(o *options) { o.faults = append(o.faults, c) }
}

// ParseFault reads a fault from the command line: its name, then optionally the
// requests to strike, such as server-error,every=20,path=/Users.
func ParseFault(text string) (Fault, Option, error) {
	parts := strings.Split(text, ",")
	i := slices.IndexFunc(Faults(), func(f Fault) bool { return f.Name == parts[0] })
	if i < 0 {
		return Fault{}, nil, fmt.Errorf("no fault is named %q", parts[0])
	}
	fault := Faults()[i]
	if len(parts) == 1 {
		return fault, WithFault(fault.Name), nil
	}
	var when When
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch key {
		case "path":
			_, err = path.Match(value, "")
			when.Path = value
		case "from":
			when.From, err = strconv.Atoi(value)
		case "to":
			when.To, err = strconv.Atoi(value)
		case "every":
			when.Every, err = strconv.Atoi(value)
		case "share":
			when.Share, err = strconv.ParseFloat(value, 64)
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return Fault{}, nil, fmt.Errorf("fault %s: %q: %w", fault.Name, part, err)
		}
	}
	return fault, WithFault(fault.Name, when), nil
}

// Faults lists all faults.
func Faults() []Fault {
	return slices.Concat(httpFaults, rowFaults, witnessFaults, rudderStackFaults, guruFaults)
}

// withFaults wraps a handler in the faults: the vendor's inside, the HTTP
// faults outside, each in the order given.
func (s *Server) withFaults(handler http.Handler) http.Handler {
	faults := slices.Clone(s.options.faults)
	slices.SortStableFunc(faults, func(a, b chosen) int { return layer(a.fault) - layer(b.fault) })
	for _, c := range faults {
		if c.fault.wrap == nil {
			continue
		}
		next, faulty := handler, c.fault.wrap(s, handler)
		var count atomic.Int64
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.when.Path != "" {
				if match, err := path.Match(c.when.Path, pathOf(r)); err != nil || !match {
					next.ServeHTTP(w, r)
					return
				}
			}
			if c.when.hits(int(count.Add(1)), s.options.seed) {
				faulty.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	return handler
}

func layer(f Fault) int {
	switch {
	case f.Vendor != "both":
		return 0
	case slices.ContainsFunc(rowFaults, func(g Fault) bool { return g.Name == f.Name }):
		return 1
	default:
		return 2
	}
}
