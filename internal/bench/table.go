package main

import (
	"fmt"
	"strings"

	"github.com/conductorone/baton-connectors/pkg/connector"
)

// tables is all results as Markdown.
func (r *Results) tables() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %s, %d cores, %.0f GB, %s, revision %s; medians of %d rounds.\n", m.CPU, m.System, m.Cores, m.MemoryGB, m.Go, m.Revision, r.Rounds)
	last := ""
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Case != last {
			fmt.Fprintf(&b, "\n### %s\n\n%s", c.What, caseHead)
			last = c.Case
		}
		for _, way := range ways {
			c.row(&b, way)
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
	"| vendor | users | groups | memberships | | wall s | × floor | µs a user | user CPU s, syncer + connector | peak MB, syncer + connector | requests | fewest |\n" +
	"|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|\n"

func (m *Measured) row(b *strings.Builder, way string) {
	wall := func(r Run) float64 { return r.Wall }
	name, note := way, ""
	switch way {
	case "connector":
		name = "**connector**"
	case "naive":
		note = fmt.Sprintf(" (%.1f × connector)", m.ratio("naive", "connector", wall))
	}
	seconds := m.median(way, wall)
	fewest := ""
	if way != "floor" {
		fewest = connector.Thousands(m.Fewest)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %.2f%s | %.2f | %.0f | %.2f + %.2f | %.0f + %.0f | %s | %s |\n",
		m.Vendor, connector.Thousands(m.Users), connector.Thousands(m.Groups), connector.Thousands(m.Memberships), name,
		seconds, note, m.ratio(way, "floor", wall), seconds/float64(m.Users)*1e6,
		m.median(way, func(r Run) float64 { return r.SyncerCPU }), m.median(way, func(r Run) float64 { return r.ConnectorCPU }),
		m.median(way, func(r Run) float64 { return r.SyncerMB }), m.median(way, func(r Run) float64 { return r.ConnectorMB }),
		connector.Thousands(int(m.median(way, func(r Run) float64 { return float64(r.Requests) }))), fewest)
}
