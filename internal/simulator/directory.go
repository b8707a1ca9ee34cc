package simulator

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// Person is a user of either vendor. A vendor ignores the fields that it does not know.
type Person struct {
	// ID is the user's id in the vendor's list: RudderStack's SCIM id, or
	// Guru's e-mail address in the vendor's letter case.
	ID string
	// UUID is Guru's user.id.
	UUID string
	// Login is RudderStack's userName and Guru's user.email.
	Login string
	// Emails is RudderStack's list of addresses.
	Emails []directory.Email
	// First, Last, Formatted and Display are parts and forms of the name. The
	// vendor does not send an empty one.
	First, Last, Formatted, Display string
	// Status is Guru's status. RudderStack sends active as true for "ACTIVE",
	// omits it for "", and sends false for any other status.
	Status string
	// Agent marks one of Guru's AI agents.
	Agent bool
	// Role is Guru's highestRole.
	Role string
	// Title and External are RudderStack's title and externalId.
	Title, External string
	Created         time.Time

	seq  int
	rows [2][]byte // rendered; guarded by cache
}

// Team is a group of either vendor.
type Team struct {
	ID, Name string
	// Everyone marks Guru's "All Members", which always reports 0 members.
	Everyone bool
	Created  time.Time
	Members  []Member

	seq  int
	rows [2][]byte // rendered; guarded by cache
}

// Member is one entry of a group's list.
type Member struct {
	// ID is a Person's or, with Nested, a Team's.
	ID     string
	Nested bool

	seq int
}

// store is a server's directory.
type store struct {
	mu     sync.RWMutex
	fold   func(id string) string // converts a vendor's id to a Baton id
	people []*Person              // in the order of the list
	teams  []*Team
	person map[string]*Person // by folded id
	team   map[string]*Team
	seq    int

	// passing holds the rows that came or went since the first request.
	serving bool
	passing map[string]bool
	fleet   map[Grant]bool

	cache sync.Mutex
}

func newStore(fold func(string) string) *store {
	return &store{fold: fold, person: map[string]*Person{}, team: map[string]*Team{}, passing: map[string]bool{}, fleet: map[Grant]bool{}}
}

func (d *store) addPerson(p *Person) {
	d.seq++
	p.seq = d.seq
	d.people = append(d.people, p)
	d.person[d.fold(p.ID)] = p
	d.pass(p.ID)
}

func (d *store) addTeam(t *Team) {
	d.seq++
	t.seq = d.seq
	for i := range t.Members {
		d.seq++
		t.Members[i].seq = d.seq
	}
	d.teams = append(d.teams, t)
	d.team[t.ID] = t
	d.pass(t.ID)
}

func (d *store) pass(id string) {
	if d.serving {
		d.passing[d.fold(id)] = true
	}
}

// AddUser adds an active user and returns its Baton id.
func (s *Server) AddUser(email string) string {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	p := s.newPerson(s.dir.seq, email)
	s.dir.addPerson(p)
	return s.dir.fold(p.ID)
}

// AddPerson adds p unchanged.
func (s *Server) AddPerson(p *Person) {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	s.dir.addPerson(p)
}

// EditUser changes a user, by its Baton id. The ids of a user never change.
func (s *Server) EditUser(id string, edit func(*Person)) {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	d := s.dir
	old := d.person[d.fold(id)]
	d.cache.Lock() // a concurrent answer may render the old one
	p := *old
	d.cache.Unlock()
	p.rows = [2][]byte{}
	edit(&p)
	d.person[d.fold(p.ID)] = &p
	d.people = slices.Clone(d.people)
	d.people[slices.Index(d.people, old)] = &p
}

// Disable makes RudderStack report a user as not active, and Guru report the
// user as pending.
func (s *Server) Disable(id string) {
	s.EditUser(id, func(p *Person) { p.Status = "PENDING" })
}

// DeleteUser removes a user from the directory and from all groups.
func (s *Server) DeleteUser(id string) {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	d := s.dir
	id = d.fold(id)
	d.pass(id)
	delete(d.person, id)
	d.people = slices.DeleteFunc(slices.Clone(d.people), func(p *Person) bool { return d.fold(p.ID) == id })
	for _, t := range slices.Clone(d.teams) {
		d.leave(t, id, false)
	}
}

// AddGroup adds an empty group and returns its id.
func (s *Server) AddGroup(name string) string {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	t := &Team{ID: s.vendor.groupID(s.dir.seq), Name: name, Created: epoch}
	s.dir.addTeam(t)
	return t.ID
}

// EditGroup changes a group.
func (s *Server) EditGroup(id string, edit func(*Team)) {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	s.dir.edit(s.dir.team[id], edit)
}

func (d *store) edit(old *Team, edit func(*Team)) {
	d.cache.Lock() // a concurrent answer may render the old one
	t := *old
	d.cache.Unlock()
	t.rows = [2][]byte{}
	t.Members = slices.Clone(t.Members)
	edit(&t)
	d.team[t.ID] = &t
	d.teams = slices.Clone(d.teams)
	d.teams[slices.Index(d.teams, old)] = &t
}

// DeleteGroup removes a group from the directory and from other groups.
func (s *Server) DeleteGroup(id string) {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	d := s.dir
	d.pass(id)
	delete(d.team, id)
	d.teams = slices.DeleteFunc(slices.Clone(d.teams), func(t *Team) bool { return t.ID == id })
	for _, t := range slices.Clone(d.teams) {
		d.leave(t, id, true)
	}
}

// AddMember adds a user to a group.
func (s *Server) AddMember(group, user string) { s.join(group, user, false) }

// Nest adds the group inner to another group.
func (s *Server) Nest(group, inner string) { s.join(group, inner, true) }

// RemoveMember removes a user from a group.
func (s *Server) RemoveMember(group, user string) {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	s.dir.leave(s.dir.team[group], s.dir.fold(user), false)
}

func (s *Server) join(group, id string, nested bool) {
	s.dir.mu.Lock()
	defer s.dir.mu.Unlock()
	d := s.dir
	t := d.team[group]
	if p, known := d.person[d.fold(id)]; known && !nested {
		id = p.ID
	}
	d.seq++
	d.edit(t, func(t *Team) { t.Members = append(t.Members, Member{ID: id, Nested: nested, seq: d.seq}) })
	d.moved(group, id, nested)
}

func (d *store) leave(t *Team, id string, nested bool) {
	is := func(m Member) bool { return m.Nested == nested && d.fold(m.ID) == id }
	if !slices.ContainsFunc(t.Members, is) {
		return
	}
	d.edit(t, func(t *Team) { t.Members = slices.DeleteFunc(t.Members, is) })
	d.moved(t.ID, id, nested)
}

func (d *store) moved(group, id string, nested bool) {
	if d.serving {
		d.fleet[Grant{Group: group, Principal: d.fold(id), Nested: nested}] = true
	}
}

// row returns a rendered row. It renders the row on first use.
func (d *store) row(slot *[]byte, render func() []byte) []byte {
	d.cache.Lock()
	row := *slot
	d.cache.Unlock()
	if row == nil {
		row = render()
		d.cache.Lock()
		*slot = row
		d.cache.Unlock()
	}
	return row
}

// UserIDs lists the Baton ids of all users in the vendor's order.
func (s *Server) UserIDs() []string {
	s.dir.mu.RLock()
	defer s.dir.mu.RUnlock()
	ids := make([]string, len(s.dir.people))
	for i, p := range s.dir.people {
		ids[i] = s.dir.fold(p.ID)
	}
	return ids
}

// GroupIDs lists the ids of all groups in the vendor's order.
func (s *Server) GroupIDs() []string {
	s.dir.mu.RLock()
	defer s.dir.mu.RUnlock()
	ids := make([]string, len(s.dir.teams))
	for i, t := range s.dir.teams {
		ids[i] = t.ID
	}
	return ids
}

// Truth returns the rows that a sync of the current directory must have.
func (s *Server) Truth() Truth {
	s.dir.mu.RLock()
	defer s.dir.mu.RUnlock()
	d := s.dir
	truth := Truth{
		Users:         make(map[string]User, len(d.people)),
		Groups:        make(map[string]Group, len(d.teams)),
		Grants:        map[Grant]bool{},
		Passing:       map[string]bool{},
		PassingGrants: map[Grant]bool{},
	}
	for _, p := range d.people {
		truth.Users[d.fold(p.ID)] = s.vendor.present(p)
	}
	for _, t := range d.teams {
		truth.Groups[t.ID] = s.vendor.presentTeam(t)
		for _, m := range t.Members {
			id := m.ID
			if !m.Nested {
				id = d.fold(id)
			}
			truth.Grants[Grant{Group: t.ID, Principal: id, Nested: m.Nested}] = true
		}
	}
	for id := range d.passing {
		truth.Passing[id] = true
	}
	for g := range d.fleet {
		truth.PassingGrants[g] = true
	}
	return truth
}

// stated adds the texts that are not blank to a profile.
func stated(profile map[string]any, texts map[string]string) {
	for key, text := range texts {
		if strings.TrimSpace(text) != "" {
			profile[key] = shown(text)
		}
	}
}

// shown returns the first text that has visible characters, as one line: runs
// of white space become one blank, control characters are dropped, and the text
// is cut after at most 1,024 bytes, between two characters.
func shown(texts ...string) string {
	for _, text := range texts {
		var b strings.Builder
		blank := false
		for _, r := range text {
			if strings.ContainsRune(" \t\n\v\f\r\u0085\u00a0\u2028\u2029\u3000", r) {
				blank = b.Len() > 0
				continue
			}
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				continue
			}
			if blank {
				b.WriteByte(' ')
				blank = false
			}
			b.WriteRune(r)
		}
		if b.Len() == 0 {
			continue
		}
		line := b.String()
		end := 0
		for at, r := range line {
			if at+len(string(r)) > 1024 {
				return line[:end]
			}
			end = at + len(string(r))
		}
		return line
	}
	return "(no name)"
}
