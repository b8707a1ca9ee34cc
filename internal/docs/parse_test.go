package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestDocsParse checks that every block that a user may copy is well-formed,
// each kind with its own parser. TestDocsShowRealCommands also checks shell,
// TestDocsQuoteRealErrors error lines and TestReadmeShowsTheDemo the demo. ini
// and cron have their own tests.
func TestDocsParse(t *testing.T) {
	t.Parallel()
	schemas := connectors(t)
	demo := marked(t, readme(t), "demo")
	said := literals(t, "connector")
	progress := regexp.MustCompile(`^(sync progress: )(users|groups|memberships) [0-9,]+( of about )?[0-9,]*\n$`)
	errorLine := regexp.MustCompile(`^baton-[a-z]+: [^\n]+\n$`)
	for _, d := range documents(t) {
		fault := func(b block, format string, args ...any) {
			t.Helper()
			t.Errorf("%s:%d: %s", d.path, b.line, fmt.Sprintf(format, args...))
		}
		for _, b := range indentedBlocks(d) {
			if err := shellSyntax(b.text); err != nil {
				fault(b, "not a shell script: %v", err)
			}
		}
		for _, b := range d.blocks {
			switch b.language {
			case "sh", "console":
				if err := shellSyntax(b.text); err != nil {
					fault(b, "not a shell script: %v", err)
				}
				if strings.HasPrefix(b.text, "$ ") {
					fault(b, "shows a prompt, which cannot be copied")
				}
			case "yaml":
				if err := parseYAML(b.text, schemas); err != nil {
					fault(b, "%v", err)
				}
			case "json":
				for decoder := json.NewDecoder(strings.NewReader(b.text)); ; {
					var content any
					if err := decoder.Decode(&content); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						fault(b, "not JSON: %v", err)
						break
					}
				}
			case "go":
				if _, err := parser.ParseFile(token.NewFileSet(), d.path, b.text, 0); err != nil {
					fault(b, "not Go: %v", err)
				}
			case "mermaid": // GitHub draws it
			case "text":
				m := progress.FindStringSubmatch(b.text)
				switch {
				case b.text == demo, errorLine.MatchString(b.text), regexp.MustCompile(`(?m)^DONE \d+ tests in `).MatchString(b.text):
				case len(m) > 0 && says(said, m[1]) && (m[3] == "" || says(said, m[3])):
				default:
					fault(b, "nobody checks this text")
				}
			case "ini", "cron":
			default:
				fault(b, "nobody checks a block of %q", b.language)
			}
		}
	}
}

func shellSyntax(script string) error {
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// parseYAML parses Kubernetes YAML or the settings of one connector.
func parseYAML(text string, schemas map[string]*schema) error {
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var content map[string]any
		if err := decoder.Decode(&content); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("not YAML: %w", err)
		}
		if content["apiVersion"] != nil {
			continue
		}
		fits := func(s *schema) bool {
			for key := range content {
				if !s.flags["--"+key] {
					return false
				}
			}
			return len(content) > 0
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(schemas)), fits) {
			return fmt.Errorf("no connector has all these settings: %v", slices.Sorted(maps.Keys(content)))
		}
	}
}
