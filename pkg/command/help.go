package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the longest line of --help, in columns.
const helpWidth = 100

// flagHelp describes a flag in --help.
type flagHelp struct{ name, text string }

// helpGroups are the groups of --help, after the connector's own settings. A flag
// that is in no group has no use here and is not shown.
var helpGroups = []struct {
	title string
	flags []flagHelp
}{
	{"Sync", []flagHelp{
		{"file", "Write the sync to this file."},
		{outputFlag, "Print the summary as text or json."},
		{changesFlag, "Write each change since the last sync to this CSV file."},
		{acceptEmptyFlag, "Replace a file that holds users or memberships even if the new sync has none."},
		{"sync-resource-types", "Sync only users (user), or users and groups (user,group)."},
		{"sync-resources", "Sync only these groups: bid:r:group/ID, separated by commas."},
		{"skip-entitlements-and-grants", "Sync users and groups without memberships."},
		{"skip-grants", "With --sync-resources: sync the groups without memberships."},
		{"workers", "Make this many calls at a time; -1 for one per core."},
		{"http-timeout-seconds", "Give up on a request after this many seconds, 1 to 1800."},
		{"storage-engine", "Store the sync with this engine: pebble or sqlite."},
		{"c1z-temp-dir", "Keep temporary files in this directory; BATON_TMPDIR does the same."},
		{"external-resource-c1z", "Match members with the users of this c1z of another connector."},
		{"external-resource-entitlement-id-filter", "Match only users of that c1z who have this entitlement."},
		{"external-resource-traits", "Match these traits of that c1z, such as user, group, app."},
	}},
	{"Service under C1", []flagHelp{
		{"client-id", "Run as a service for C1, with this client ID. Without it, sync once."},
		{"client-secret", "The client secret that C1 shows with the client ID."},
		{"skip-full-sync", "Run C1's other tasks, but no full syncs."},
		{"task-concurrency", "Run this many of C1's tasks at a time, 1 to 100."},
		{"health-check", "Serve /health, /ready and /live."},
		{"health-check-port", "Serve the health check on this port."},
		{"health-check-bind-address", "Serve the health check on this address."},
	}},
	{"Logging", []flagHelp{
		{"log-level", "Log at this level: debug, info, warn or error. On a terminal a one-shot sync logs only if you give a level."},
		{"log-format", "Log as json or console."},
		{"log-path", "Write the log to these files instead of stderr."},
		{"log-level-debug-expires-at", "Stop logging at level debug at this time (RFC 3339)."},
		{"log-event-log", "Write the log to the Windows event log."},
	}},
	{"Telemetry", []flagHelp{
		{"otel-collector-endpoint", "Send traces and logs to this OpenTelemetry collector."},
		{"otel-collector-endpoint-tls-cert-path", "Trust the certificate in this file for the collector."},
		{"otel-collector-endpoint-tls-cert", "Trust this certificate, in PEM, for the collector."},
		{"otel-collector-endpoint-tls-insecure", "Reach the collector without TLS."},
		{"otel-tracing-disabled", "Send no traces."},
		{"otel-logging-disabled", "Send no logs."},
	}},
}

// trueDefaults are the defaults that the SDK's flags state wrongly or not at all.
var trueDefaults = map[string]string{
	"workers":              fmt.Sprint(defaultWorkers),
	"http-timeout-seconds": "60",
	"log-format":           "console on a terminal, else json",
	"storage-engine":       "pebble",
	"c1z-temp-dir":         "the system's directory",
}

// describe sets the help of the root command and of check.
func (p *program[T]) describe(root, check *cobra.Command) {
	root.Short = p.info.Description
	sdkHelp := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		switch cmd {
		case root:
			io.WriteString(cmd.OutOrStdout(), p.rootHelp(root)) //nolint:errcheck // there is nowhere to report an error
		case check:
			io.WriteString(cmd.OutOrStdout(), p.checkHelp(root, check)) //nolint:errcheck // there is nowhere to report an error
		default:
			// The persistent flags have no effect on the other commands.
			root.PersistentFlags().VisitAll(func(flag *pflag.Flag) { flag.Hidden = true })
			sdkHelp(cmd, args)
		}
	})
}

func (p *program[T]) rootHelp(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", p.info.Description)
	for _, line := range [][2]string{
		{"[flags]", "Sync once into a file"},
		{"check [flags]", "Check the settings and the credential; write nothing"},
		{"--client-id ID [flags]", "Run as a service for C1"},
	} {
		fmt.Fprintf(&b, "  %s %-24s %s\n", p.info.Name, line[0], line[1])
	}
	fmt.Fprintf(&b, "\nExample:\n")
	for _, f := range p.schema.Fields {
		if !f.Required {
			continue
		}
		value := f.ConnectorConfig.Placeholder
		if f.Secret || value == "" || strings.Contains(value, " ") {
			value = "'...'"
		}
		fmt.Fprintf(&b, "  export %s=%s\n", setting(f.FieldName).Env(), value)
	}
	fmt.Fprintf(&b, "  %s check\n  %s --file %s.c1z\n", p.info.Name, p.info.Name, strings.TrimPrefix(p.info.Name, "baton-"))
	fmt.Fprintf(&b, "\nCommands:\n")
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-14s %s\n", cmd.Name(), cmd.Short)
		}
	}
	b.WriteString(p.groupHelp(root.Flags(), "Settings of "+p.info.DisplayName, p.ownHelp()))
	for _, group := range helpGroups {
		b.WriteString(p.groupHelp(root.Flags(), group.title, group.flags))
	}
	fmt.Fprintf(&b, "\nFlags override environment variables, and variables override the configuration file: .baton.yaml\nin this directory, or the file that %s names.\n", configPathEnv)
	return b.String()
}

func (p *program[T]) checkHelp(root, check *cobra.Command) string {
	return fmt.Sprintf("%s\n\nUsage:\n  %s check [flags]\n%s%s", check.Long, p.info.Name,
		p.groupHelp(root.Flags(), "Settings of "+p.info.DisplayName, p.ownHelp()),
		p.groupHelp(root.Flags(), "Output", []flagHelp{{outputFlag, "Print the result as text or json."}}))
}

// ownHelp describes the connector's own settings.
func (p *program[T]) ownHelp() []flagHelp {
	var own []flagHelp
	for _, f := range p.schema.Fields {
		text := f.Description
		if f.Required {
			text += " Required."
		}
		own = append(own, flagHelp{f.FieldName, text})
	}
	return own
}

// groupHelp describes a group of flags: each with its environment variable, its
// effect and its default.
func (p *program[T]) groupHelp(all *pflag.FlagSet, title string, group []flagHelp) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s:\n", title)
	for _, entry := range group {
		flag := all.Lookup(entry.name)
		if flag == nil {
			continue // a flag of another system
		}
		short := "    "
		if flag.Shorthand != "" {
			short = "-" + flag.Shorthand + ", "
		}
		kind := map[string]string{"string": " text", "int": " number", "stringSlice": " list"}[flag.Value.Type()]
		head, variable := fmt.Sprintf("  %s--%s%s", short, flag.Name, kind), "  ($"+setting(flag.Name).Env()+")"
		if len(head)+len(variable) > helpWidth {
			head += "\n       "
		}
		b.WriteString(head + variable + "\n")
		value := flag.DefValue
		if own, ok := trueDefaults[flag.Name]; ok {
			value = own
		}
		text := entry.text
		if value != "" && value != "false" && value != "[]" {
			text += " Default: " + value + "."
		}
		b.WriteString(wrap(text, "          ", helpWidth))
	}
	return b.String()
}

// wrap breaks a text into lines of at most width columns that start with
// indent.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	line := indent
	for _, word := range strings.Fields(text) {
		switch {
		case line == indent:
			line += word
		case len(line)+1+len(word) > width:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
	return b.String()
}
