package docs

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/conductorone/baton-connectors/internal/fixture"
)

// The owner of an action, or an attacker with the owner's account, can move its
// tag to other code, and the action gets the workflow's token. A user must be
// able to run each job by hand: it calls the Makefile, or the two targets that
// .ci/run joins.
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
