package command

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/conductorone/baton-sdk/pkg/cli"
	sdkconfig "github.com/conductorone/baton-sdk/pkg/config"
	"github.com/conductorone/baton-sdk/pkg/types"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// A misspelt setting, or a value that makes no sense, must not be ignored: the
// sync would not do what the user asked for.
func TestASettingThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	for _, row := range []struct {
		args, env string
		says      []string
	}{
		{"--fil x", "", []string{"unknown flag: --fil; did you mean --file?"}},
		{"--api_token x", "", []string{"unknown flag: --api_token; did you mean --api-token?"}},
		{"--frobnicate", "", []string{"unknown flag: --frobnicate; --help lists the flags"}},
		{"--file s3://bucket/key", "", []string{"--file (BATON_FILE)", "no longer writes to S3"}},
		{"--sync-resources group:7", "", []string{"--sync-resources (BATON_SYNC_RESOURCES)", "write bid:r:group/ID"}},
		{"--sync-resource-types group", "", []string{"--sync-resource-types (BATON_SYNC_RESOURCE_TYPES)", "add user"}},
		{"--log-level verbose", "", []string{`"verbose" is not one of debug, info, warn, error`}},
		{"--log-format xml", "", []string{`"xml" is not one of json, console`}},
		{"--output-format yaml", "", []string{`"yaml" is not one of text, json`}},
		{"--sync-resources bid:r:user/ann", "", []string{"--sync-resources (BATON_SYNC_RESOURCES)", "names a user", "only groups can be synced alone"}},
		{"--skip-grants", "", []string{"works only with --sync-resources"}},
		{"--storage-engine x", "", []string{`"x" is not a storage engine`}},
		{"--http-timeout-seconds 0", "", []string{"must be between 1 and 1800"}},
		{"--external-resource-traits robot", "", []string{`"robot" is not a trait`}},
		{"--external-resource-c1z absent.c1z", "", []string{"--external-resource-c1z (BATON_EXTERNAL_RESOURCE_C1Z)", "absent.c1z"}},
		{"-p", "", []string{"--provisioning (BATON_PROVISIONING): this connector only reads"}},
		{"--grant-entitlement x", "", []string{"this connector only reads"}},
		{"--delete-resource x", "", []string{"this connector only reads"}},
		{"--rotate-credentials x", "", []string{"this connector only reads"}},
		{"--create-ticket", "", []string{"this connector only reads"}},
		{"--compact-syncs", "", []string{"this connector only reads"}},
		{"--revoke-grant x", "", []string{"--revoke-grant (BATON_REVOKE_GRANT): this connector only reads"}},
		{"--create-account-login x", "", []string{"--create-account-login (BATON_CREATE_ACCOUNT_LOGIN): this connector only reads"}},
		{"--invoke-action x", "", []string{"this connector only reads"}},
		{"--event-feed x", "", []string{"this connector only reads"}},
		{"--list-ticket-schemas", "", []string{"this connector only reads"}},
		{"", "BATON_TICKETING=true", []string{"--ticketing (BATON_TICKETING): this connector only reads"}},
		{"", "BATON_WORKRES=2", []string{"BATON_WORKRES is not a setting; did you mean BATON_WORKERS?"}},
		{"", "BATON_API_TOKEN=Bearer abc", []string{"--api-token (BATON_API_TOKEN) starts with Bearer; leave that word out"}},
	} {
		t.Run(row.args+row.env, func(t *testing.T) {
			t.Parallel()
			run := invoke(t, v, strings.Fields(row.args)...)
			if row.env != "" {
				run.env(row.env)
			}
			run.exits(2).says(row.says...).leaves()
		})
	}
	if asked := v.asked(); len(asked) > 0 {
		t.Errorf("the vendor was asked for %v", asked)
	}
}

// A run would silently ignore a flag that it does not refuse and the help does
// not show. New versions of the SDK add flags.
func TestEveryFlagIsShownOrRefused(t *testing.T) {
	t.Parallel()
	unused := func(context.Context, *viper.Viper, cli.RunTimeOpts) (types.ConnectorServer, error) {
		return nil, errors.New("not called")
	}
	_, cmd, err := sdkconfig.DefineConfigurationV2(t.Context(), "baton-test", unused, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	f := defineFlags(cmd, testSchema)
	// These four change nothing in a sync of this connector.
	told := append([]string{"auth-method", "keep-previous-sync-c1z", "parallel-sync", "session-store-maximum-size"}, f.own...)
	for _, group := range helpGroups {
		for _, flag := range group.flags {
			told = append(told, flag.name)
		}
	}
	f.set.VisitAll(func(flag *pflag.Flag) {
		if slices.Contains(told, flag.Name) == slices.Contains(refused, flag.Name) {
			t.Errorf("--%s (%s): show it in the help or refuse it, and not both", flag.Name, flag.Usage)
		}
	})
}

// Variables for other programs, and switches that are off, do no harm.
func TestOtherVariablesAreIgnored(t *testing.T) {
	t.Parallel()
	invoke(t, newVendor(t)).env("BATON_SOMETHING_ELSE=1", "BATON_PROVISIONING=false", "BATON_HOST_ID=h", "BATON_GURU_SERVICE_HOST=10.0.0.1").exits(0)
}

// If a misspelt name may mean two settings, suggest the connector's own, which
// users set more often.
func TestAHintNamesTheConnectorsOwnSetting(t *testing.T) {
	t.Parallel()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, name := range []string{"api-taken", "api-token", "api-tokin", "file"} {
		set.String(name, "", "")
	}
	f := &flags{set: set, own: []string{"api-token"}}
	if got := f.nearest("API_TOKXN"); got != "api-token" {
		t.Errorf("API_TOKXN is taken for %q", got)
	}
	if got := f.nearest("api-tukxn"); got != "api-token" {
		t.Errorf("api-tukxn is taken for %q", got)
	}
	for _, name := range []string{"nothing-like-it", "fxxe"} { // half of a short name is no slip
		if got := f.nearest(name); got != "" {
			t.Errorf("%s is taken for %q", name, got)
		}
	}
}

// Help must fit the screen, name the true defaults and hide what cannot be
// used.
func TestHelpIsForPeople(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"check", "--help"}, {"capabilities", "--help"}, {"health-check", "--help"}} {
		run := invoke(t, nil, args...).exits(0)
		text := run.stdout.String()
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > helpWidth {
				t.Errorf("%v: a line is too long: %s", args, line)
			}
		}
		for _, hidden := range []string{"provisioning", "grant-entitlement", "ticket", "keep-previous-sync-c1z", "auth-method"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%v: the help names %s", args, hidden)
			}
		}
		if args[0] != "--help" {
			continue
		}
		for _, part := range []string{
			"A test.\n", "export BATON_BASE_URL=", "($BATON_API_TOKEN)", "Default: 60.", "Default: 4.", "Settings of Test:", "baton-test check",
		} {
			if !strings.Contains(text, part) {
				t.Errorf("the help lacks %q:\n%s", part, text)
			}
		}
	}
}

// Settings can be checked before a sync, without leaving anything.
func TestCheckSaysWhatItSaw(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v, "check").exits(0)
	for _, part := range []string{
		"baton-test: the settings and the credential work\n", "  token of      ann@example.com\n", "  users         25 in all\n", "  groups        3 in all\n",
		`  memberships   0, in the group "0"`, "Nothing was written.",
	} {
		if !strings.Contains(run.stdout.String(), part) {
			t.Errorf("it lacks %q:\n%s", part, run.stdout.String())
		}
	}
	run.leaves()
	for path, says := range map[string]string{
		"/check": "check the credentials: GET ", "/users": "list users: GET ", "/groups": "list groups: GET ",
		"/groups/0/members": "list the members of a group: GET ", "/owner": "describe the credential: GET ",
	} {
		v.at(path, fail(403))
		run.again().exits(7).says(says)
	}
	v.at("/groups", fail(403))
	run.again().env("BATON_SYNC_RESOURCE_TYPES=user").exits(0)
	if said := run.again().env("BATON_OUTPUT_FORMAT=json").exits(7).failure(); said.Error.Code != 7 {
		t.Errorf("it says %+v", said)
	}
}

// Each flag of a one-shot reaches the SDK's syncer.
func TestTheSDKsFlagsAreHonoured(t *testing.T) {
	t.Parallel()
	whole := counts{Users: 25, Enabled: 20, Disabled: 5, Service: 1, Groups: 3, Memberships: 30}
	users := counts{Users: 25, Enabled: 20, Disabled: 5, Service: 1}
	groups := users
	groups.Groups = 3
	for _, row := range []struct {
		args string
		want counts
		log  string
	}{
		{"--sync-resource-types user", users, ""},
		{"--sync-resource-types user,group", whole, ""},
		{"--skip-entitlements-and-grants", groups, ""},
		{"--sync-resources bid:r:group/2", counts{Groups: 1, Memberships: 20}, ""},
		{"--sync-resources bid:r:group/2 --skip-grants", counts{Groups: 1}, ""},
		{"--workers 1", whole, `"worker_count":1`},
		{"--workers 3", whole, `"worker_count":3`},
		{"", whole, `"worker_count":4`},
		{"--storage-engine sqlite", whole, ""},
		{"--log-level error", whole, ""},
		{"--log-format console", whole, "\tSync complete.\t"},
	} {
		t.Run(row.args, func(t *testing.T) {
			t.Parallel()
			run := invoke(t, newVendor(t), strings.Fields(row.args)...).env("BATON_OUTPUT_FORMAT=json")
			if strings.Contains(row.args, "console") {
				run.env("BATON_LOG_FORMAT=console")
			}
			run.exits(0)
			if got := run.summary().Counts; got != row.want {
				t.Errorf("the sync holds %+v, want %+v", got, row.want)
			}
			if !strings.Contains(run.stderr.String(), row.log) {
				t.Errorf("the log lacks %q:\n%s", row.log, run.stderr.String())
			}
		})
	}
	tmp := t.TempDir()
	run := invoke(t, newVendor(t), "--log-path", filepath.Join(tmp, "log"), "--c1z-temp-dir", tmp).exits(0)
	if run.stderr.Len() > 0 {
		t.Errorf("with --log-path, stderr holds %s", run.stderr.String())
	}
	run.leaves("sync.c1z")
}
