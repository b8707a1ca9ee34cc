package docs

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/conductorone/baton-sdk/pkg/field"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// schema holds the settings, flags and commands of a connector.
type schema struct {
	name string
	// own are the connector's own settings; the others are the SDK's.
	own []field.SchemaField
	// flags are all flags, with their dashes, and commands its subcommands.
	flags, commands map[string]bool
	// defaults are the defaults in the help.
	defaults map[string]string
}

// takes reports whether the connector reads an environment variable.
func (s *schema) takes(variable string) bool {
	return slices.Contains(environment, variable) ||
		s.flags["--"+strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, "BATON_")), "_", "-")]
}

var (
	envName  = regexp.MustCompile(`\bBATON_[A-Z0-9_]+`)
	flagName = regexp.MustCompile("(?:^|[\\s`(\"'])(--[a-z][a-z0-9-]+)")
	helpFlag = regexp.MustCompile(`(?m)^ +(?:(-[a-z]), )?(--[a-z0-9-]+)(?:[^\n]*\n(?: {8,}[^\n]*\n)*? {8,}[^\n]*Default: ([^\n]*)\.$)?`)
	helpVerb = regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}[A-Z]`)
)

// unusable are the SDK's flags that --help omits.
var unusable = []string{"provisioning", "ticketing", "keep-previous-sync-c1z", "parallel-sync", "auth-method"}

// environment lists variables that are read but are not flags, with their
// source.
var environment = []string{
	"BATON_CONFIG_PATH", "BATON_HOST_ID", "BATON_TMPDIR", // the SDK
	"BATON_DEBUG_PRINT_RESPONSE_BODY", // the SDK
}

// connectors returns each connector's schema: everything in its help, and the
// settings that its schema and the SDK's keep out of the help.
func connectors(t *testing.T) map[string]*schema {
	t.Helper()
	out := map[string]*schema{}
	for _, name := range fixture.Connectors(t) {
		s := &schema{name: name, own: fixture.Settings(name), flags: map[string]bool{}, commands: map[string]bool{}, defaults: map[string]string{}}
		out[name] = s
		for _, args := range [][]string{{"--help"}, {"health-check", "--help"}} {
			help, err := exec.Command(fixture.Binary(t, name), args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %v: %v", name, args, err)
			}
			for _, m := range helpFlag.FindAllStringSubmatch(string(help), -1) {
				s.flags[m[2]] = true
				if m[1] != "" {
					s.flags[m[1]] = true
				}
				if m[3] != "" {
					s.defaults[m[2]] = m[3]
				}
			}
			for _, m := range helpVerb.FindAllStringSubmatch(string(help), -1) {
				s.commands[m[1]] = true
			}
		}
		for _, f := range slices.Concat(s.own, field.DefaultFields) {
			switch {
			case f.SyncerConfig.Hidden:
				s.flags["--"+f.FieldName] = true
			case slices.Contains(unusable, f.FieldName):
				if s.flags["--"+f.FieldName] {
					t.Errorf("%s --help shows --%s, which is of no use", name, f.FieldName)
				}
			case !s.flags["--"+f.FieldName]:
				t.Errorf("%s --help does not show --%s", name, f.FieldName)
			}
		}
		if len(s.flags) < 40 || len(s.commands) < 3 {
			t.Fatalf("%s: found only %d flags and the commands %v", name, len(s.flags), s.commands)
		}
	}
	return out
}
