package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// document is a page of documentation.
type document struct {
	// path is relative to the top of the repository.
	path, text string
	blocks     []block
}

// block is a fenced code block.
type block struct {
	language, text string
	line           int
}

// documents reads every page that a person may follow.
func documents(t *testing.T) []document {
	t.Helper()
	var out []document
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*.mdx"} {
		paths, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel("../..", path)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, document{path: rel, text: string(text), blocks: codeBlocks(string(text))})
		}
	}
	if len(out) < 5 {
		t.Fatalf("found only %d pages", len(out))
	}
	return out
}

var fence = regexp.MustCompile("^( *)```([a-z]*)")

func codeBlocks(text string) []block {
	var out []block
	var open *block
	indent := ""
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == nil && m != nil:
			indent = m[1]
			open = &block{language: m[2], line: i + 1}
		case open != nil && m != nil:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	return out
}

// prose is a page without its code blocks.
func (d document) prose() string {
	var out []string
	inside := false
	for _, line := range strings.Split(d.text, "\n") {
		if fence.MatchString(line) {
			inside = !inside
			continue
		}
		if !inside {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// TestDocsParse shows that every block that a person may copy is at least
// well-formed: shell by a shell, YAML by a parser. A block of another kind
// must be one that this test knows.
func TestDocsParse(t *testing.T) {
	t.Parallel()
	known := []string{"", "sh", "yaml", "json", "go", "mermaid", "text", "ini", "dockerfile", "cron"}
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			switch b.language {
			case "sh", "console":
				var out bytes.Buffer
				cmd := exec.Command("sh", "-n")
				cmd.Stdin = strings.NewReader(b.text)
				cmd.Stderr = &out
				if err := cmd.Run(); err != nil {
					t.Errorf("%s:%d: not a shell script: %v\n%s", d.path, b.line, err, out.String())
				}
				if strings.Contains(b.text, "$ ") && strings.HasPrefix(b.text, "$ ") {
					t.Errorf("%s:%d: shows a prompt, which cannot be copied", d.path, b.line)
				}
			case "yaml":
				for decoder := yaml.NewDecoder(strings.NewReader(b.text)); ; {
					var content any
					if err := decoder.Decode(&content); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						t.Errorf("%s:%d: not YAML: %v", d.path, b.line, err)
						break
					}
				}
			default:
				if !slices.Contains(known, b.language) {
					t.Errorf("%s:%d: nobody checks a block of %q", d.path, b.line, b.language)
				}
			}
		}
	}
}

var (
	envName  = regexp.MustCompile(`\bBATON_[A-Z0-9_]+`)
	flagName = regexp.MustCompile("(?:^|[\\s`(\"'])--([a-z][a-z0-9-]+)")
)

// environment lists variables that are read but are no flags; each with where
// it comes from.
var environment = []string{
	"BATON_CONFIG_PATH", "BATON_HOST_ID", "BATON_TMPDIR", // the SDK
	"BATON_DEBUG_PRINT_RESPONSE_BODY", // the SDK
}

// foreign lists flags of other commands that the pages show.
var foreign = []string{
	// docker, podman
	"rm", "user", "volume", "env-file", "read-only", "tmpfs", "build-arg", "target", "tag", "memory", "name", "restart",
	// kubectl, systemctl, install, git, go, sha256sum and the like
	"from-literal", "now", "depth", "from-env-file", "ignore-missing", "bundle", "signature", "certificate", "certificate-identity", "certificate-identity-regexp", "certificate-oidc-issuer", "system", "shell", "check", "no-create-home", "filter", "replicas",
	// baton
	"out", "output-format", "output",
}

// TestDocsNameRealFlags shows that every flag and variable that a page names
// is one that a connector takes.
func TestDocsNameRealFlags(t *testing.T) {
	t.Parallel()
	flags := map[string]bool{}
	for _, name := range []string{"baton-rudderstack", "baton-guru"} {
		for _, args := range [][]string{{"--help"}, {"health-check", "--help"}} {
			out, err := exec.Command(binary(t, name), args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %v: %v", name, args, err)
			}
			for _, m := range flagName.FindAllStringSubmatch(string(out), -1) {
				flags[m[1]] = true
			}
		}
	}
	// Hidden flags do not show in the help.
	for _, hidden := range []string{"base-url", "outage-minutes", "c1z-temp-dir", "health-check-bind-address"} {
		flags[hidden] = true
	}
	variables := map[string]bool{}
	for _, name := range environment {
		variables[name] = true
	}
	for name := range flags {
		variables["BATON_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = true
	}
	for _, d := range documents(t) {
		for _, name := range envName.FindAllString(d.text, -1) {
			if !variables[name] && !strings.HasSuffix(name, "_") {
				t.Errorf("%s names %s, which nothing reads", d.path, name)
			}
		}
		for _, m := range flagName.FindAllStringSubmatch(d.text, -1) {
			if !flags[m[1]] && !slices.Contains(foreign, m[1]) {
				t.Errorf("%s names --%s, which no connector takes", d.path, m[1])
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestDocsLinksResolve shows that no link within the repository is dead.
func TestDocsLinksResolve(t *testing.T) {
	t.Parallel()
	for _, d := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(d.prose(), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path := filepath.Join("../..", d.path)
			if target != "" {
				path = filepath.Join("../..", filepath.Dir(d.path), target)
			}
			text, err := os.ReadFile(path)
			if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s links to %s, which is not there", d.path, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s links to %s, a heading that is not there", d.path, m[1])
			}
		}
	}
}

// anchors are the names that GitHub gives to the headings of a page.
func anchors(text string) []string {
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			out = append(out, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-"))
		}
	}
	return out
}

// TestPublishedPages holds the two pages of C1's documentation to the rules
// of that site: front matter, known elements, no code.
func TestPublishedPages(t *testing.T) {
	t.Parallel()
	allowed := strings.Fields("Card Check Frame Icon Info Note Step Steps Tab Tabs Tip Warning")
	element := regexp.MustCompile(`<(/?)([A-Za-z][A-Za-z0-9]*)[^>]*?(/?)>`)
	found := 0
	for _, d := range documents(t) {
		if !strings.HasSuffix(d.path, ".mdx") {
			continue
		}
		found++
		parts := strings.SplitN(d.text, "---\n", 3)
		if len(parts) != 3 || parts[0] != "" {
			t.Fatalf("%s has no front matter", d.path)
		}
		var front map[string]string
		if err := yaml.Unmarshal([]byte(parts[1]), &front); err != nil {
			t.Fatalf("%s: front matter: %v", d.path, err)
		}
		for _, key := range []string{"title", "og:title", "description", "og:description", "sidebarTitle"} {
			if front[key] == "" {
				t.Errorf("%s: the front matter lacks %s", d.path, key)
			}
		}
		prose := document{text: parts[2]}.prose()
		if strings.ContainsAny(strings.ReplaceAll(prose, "`", ""), "{}") || regexp.MustCompile(`(?m)^(import|export) `).MatchString(prose) {
			t.Errorf("%s holds code outside a code block", d.path)
		}
		var open []string
		for _, m := range element.FindAllStringSubmatch(regexp.MustCompile("`[^`]*`").ReplaceAllString(prose, ""), -1) {
			switch name := m[2]; {
			case !slices.Contains(allowed, name):
				t.Errorf("%s uses <%s>", d.path, name)
			case m[3] == "/":
			case m[1] == "":
				open = append(open, name)
			case len(open) == 0 || open[len(open)-1] != name:
				t.Errorf("%s closes <%s>, which is not what is open: %v", d.path, name, open)
			default:
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Errorf("%s leaves open %v", d.path, open)
		}
	}
	if found != 2 {
		t.Errorf("found %d pages, not 2", found)
	}
}

// TestArchitectureShowsTheExample shows that the worked example in the text is
// the one that compiles.
func TestArchitectureShowsTheExample(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("../example/acme.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents(t) {
		if d.path != filepath.Join("docs", "architecture.md") {
			continue
		}
		for _, b := range d.blocks {
			if b.language == "go" && b.text == string(code) {
				return
			}
		}
	}
	t.Error("docs/architecture.md does not show internal/example/acme.go as it is")
}
