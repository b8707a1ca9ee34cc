package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The SDK silently ignores each of these files and then asks for settings that
// the file holds.
func TestAFaultyConfigurationFileIsNamed(t *testing.T) {
	t.Parallel()
	const secret = "s3cret-of-the-file"
	for _, row := range []struct {
		name, file, text string
		says             []string
	}{
		{"missing", "absent.yaml", "", []string{"BATON_CONFIG_PATH", "absent.yaml: no such file"}},
		{"wrong extension", "settings.txt", "a", []string{"BATON_CONFIG_PATH", "settings.txt must end in .yaml or .yml"}},
		{"directory", "dir.yaml/", "", []string{"BATON_CONFIG_PATH", "dir.yaml is a directory"}},
		{"tab", "c.yaml", "api-token: x\n\tbase-url: " + secret, []string{"c.yaml is not YAML: line 2: found a tab character"}},
		{"unclosed", "c.yml", "api-token: '" + secret, []string{"c.yml is not YAML: "}},
		{"no settings", "c.yaml", secret, []string{"c.yaml has no settings"}},
		{"list", "c.yaml", "- api-token: " + secret, []string{"c.yaml has no settings"}},
		{"snake case", "c.yaml", "# note\napi_token: " + secret, []string{"c.yaml line 2: api_token is not a setting; write api-token"}},
		{"environment's name", "c.yaml", "BATON_API_TOKEN: " + secret, []string{"line 1: BATON_API_TOKEN is not a setting; write api-token"}},
		{"slip of the pen", "c.yaml", "api-tokne: " + secret, []string{"api-tokne is not a setting; write api-token"}},
		{"the SDK's flag", "c.yaml", "log_level: debug", []string{"log_level is not a setting; write log-level"}},
		{"nothing like it", "c.yaml", "favourite-colour: blue", []string{"line 1: favourite-colour is not a setting"}},
		{"twice", "c.yaml", "api-token: a\napi-token: " + secret, []string{"line 2: api-token is already set in line 1"}},
		{"twice in another case", "c.yaml", "api-token: a\nAPI-Token: " + secret, []string{"line 2: API-Token is already set in line 1"}},
		{"required setting missing", "c.yaml", "base-url: http://127.0.0.1:1", []string{"--api-token (BATON_API_TOKEN) is required"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			run := invoke(t, nil)
			path := filepath.Join(run.dir, row.file)
			switch {
			case strings.HasSuffix(row.file, "/"):
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			case row.text != "":
				write(t, path, row.text)
			}
			run.env("BATON_CONFIG_PATH=" + strings.TrimSuffix(path, "/")).exits(2).says(row.says...)
			if strings.Contains(run.stderr.String(), secret) {
				t.Errorf("a value of the file shows: %s", run.stderr.String())
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheFileOfTheWorkingDirectoryIsCheckedToo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{".baton.yaml", ".baton.yml"} {
		run := invoke(t, nil)
		write(t, filepath.Join(run.dir, name), "api_token: x\n")
		run.exits(2).says(name + " line 1: api_token is not a setting; write api-token")
	}
}

func TestAFileThatWouldBeReadInsteadIsNamed(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, v)
	write(t, filepath.Join(run.dir, "c.json"), "{}")
	write(t, filepath.Join(run.dir, "c.yaml"), "base-url: "+v.URL+"\n")
	run.env("BATON_CONFIG_PATH=" + filepath.Join(run.dir, "c.yaml")).exits(2).says("c.json exists too, and would be read instead of ")
}

func TestAGoodConfigurationFileIsUsed(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	run := invoke(t, nil)
	path := filepath.Join(run.dir, "c.yaml")
	write(t, path, "# settings\nbase-url: "+v.URL+"\nAPI-Token: secret-token\nsync-resource-types:\n  - user\n")
	run.env("BATON_CONFIG_PATH=" + path).exits(0)
	empty := invoke(t, v)
	path = filepath.Join(empty.dir, "c.yml")
	write(t, path, "# nothing yet\n")
	empty.env("BATON_CONFIG_PATH=" + path).exits(0)
}

// A program that parses the output of these commands must not meet our checks
// there.
func TestOtherCommandsAskForNoSettings(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--help", "--version", "capabilities", "config", "completion bash", "help"} {
		run := invoke(t, nil, strings.Fields(args)...)
		write(t, filepath.Join(run.dir, ".baton.yaml"), "api_token: x\n")
		run.exits(0)
		if run.stdout.Len() == 0 || run.stderr.Len() != 0 {
			t.Errorf("%s: %d bytes on stdout, and on stderr %q", args, run.stdout.Len(), run.stderr.String())
		}
		run.leaves(".baton.yaml")
	}
}

func TestMissingSettingsAreNamedByFlagAndEnvironment(t *testing.T) {
	t.Parallel()
	invoke(t, nil).exits(2).says("baton-test: --base-url (BATON_BASE_URL) and --api-token (BATON_API_TOKEN) are required")
	invoke(t, nil).env("BATON_BASE_URL=http://127.0.0.1:1", "BATON_API_TOKEN=").exits(2).says("baton-test: --api-token (BATON_API_TOKEN) is required")
	invoke(t, nil, "--api-token", "").env("BATON_BASE_URL=http://127.0.0.1:1").exits(2).says("baton-test: --api-token (BATON_API_TOKEN) is required")
	// A daemon needs them as much.
	invoke(t, nil, "--client-id", "a@127.0.0.1:1/b", "--client-secret", "c").exits(2).says("are required")
	invoke(t, nil).env("BATON_BASE_URL=http://example.com", "BATON_API_TOKEN=secret-token").exits(2).says("--base-url (BATON_BASE_URL) uses http")
}

func TestAWrongCommandLineIsOneLine(t *testing.T) {
	t.Parallel()
	invoke(t, nil, "frobnicate").exits(2).says(`unknown command "frobnicate"`)
	invoke(t, nil, "--frobnicate").exits(2).says("unknown flag: --frobnicate; --help lists the flags")
	invoke(t, newVendor(t), "--workers", "many").exits(2).says(`invalid argument "many" for "--workers"`)
	invoke(t, newVendor(t), "--http-timeout-seconds", "0").exits(2).says("http-timeout-seconds")
}
