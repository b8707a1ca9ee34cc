package simulator

import (
	"fmt"
	"strings"
	"time"

	"github.com/conductorone/baton-connectors/pkg/directory"
)

// Size is the size of a directory. The same size always gives the same directory.
type Size struct {
	// Users is the number of users. Guru's first user is the caller.
	Users int
	// Groups is the number of groups, each with MembersPerGroup members. If
	// there are more than two, the first is empty. A group has at most Users
	// members.
	Groups, MembersPerGroup int
	// GroupSizes, if set, gives each group's number of members. It overrides
	// Groups and MembersPerGroup.
	GroupSizes []int
	// WithoutAllMembers omits the group "All Members", which Guru adds to the others.
	WithoutAllMembers bool
}

func (z Size) groupSizes() []int {
	if z.GroupSizes != nil {
		return z.GroupSizes
	}
	sizes := make([]int, z.Groups)
	for i := range sizes {
		if i > 0 || z.Groups < 3 {
			sizes[i] = z.MembersPerGroup
		}
	}
	return sizes
}

// epoch is the time when the first account was created.
var epoch = time.Date(2021, 3, 4, 5, 6, 7, 89_000_000, time.UTC)

var (
	firsts = []string{"Ann", "Bo", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Grace", "Hiroshi", "Ines", "José", "Kofi", "Łucja", "Mei", "Nils", "Олена", "Priya", "Quinn", "Rashid", "Søren", "太郎"}
	lasts  = []string{"Lee", "Novák", "O'Brien", "García Márquez", "Nakamura", "Okafor", "Silva", "Weiß", "Zhang", "d'Arc", "Öberg", "Іваненко", "van der Berg"}
	teams  = []string{"Analytics", "Billing", "Customer Success", "Data Engineering", "Équipe Produit", "Finance", "Growth", "セキュリティ", "Legal & Compliance", "Marketing"}
)

// fill seeds the directory.
func (s *Server) fill(z Size) {
	for i := range z.Users {
		s.dir.addPerson(s.vendor.person(i))
	}
	if !z.WithoutAllMembers {
		if t := s.vendor.everyone(); t != nil {
			s.dir.addTeam(t)
		}
	}
	for i, size := range z.groupSizes() {
		t := &Team{ID: s.vendor.groupID(i), Name: teamName(i), Created: epoch.Add(time.Duration(i) * time.Hour)}
		if i == 2 { // names need not be unique
			t.Name = teamName(1)
		}
		size = min(size, z.Users)
		t.Members = make([]Member, 0, size)
		if size > 0 {
			start, stride := int(hash("start", i)%uint64(z.Users)), stride(i, z.Users) //nolint:gosec // both are small
			for k := range size {
				t.Members = append(t.Members, Member{ID: s.dir.people[(start+k*stride)%z.Users].ID})
			}
		}
		s.dir.addTeam(t)
	}
}

func teamName(i int) string { return fmt.Sprintf("%s %d", teams[i%len(teams)], i) }

// stride returns a step that visits each of n places once.
func stride(i, n int) int {
	for step := 1 + int(hash("stride", i)%uint64(n)); ; step++ { //nolint:gosec // both are small
		a, b := step, n
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return step
		}
	}
}

// hash returns a well-mixed number that depends only on its arguments
// (SplitMix64 over FNV-1a).
func hash(kind string, i int) uint64 {
	x := directory.Fingerprint(kind) + uint64(i)*0x9e3779b97f4a7c15 //nolint:gosec // wraps as it should
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ksuid returns an id in RudderStack's form: 27 letters and digits.
func ksuid(kind string, i int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b strings.Builder
	b.WriteString("2")
	for word := 0; b.Len() < 27; word++ {
		for x, k := hash(kind, i*4+word), 0; k < 10 && b.Len() < 27; k++ {
			b.WriteByte(digits[x%62])
			x /= 62
		}
	}
	return b.String()
}

// uuid returns a version 4 UUID.
func uuid(kind string, i int) string {
	a, b := hash(kind, 2*i), hash(kind, 2*i+1)
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

func joined(parts ...string) string { return strings.TrimSpace(strings.Join(parts, " ")) }
