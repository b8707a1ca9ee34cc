package main

import (
	"time"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
)

// Case is one measurement: a series of directories and the vendor's latency.
type Case struct {
	Name string
	// What is the case's heading: what it shows.
	What    string
	Vendors []string
	Sizes   []Size
	// Latency is the time that the vendor takes for each answer.
	Latency time.Duration
}

// Size is a directory: each group has Members members.
type Size struct{ Users, Groups, Members int }

// simulated converts the size for the simulator. It omits Guru's group of all
// members, so that both vendors hold the same.
func (s Size) simulated() simulator.Size {
	sizes := make([]int, s.Groups)
	for i := range sizes {
		sizes[i] = s.Members
	}
	return simulator.Size{Users: s.Users, GroupSizes: sizes, WithoutAllMembers: true}
}

// vendors lists the vendors to measure.
var vendors = fixture.Vendors

var allCases = []Case{
	{Name: "latency", What: "20,000 users, 500 groups of 50, a vendor that takes 20 ms", Vendors: vendors, Latency: 20 * time.Millisecond, Sizes: []Size{{20_000, 500, 50}}},
	{Name: "near", What: "20,000 users, 500 groups of 50, a vendor that answers at once", Vendors: vendors, Sizes: []Size{{20_000, 500, 50}}},
	{Name: "large", What: "100,000 users, 5,000 groups of 200, a vendor that answers at once", Vendors: vendors, Sizes: []Size{{100_000, 5_000, 200}}},
	{Name: "growth", What: "From 1,000 users on, 10 memberships each in groups of 200, a vendor that answers at once", Vendors: vendors, Sizes: growth(1_000, 3_000, 10_000)},
	{Name: "growth-latency", What: "The same from a vendor that takes 20 ms", Vendors: vendors, Latency: 20 * time.Millisecond, Sizes: growth(1_000, 3_000, 10_000)},
	{Name: "groups", What: "1,000 users and ever more groups of 20", Vendors: vendors, Sizes: []Size{{1_000, 100, 20}, {1_000, 500, 20}, {1_000, 1_000, 20}, {1_000, 2_000, 20}}},
}

// quickCases hold more than a page of users, groups and members.
var quickCases = []Case{
	{Name: "quick", What: "120 users, 110 groups of 3, a vendor that takes 1 ms", Vendors: vendors, Latency: time.Millisecond, Sizes: []Size{{120, 110, 3}}},
}

// growth has the proportions of the case large.
func growth(users ...int) []Size {
	sizes := make([]Size, len(users))
	for i, n := range users {
		sizes[i] = Size{n, n / 20, 200}
	}
	return sizes
}

func caseNames(cases []Case) []string {
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.Name
	}
	return names
}
