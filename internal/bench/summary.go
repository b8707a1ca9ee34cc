package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// summary returns the table of docs/performance.md: the figures that a user
// needs from the cases closest to a real directory.
func (r *Results) summary() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d cores, %.0f GB, %s, revision %s; medians of %d rounds.\n\n", m.CPU, m.Cores, m.MemoryGB, m.Go, m.Revision, r.Rounds)
	b.WriteString("| | Users | Memberships | Vendor's latency | Time | ÷ SDK alone | Naive ÷ connector | Requests | Peak memory |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	wall := func(r Run) float64 { return r.Wall }
	for _, vendor := range []struct{ name, shown string }{{"rudderstack", "RudderStack"}, {"guru", "Guru"}} {
		for _, of := range []struct {
			name    string
			latency time.Duration
		}{{"near", 0}, {"latency", 20 * time.Millisecond}, {"large", 0}} {
			for i := range r.Cases {
				c := &r.Cases[i]
				if c.Case != of.name || c.Vendor != vendor.name {
					continue
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %d ms | %.1f s | %.2f | %.1f | %s | %.0f MB |\n",
					vendor.shown, connector.Thousands(c.Users), connector.Thousands(c.Memberships), of.latency.Milliseconds(),
					c.median("connector", wall), c.ratio("connector", "floor", wall), c.ratio("naive", "connector", wall),
					connector.Thousands(int(c.median("connector", func(r Run) float64 { return float64(r.Requests) }))),
					c.median("connector", func(r Run) float64 { return r.PeakMB }))
			}
		}
	}
	return b.String()
}
