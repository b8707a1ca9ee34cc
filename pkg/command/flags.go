package command

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/conductorone/baton-sdk/pkg/field"
	"github.com/conductorone/baton-sdk/pkg/logging"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/conductorone/baton-connectors/pkg/rest"
)

// The flags of this package.
const (
	outputFlag      = "output-format"
	changesFlag     = "changes"
	acceptEmptyFlag = "accept-empty"
)

// outageFlag is a setting of every connector: the time for which its vendor may
// be out of reach.
const outageFlag = "outage-minutes"

// setting is the name of a flag and of its environment variable in messages.
func setting(name string) rest.Setting { return rest.Setting(name) }

// flags are the flags of the root command.
type flags struct {
	set *pflag.FlagSet
	// own are the names of the connector's settings.
	own []string
}

// defineFlags adds this package's flags to the SDK's.
func defineFlags(cmd *cobra.Command, schema field.Configuration) *flags {
	persistent := cmd.PersistentFlags()
	persistent.String(outputFlag, "text", "Print the summary as text or json")
	persistent.String(changesFlag, "", "Write each change since the last sync to this CSV file")
	persistent.Bool(acceptEmptyFlag, false, "Replace a file that holds users or memberships even if the new sync has none")
	f := &flags{set: cmd.Flags()}
	f.set.AddFlagSet(persistent)
	for _, own := range schema.Fields {
		f.own = append(f.own, own.FieldName)
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return f.explain(err) })
	return f
}

// explain adds a suggestion to cobra's error about an unknown flag.
func (f *flags) explain(err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	if right := f.nearest(name); right != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, right)
	}
	return fmt.Errorf("%w; --help lists the flags", err)
}

func (f *flags) known(name string) bool { return f.set.Lookup(name) != nil }

// nearest returns the setting that a misspelt name most likely means, or "".
func (f *flags) nearest(name string) string {
	kebab := strings.NewReplacer("_", "-", " ", "-", ".", "-").Replace(strings.ToLower(name))
	for _, candidate := range []string{kebab, strings.TrimPrefix(kebab, "baton-")} {
		if f.known(candidate) {
			return candidate
		}
	}
	best, bestDistance := "", slips(kebab)+1
	f.set.VisitAll(func(flag *pflag.Flag) {
		d := levenshtein.Distance(strings.ReplaceAll(kebab, "-", ""), strings.ReplaceAll(flag.Name, "-", ""), nil)
		if d < bestDistance || d == bestDistance && best != "" && slices.Contains(f.own, flag.Name) {
			best, bestDistance = flag.Name, d
		}
	})
	return best
}

// slips returns how many letters of a name may be wrong: two, as when two
// letters are swapped, but one in a short name.
func slips(name string) int {
	if len(name) < 6 {
		return 1
	}
	return 2
}

// given reports whether the user gave a setting: as a flag, as a variable or in
// the configuration file.
func (p *program[T]) given(name string) bool {
	return p.flags.set.Changed(name) || os.Getenv(setting(name).Env()) != "" || p.v.InConfig(name)
}

// quiet reports whether stderr shows no log: on a terminal, without --log-level.
func (p *program[T]) quiet() bool { return isTerminal(os.Stderr) && !p.given("log-level") }

// refused are the SDK's flags for actions other than a sync.
var refused = []string{
	"provisioning", "grant-entitlement", "grant-principal", "grant-principal-type", "revoke-grant",
	"create-account-email", "create-account-login", "create-account-profile", "create-account-resource-type",
	"delete-resource", "delete-resource-type", "rotate-credentials", "rotate-credentials-type",
	"invoke-action", "invoke-action-args", "invoke-action-resource-type",
	"list-action-schemas", "list-action-schemas-resource-type", "list-resource-actions",
	"invoke-resource-action", "invoke-resource-action-args", "invoke-resource-action-resource-type",
	"event-feed", "event-feed-id", "event-feed-start-at", "event-feed-cursor",
	"ticketing", "create-ticket", "bulk-create-ticket", "bulk-ticket-template-path",
	"get-ticket", "ticket-id", "ticket-template-path", "list-ticket-schemas",
	"compact-syncs", "compact-file-paths", "compact-output-path", "compact-sync-ids",
}

// checkSettings fails with exit code 2 if a setting is missing, unknown or
// impossible.
func (p *program[T]) checkSettings() error {
	if err := p.v.BindPFlags(p.flags.set); err != nil {
		return err
	}
	if err := checkConfigFile(os.Getenv(configPathEnv), p.v.ConfigFileUsed(), p.flags); err != nil {
		return err
	}
	if err := p.checkEnvironment(os.Environ()); err != nil {
		return err
	}
	for name, values := range map[string][]string{
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {logging.LogFormatJSON, logging.LogFormatConsole},
		outputFlag:   {"text", "json"},
	} {
		if value := p.v.GetString(name); value != "" && !slices.Contains(values, value) {
			return fmt.Errorf("%s: %q is not one of %s", setting(name), value, strings.Join(values, ", "))
		}
	}
	if err := p.checkRequired(); err != nil {
		return err
	}
	if !p.isOneShot() {
		return nil
	}
	for _, name := range refused {
		flag := p.flags.set.Lookup(name)
		if flag == nil || !p.given(name) || flag.Value.Type() == "bool" && !p.v.GetBool(name) {
			continue
		}
		return fmt.Errorf("%s: this connector only reads users, groups and memberships; leave the setting out", setting(name))
	}
	if file := p.v.GetString("file"); strings.Contains(file, "://") {
		return fmt.Errorf("%s: %q is not a local path; the SDK no longer writes to S3: name a local file and copy it", setting("file"), file)
	}
	if syncsGroups(p.v.GetStringSlice("sync-resource-types")) && !syncsUsers(p.v.GetStringSlice("sync-resource-types")) {
		return fmt.Errorf("%s: without users the SDK drops all memberships; add user", setting("sync-resource-types"))
	}
	return nil
}

// syncsUsers and syncsGroups report whether a sync of these resource types reads
// users or groups. No types stand for all types.
func syncsUsers(types []string) bool  { return len(types) == 0 || slices.Contains(types, "user") }
func syncsGroups(types []string) bool { return len(types) == 0 || slices.Contains(types, "group") }

// checkRequired fails if required settings are missing, and names the variables
// too; cobra would name only the flags.
func (p *program[T]) checkRequired() error {
	var missing []string
	for _, f := range p.schema.Fields {
		if f.Required && p.v.GetString(f.FieldName) == "" {
			missing = append(missing, setting(f.FieldName).String())
		}
	}
	switch last := len(missing) - 1; last {
	case -1:
		return nil
	case 0:
		return fmt.Errorf("%s is required", missing[0])
	default:
		return fmt.Errorf("%s and %s are required", strings.Join(missing[:last], ", "), missing[last])
	}
}

// checkEnvironment fails if the name of a BATON_ variable looks like a misspelt
// setting, and that setting is not given.
func (p *program[T]) checkEnvironment(environ []string) error {
	set := map[string]bool{}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		set[name] = true
	}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		suffix, ours := strings.CutPrefix(name, "BATON_")
		if !ours || slices.Contains(otherVariables, name) || p.flags.known(strings.ToLower(strings.ReplaceAll(suffix, "_", "-"))) {
			continue
		}
		if right := p.flags.nearest(suffix); right != "" && !set[setting(right).Env()] {
			return fmt.Errorf("the environment variable %s is not a setting; did you mean %s?", name, setting(right).Env())
		}
	}
	return nil
}

// otherVariables are read by the SDK and have no flag.
var otherVariables = []string{
	configPathEnv, "BATON_TMPDIR", "BATON_HOST_ID", "BATON_C1_API_HOST", "BATON_GET_TASKS",
	"BATON_DISABLE_HTTP_CACHE", "BATON_HTTP_CACHE_TTL", "BATON_HTTP_CACHE_MAX_SIZE", "BATON_HTTP_CACHE_BACKEND",
	"BATON_DEBUG_PRINT_RESPONSE_BODY", "BATON_C1Z_FINALIZE_TIMEOUT",
}
