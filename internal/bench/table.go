package main

import (
	"fmt"
	"strings"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// tables returns all results as Markdown.
func (r *Results) tables() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %s, %d cores, %.0f GB, %s, revision %s; medians of %d rounds.\n", m.CPU, m.System, m.Cores, m.MemoryGB, m.Go, m.Revision, r.Rounds)
	b.WriteString(r.goals())
	last := ""
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Case != last {
			fmt.Fprintf(&b, "\n### %s\n\n%s", c.What, caseHead)
			last = c.Case
		}
		for _, variant := range variants {
			c.row(&b, variant)
		}
	}
	if len(r.Binaries) > 0 {
		b.WriteString("\n### Size and start of the released binaries\n\n| | size | `--help` | `capabilities` |\n|---|--:|--:|--:|\n")
		for _, one := range r.Binaries {
			fmt.Fprintf(&b, "| %s | %.1f MB | %.0f ms | %.0f ms |\n", one.Name, one.MB, one.Help*1e3, one.Capabilities*1e3)
		}
	}
	return b.String()
}

const caseHead = "" +
	"| vendor | users | groups | memberships | | wall s | × floor | µs a user | user CPU s | peak MB | requests | fewest |\n" +
	"|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|\n"

func (m *Measured) row(b *strings.Builder, variant string) {
	wall := func(r Run) float64 { return r.Wall }
	name, note := variant, ""
	switch variant {
	case "connector":
		name = "**connector**"
	case "naive":
		note = fmt.Sprintf(" (%.1f × connector)", m.ratio("naive", "connector", wall))
	}
	seconds := m.median(variant, wall)
	fewest := ""
	if variant != "floor" {
		fewest = connector.Thousands(m.Fewest)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %.2f%s | %.2f | %.0f | %.2f | %.0f | %s | %s |\n",
		m.Vendor, connector.Thousands(m.Users), connector.Thousands(m.Groups), connector.Thousands(m.Memberships), name,
		seconds, note, m.ratio(variant, "floor", wall), seconds/float64(m.Users)*1e6,
		m.median(variant, func(r Run) float64 { return r.CPU }), m.median(variant, func(r Run) float64 { return r.PeakMB }),
		connector.Thousands(int(m.median(variant, func(r Run) float64 { return float64(r.Requests) }))), fewest)
}

// goals compares the connectors' goals with their results.
func (r *Results) goals() string {
	found := false
	find := func(name, vendor string, users int) *Measured {
		for i := range r.Cases {
			if c := &r.Cases[i]; c.Case == name && c.Vendor == vendor && c.Users == users {
				found = true
				return c
			}
		}
		return nil
	}
	wall := func(r Run) float64 { return r.Wall }
	row := func(goal, least string, of func(vendor string) string) string {
		return fmt.Sprintf("| %s | %s | %s | %s |\n", goal, least, of("rudderstack"), of("guru"))
	}
	ratio := func(name, variant, to string, users int) func(string) string {
		return func(vendor string) string {
			if c := find(name, vendor, users); c != nil {
				return fmt.Sprintf("%.2f", c.ratio(variant, to, wall))
			}
			return ""
		}
	}
	table := "\n### Goals\n\n| | goal | RudderStack | Guru |\n|---|---|--:|--:|\n" +
		row("20,000 users at 20 ms: naive ÷ connector", "≥ 8, Guru ≥ 3", ratio("latency", "naive", "connector", 20_000)) +
		row("20,000 users at no latency: connector ÷ floor", "≤ 1.0, Guru ≤ 1.1", ratio("near", "connector", "floor", 20_000)) +
		row("1,000,000 memberships at no latency: connector ÷ floor", "≤ 1.0, Guru ≤ 1.1", ratio("large", "connector", "floor", 100_000)) +
		row("time a user at 100,000 users ÷ time a user at 1,000", "≤ 1.2", func(vendor string) string {
			few, many := find("growth", vendor, 1_000), find("large", vendor, 100_000)
			if few == nil || many == nil {
				return ""
			}
			return fmt.Sprintf("%.2f", many.median("connector", wall)/100/few.median("connector", wall))
		}) +
		row("1,000,000 memberships: peak memory", "≤ 650 MB", func(vendor string) string {
			if c := find("large", vendor, 100_000); c != nil {
				return fmt.Sprintf("%.0f MB", c.median("connector", func(r Run) float64 { return r.PeakMB }))
			}
			return ""
		})
	if !found {
		return ""
	}
	return table
}
