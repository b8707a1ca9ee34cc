package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// The budgets of a stripped, static binary in bytes. A binary is nearly all
// SDK: what exceeds its budget has taken a new dependency along. Raise one
// only knowing what for.
const (
	sizeBudget       = 48_000_000
	lambdaSizeBudget = 53_000_000
)

// repository is the top of the checkout, seen from this package.
const repository = "../.."

func repoFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, filepath.Join(path...)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dockerStage is one stage of a Dockerfile.
type dockerStage struct {
	from  string
	steps []dockerStep
}

// dockerStep is one instruction of a stage.
type dockerStep struct{ name, args string }

// last returns the arguments of the stage's last instruction of a name.
func (s dockerStage) last(name string) string {
	for _, step := range slices.Backward(s.steps) {
		if step.name == name {
			return step.args
		}
	}
	return ""
}

// dockerfile returns the stages of the Dockerfile by their names. What stands
// before the first of them has no name.
func dockerfile(t *testing.T) map[string]dockerStage {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(repoFile(t, "Dockerfile")) {
		if !strings.HasPrefix(line, "#") {
			text.WriteString(line)
		}
	}
	stages := map[string]dockerStage{}
	var name string
	for line := range strings.Lines(strings.ReplaceAll(text.String(), "\\\n", " ")) {
		instruction, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		args = strings.TrimSpace(args)
		switch instruction {
		case "":
		case "FROM":
			words := strings.Fields(args)
			if len(words) < 3 || words[len(words)-2] != "AS" {
				t.Fatalf("FROM %s: no name", args)
			}
			name = words[len(words)-1]
			stages[name] = dockerStage{from: words[len(words)-3]}
		default:
			current := stages[name]
			current.steps = append(current.steps, dockerStep{instruction, args})
			stages[name] = current
		}
	}
	return stages
}

// chain returns all steps that lead to a stage, its ancestors' first, and the
// image that they start from.
func chain(stages map[string]dockerStage, name, connector string) (base string, steps []dockerStep) {
	name = strings.ReplaceAll(name, "${CONNECTOR}", connector)
	current, ok := stages[name]
	if !ok {
		return name, nil
	}
	base, steps = chain(stages, current.from, connector)
	return base, append(steps, current.steps...)
}

// withDefaults returns build arguments as stages see them that name them.
func withDefaults(stages map[string]dockerStage, given map[string]string) map[string]string {
	args := map[string]string{}
	for _, step := range stages[""].steps {
		if name, standard, found := strings.Cut(step.args, "="); step.name == "ARG" && found {
			args[name] = standard
		}
	}
	maps.Copy(args, given)
	return args
}

// labels returns the labels that steps give an image.
func labels(steps []dockerStep, args map[string]string) map[string]string {
	env, out := map[string]string{}, map[string]string{}
	for _, step := range steps {
		switch step.name {
		case "ARG":
			env[step.args] = args[step.args]
		case "LABEL":
			for _, pair := range regexp.MustCompile(`(\S+)="([^"]*)"`).FindAllStringSubmatch(step.args, -1) {
				out[pair[1]] = os.Expand(pair[2], func(name string) string { return env[name] })
			}
		}
	}
	return out
}

// runStage does in a directory what a build stage does in its WORKDIR.
func runStage(t *testing.T, steps []dockerStep, dir string, args map[string]string) {
	t.Helper()
	env := map[string]string{}
	for _, step := range steps {
		switch step.name {
		case "WORKDIR":
			if step.args != "/src" {
				t.Fatalf("WORKDIR %s", step.args)
			}
		case "ARG":
			switch value, found := args[step.args]; {
			case found:
				env[step.args] = value
			case step.args != "VERSION": // without which the Makefile asks git
				t.Fatalf("ARG %s: the Dockerfile has no default for all stages, and nobody gives it", step.args)
			}
		case "ENV":
			for pair := range strings.FieldsSeq(step.args) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = os.Expand(value, func(name string) string { return env[name] })
			}
		case "COPY":
			if step.args != ". ." {
				t.Fatalf("COPY %s", step.args)
			}
			copyCheckout(t, dir)
		case "RUN":
			command := regexp.MustCompile(`^(--mount=\S+\s+)*`).ReplaceAllString(step.args, "")
			run := exec.CommandContext(t.Context(), "sh", "-c", command)
			run.Dir = dir
			run.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "MAKE") || strings.HasPrefix(pair, "MFLAGS") })
			for name, value := range env {
				run.Env = append(run.Env, name+"="+value)
			}
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", command, err, out)
			}
		default:
			t.Fatalf("%s %s: a build stage does no such thing", step.name, step.args)
		}
	}
}

// copyCheckout copies what a checkout of the work tree would hold.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "Makefile", "go.mod", "go.sum", "scripts", "cmd", "pkg", "internal")
	list.Dir = repository
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for path := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(repository, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(to, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// No container engine is needed to see that an image would work: its root file
// system is a binary that needs nothing of it, and the commands that make the
// binary run anywhere.
func TestImageHoldsOneStaticBinaryThatKnowsItsVersion(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	type image struct {
		target, connector string
		given, version    string
		budget            int64
		entrypoint        string
		lambda            bool
	}
	var images []image
	for i, name := range fixture.Connectors(t) {
		given := [...]string{"", "1.2.3-test"} // half of them are given a version
		version := [...]string{"dev", "1.2.3-test"}
		images = append(images,
			image{"image", name, given[i%2], version[i%2], sizeBudget, `["/` + name + `"]`, false},
			image{"lambda", name, given[(i+1)%2], version[(i+1)%2], lambdaSizeBudget, `["/` + name + `", "lambda"]`, true})
	}
	for _, test := range images {
		t.Run(test.target+"/"+test.connector, func(t *testing.T) {
			t.Parallel()
			base, steps := chain(stages, test.target, test.connector)
			if base != "scratch" {
				t.Errorf("the image is made from %s: whatever that holds goes along", base)
			}
			final := dockerStage{steps: steps}
			if got := final.last("ENTRYPOINT"); got != test.entrypoint {
				t.Errorf("entrypoint %s", got)
			}
			if got := final.last("USER"); got != "65532:65532" {
				t.Errorf("user %q: must be a number other than 0 (Kubernetes' runAsNonRoot cannot check names)", got)
			}

			dir := t.TempDir()
			from := map[string]string{"image": "build", "lambda": "build-lambda"}[test.target]
			_, build := chain(stages, from, test.connector)
			given := map[string]string{"CONNECTOR": test.connector, "TARGETOS": runtime.GOOS, "TARGETARCH": runtime.GOARCH}
			if test.given != "" {
				given["VERSION"] = test.given
			}
			args := withDefaults(stages, given)
			runStage(t, build, dir, args)
			label := labels(steps, args)
			if label["org.opencontainers.image.version"] != test.given || label["org.opencontainers.image.title"] != test.connector {
				t.Errorf("the labels are %q", label)
			}
			for _, step := range steps {
				for word := range strings.FieldsSeq(step.args) {
					if path, ok := strings.CutPrefix(word, "/src/"); ok && step.name == "COPY" {
						path = strings.ReplaceAll(path, "$CONNECTOR", test.connector)
						if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
							t.Errorf("COPY %s: %v", step.args, err)
						}
					}
				}
			}
			for _, writable := range []string{"rootfs/out", "rootfs/tmp"} {
				if info, err := os.Stat(filepath.Join(dir, writable)); err != nil || info.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
					t.Errorf("%s: %v, %v", writable, info, err)
				}
			}

			path := filepath.Join(dir, "bin", test.connector)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s is %d bytes", test.connector, info.Size())
			if info.Size() > test.budget {
				t.Errorf("the binary is %d bytes, above the budget of %d", info.Size(), test.budget)
			}
			if runtime.GOOS == "linux" {
				mustBeStatic(t, path)
			}
			if got, want := inEmptyWorld(t, path, "--version"), test.connector+" version "+test.version+"\n"; got != want {
				t.Errorf("--version printed %q, want %q", got, want)
			}
			if !json.Valid([]byte(inEmptyWorld(t, path, "capabilities"))) {
				t.Error("capabilities printed no JSON")
			}
			if got := strings.Contains(inEmptyWorld(t, path, "--help"), "\n  lambda "); got != test.lambda {
				t.Errorf("the lambda command is there: %v", got)
			}
		})
	}
}

// mustBeStatic fails the test if a binary needs a file of its system to start.
func mustBeStatic(t *testing.T, path string) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it is only read
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary asks for a dynamic linker (%v): an empty image has none", segment.Type)
		}
	}
}

// inEmptyWorld runs a binary as an empty image does: no PATH, no home but /tmp,
// a working directory without anything in it. It returns its standard output.
func inEmptyWorld(t *testing.T, path string, args ...string) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), path, args...)
	run.Dir = t.TempDir()
	run.Env = []string{"HOME=" + t.TempDir()}
	var stderr bytes.Buffer
	run.Stderr = &stderr
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("%s: it said %s", strings.Join(args, " "), stderr.String())
	}
	return string(out)
}

// What is released must be what is tested: the same flags, and a binary for
// every platform that the documentation names.
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

// An action that is named by a tag is whatever its owner, or whoever took the
// owner's account, puts there tomorrow; and it gets the workflow's token. What
// a job runs must run by hand: it is in the Makefile, or the two of its targets
// that .ci/run joins.
func TestWorkflowsPinTheirActionsAndCallTheMakefile(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(repoFile(t, "Makefile"), -1) {
		targets[match[1]] = true
	}
	paths, err := fs.Glob(os.DirFS(repository), ".github/workflows/*.yml")
	if err != nil || len(paths) < 3 {
		t.Fatalf("workflows: %q, %v", paths, err)
	}
	pinned := regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	outputOf := regexp.MustCompile(`^echo "\w+=\$\((make [a-z-]+)\)" >>"\$GITHUB_OUTPUT"$`)
	byHand := regexp.MustCompile(`^make((?: [a-z-]+)+)(?: [A-Z]+=(?:[\w.-]+|\$\{\{ matrix\.\w+ \}\}))*$`)
	for _, path := range paths {
		text := repoFile(t, path)
		if !strings.Contains(text, "\npermissions: {}\n") {
			t.Errorf("%s: a job that asks for no permission must have none", path)
		}
		for _, match := range regexp.MustCompile(`uses: (.*)`).FindAllStringSubmatch(text, -1) {
			if !pinned.MatchString(match[1]) {
				t.Errorf("%s: %s is not pinned by commit, with its version as a comment", path, match[1])
			}
		}
		var workflow struct {
			Jobs map[string]struct {
				Strategy struct{ Matrix map[string]any }
				Steps    []struct{ Run string }
			}
		}
		if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		ran := 0
		for name, job := range workflow.Jobs {
			if listed := job.Strategy.Matrix["connector"]; listed != nil && listed != "${{ fromJSON(needs.connectors.outputs.names) }}" {
				t.Errorf("%s: %s runs for %v, not for every connector", path, name, listed)
			}
			for _, step := range job.Steps {
				if step.Run == "" {
					continue
				}
				runs := []string{step.Run}
				if strings.Contains(step.Run, "make ${{ matrix.target }}") {
					runs = nil
					matrix, _ := job.Strategy.Matrix["target"].([]any)
					for _, target := range matrix {
						runs = append(runs, fmt.Sprint("make ", target))
					}
				}
				for _, run := range runs {
					ran++
					run = outputOf.ReplaceAllString(run, "$1")
					match := byHand.FindStringSubmatch(run)
					if match == nil && run != ".ci/run" {
						t.Errorf("%s: %s runs %q, which is no target of the Makefile", path, name, run)
					}
					for _, target := range strings.Fields(strings.Join(match[min(1, len(match)):], " ")) {
						if !targets[target] {
							t.Errorf("%s: %s: the Makefile has no target %s", path, name, target)
						}
					}
				}
			}
		}
		if ran == 0 {
			t.Errorf("%s runs nothing", path)
		}
	}
}

// GitHub cannot derive these lists from cmd/.
func TestGitHubKnowsEveryConnector(t *testing.T) {
	t.Parallel()
	if list := "\n      options: [" + strings.Join(fixture.Connectors(t), ", ") + "]\n"; !strings.Contains(repoFile(t, ".github/ISSUE_TEMPLATE/bug.yml"), list) {
		t.Errorf("the form for bugs does not offer%s", list)
	}
	live := repoFile(t, ".github/workflows/live.yml")
	for name, s := range connectors(t) {
		for _, variable := range s.settings() {
			if line := "\n      " + variable + ": ${{ matrix.connector == '" + name + "' && secrets."; !strings.Contains(live, line) {
				t.Errorf("live.yml does not give %s its %s", name, variable)
			}
		}
	}
}

// Much of what is linked in holds code of others, in directories that have
// their own licences.
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

// The live workflow runs in forks too, which have no secrets.
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

// ConductorOne reads these files to learn what a connector can do and what it
// asks for.
func TestCommittedCapabilitiesAndSchemaAreTheBinarys(t *testing.T) {
	t.Parallel()
	for _, connector := range fixture.Connectors(t) {
		for command, file := range map[string]string{"capabilities": "baton_capabilities.json", "config": "config_schema.json"} {
			t.Run(connector+"/"+command, func(t *testing.T) {
				t.Parallel()
				if got := inEmptyWorld(t, binary(t, connector), command); got != repoFile(t, "cmd", connector, file) {
					t.Errorf("cmd/%s/%s is out of date: run make generate", connector, file)
				}
			})
		}
	}
}
