package docs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// The release must build what is tested: the same flags, and a binary for every
// documented platform.
func TestReleaseBuildsEveryPlatform(t *testing.T) {
	t.Parallel()
	var config struct {
		Builds []struct {
			ID, Main, Binary          string
			Env, Flags, Ldflags, Tags []string
			Goos, Goarch              []string
		}
	}
	if err := yaml.Unmarshal([]byte(repoFile(t, ".goreleaser.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, connector := range fixture.Connectors(t) {
		want[connector], want[connector+"-lambda"] = []string{"linux", "darwin", "windows"}, []string{"linux"}
	}
	got := map[string][]string{}
	for _, build := range config.Builds {
		got[build.ID] = build.Goos
		name, lambda := strings.CutSuffix(build.ID, "-lambda")
		if build.Binary != name || build.Main != "./cmd/"+name {
			t.Errorf("%s builds %s from %s", build.ID, build.Binary, build.Main)
		}
		if slices.Contains(build.Tags, "baton_lambda_support") != lambda {
			t.Errorf("%s has the tags %q", build.ID, build.Tags)
		}
		if !slices.Equal(build.Goarch, []string{"amd64", "arm64"}) {
			t.Errorf("%s is built for %q", build.ID, build.Goarch)
		}
		flags := strings.Join(slices.Concat(build.Env, build.Flags, build.Ldflags), " ")
		if flags != "CGO_ENABLED=0 -trimpath -s -w -X main.version={{ .Version }}" {
			t.Errorf("%s is built with %s", build.ID, flags)
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("builds %q, want %q", got, want)
	}
	if makefile := repoFile(t, "Makefile"); !strings.Contains(makefile, "CGO_ENABLED=0 go build -trimpath $(if $(TAGS),-tags $(TAGS)) -ldflags '-s -w -X main.version=$(VERSION)'") {
		t.Error("the Makefile builds with other flags than a release")
	}
}

// Many linked packages contain third-party code, in directories with their own
// licences.
func TestLicencesOfAllThatIsLinkedInAreShipped(t *testing.T) {
	t.Parallel()
	output := func(name string, args ...string) []byte {
		t.Helper()
		run := exec.CommandContext(t.Context(), name, args...)
		run.Dir = repository
		var stderr bytes.Buffer
		run.Stderr = &stderr
		out, err := run.Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.String())
		}
		return out
	}
	shipped := output("sh", "scripts/licenses.sh")
	for _, file := range []struct{ module, name string }{
		{"github.com/conductorone/baton-sdk", "LICENSE"},
		{"github.com/conductorone/baton-sdk", "NOTICE"},
		{"github.com/cockroachdb/pebble/v2", "LICENSE"},
		{"github.com/cockroachdb/pebble/v2", "internal/cache/LICENSE"},
		{"github.com/cockroachdb/pebble/v2", "internal/arenaskl/LICENSE"},
		{"github.com/klauspost/compress", "s2/LICENSE"},
		{"github.com/klauspost/compress", "internal/snapref/LICENSE"},
		{"github.com/klauspost/compress", "zstd/internal/xxhash/LICENSE.txt"},
		{"github.com/go-jose/go-jose/v4", "json/LICENSE"},
		{"modernc.org/sqlite", "SQLITE-LICENSE"},
	} {
		module := strings.Fields(string(output("go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", file.module)))
		text, err := os.ReadFile(filepath.Join(module[1], file.name))
		if err != nil {
			t.Fatal(err)
		}
		head := fmt.Sprintf("\n%s %s: %s\n\n", file.module, module[0], file.name)
		if _, after, found := bytes.Cut(shipped, []byte(head)); !found || !bytes.HasPrefix(after, text) {
			t.Errorf("%s of %s is not there", file.name, file.module)
		}
	}
	var heads []string
	for _, match := range regexp.MustCompile(`(?m)^={80}\n(\S+ v\S+: \S+)$`).FindAllSubmatch(shipped, -1) {
		heads = append(heads, string(match[1]))
	}
	if !slices.IsSorted(heads) || len(slices.Compact(slices.Clone(heads))) != len(heads) || len(heads) < 100 {
		t.Errorf("the order is left to chance, or a file is there twice: %q", heads)
	}
}

// The live workflow also runs in forks, which have no secrets.
func TestWithoutSecretsTheLiveSyncSaysThatItIsSkipped(t *testing.T) {
	t.Parallel()
	type live struct {
		connector string
		env       []string
		code      int
		says      string
	}
	tests := []live{{"baton-other", nil, 2, "live: there is no connector baton-other\n"}}
	for connector, s := range connectors(t) {
		var given []string
		for _, name := range s.settings() {
			says := "live: " + connector + " was NOT run: " + name + " is not set\n"
			tests = append(tests, live{connector, slices.Clone(given), 0, says}, live{connector, append(slices.Clone(given), name+"="), 0, says})
			given = append(given, name+"=x")
		}
	}
	for _, test := range tests {
		run := exec.CommandContext(t.Context(), "sh", "scripts/live.sh", test.connector)
		run.Dir, run.Env = repository, append([]string{"PATH=" + os.Getenv("PATH")}, test.env...)
		out, err := run.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if code := run.ProcessState.ExitCode(); code != test.code || string(out) != test.says {
			t.Errorf("%s with %q: exit code %d and %q", test.connector, test.env, code, out)
		}
	}
}

// ConductorOne reads these files to learn a connector's capabilities and
// settings.
func TestCommittedCapabilitiesAndSchemaAreTheBinarys(t *testing.T) {
	t.Parallel()
	for _, connector := range fixture.Connectors(t) {
		for command, file := range map[string]string{"capabilities": "baton_capabilities.json", "config": "config_schema.json"} {
			t.Run(connector+"/"+command, func(t *testing.T) {
				t.Parallel()
				if got := inEmptyWorld(t, fixture.Binary(t, connector), command); got != repoFile(t, "cmd", connector, file) {
					t.Errorf("cmd/%s/%s is out of date: run make generate", connector, file)
				}
			})
		}
	}
}
