package docs

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
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

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// The budgets of a stripped, static binary in bytes. A binary is nearly all
// SDK, so one that exceeds its budget has a new dependency. Raise a budget only
// if you know the reason.
const (
	sizeBudget       = 48_000_000
	lambdaSizeBudget = 53_000_000
)

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

// dockerfile returns the stages of the Dockerfile by name. The part before the
// first stage has the name "".
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
// base image.
func chain(stages map[string]dockerStage, name, connector string) (base string, steps []dockerStep) {
	name = strings.ReplaceAll(name, "${CONNECTOR}", connector)
	current, ok := stages[name]
	if !ok {
		return name, nil
	}
	base, steps = chain(stages, current.from, connector)
	return base, append(steps, current.steps...)
}

// withDefaults returns the build arguments as the stages that name them see
// them.
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

// runStage performs a build stage's steps in a directory, as in its WORKDIR.
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
			case step.args != "VERSION": // without it the Makefile asks git
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

// copyCheckout copies the files that a checkout of the work tree would hold.
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
			continue // removed, but not yet committed
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

// This test needs no container engine. An image works if its root file system
// is a binary that needs nothing else, and if the commands that build the
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
		given := [...]string{"", "1.2.3-test"} // every second one gets a version
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

// mustBeStatic fails the test if a binary needs a file of the system to start.
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

// inEmptyWorld runs a binary as an empty image does: no PATH, /tmp as home and
// an empty working directory. It returns its standard output.
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
