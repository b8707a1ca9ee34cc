package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// document is a page of documentation.
type document struct {
	// path is relative to the top of the repository.
	path, text string
	blocks     []block
}

// block is a code block.
type block struct {
	language, text string
	line           int
}

// documents reads every page that a user may follow.
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

// indentedBlocks returns a Markdown page's code blocks that only four blanks
// mark. In MDX, blanks mean nesting; in a list, they belong to the list.
func indentedBlocks(d document) []block {
	if !strings.HasSuffix(d.path, ".md") {
		return nil
	}
	var out []block
	item := regexp.MustCompile(`^ *([-*+]|[0-9]+\.) `)
	fenced, inside, list, blank := false, false, false, true
	for i, line := range strings.Split(d.text, "\n") {
		code := strings.HasPrefix(line, "    ")
		switch {
		case fence.MatchString(line):
			fenced, inside = !fenced, false
		case fenced:
		case strings.TrimSpace(line) == "":
			blank = true
			continue
		case code && !list && (blank || inside):
			if !inside {
				out = append(out, block{line: i + 1})
			}
			inside = true
			out[len(out)-1].text += line[4:] + "\n"
		default:
			inside, list = false, item.MatchString(line) || list && strings.HasPrefix(line, " ")
		}
		blank = false
	}
	return out
}

// prose returns a page without its fenced code blocks. Lines keep their
// numbers.
func (d document) prose() string {
	var out []string
	inside := false
	for _, line := range strings.Split(d.text, "\n") {
		if fence.MatchString(line) {
			inside = !inside
			line = ""
		}
		if inside {
			line = ""
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// section returns the part of a page below a second-level heading.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	part, _, _ := strings.Cut(after, "\n## ")
	return part
}

// table returns the cells of each table whose head begins with the given words.
// More than one table may match.
func table(t *testing.T, text, head string) [][]string {
	t.Helper()
	var rows [][]string
	inside := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case strings.HasPrefix(line, "| "+head):
			inside = true
		case inside && !strings.HasPrefix(line, "|--") && !strings.HasPrefix(line, "| :--"):
			var cells []string
			for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("there is no table %q", head)
	}
	return rows
}

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// spans returns the code spans of a text.
func spans(text string) []string {
	var out []string
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// literals returns the strings in the source of packages below pkg.
func literals(t *testing.T, packages ...string) []string {
	t.Helper()
	var texts []string
	for _, name := range packages {
		eachFile(t, name, func(_ string, file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil {
						texts = append(texts, text)
					}
				}
				return true
			})
		})
	}
	return texts
}

// says reports whether one of the texts contains the words.
func says(texts []string, words string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, words) })
}

// eachFile parses the source of a package below pkg, without its tests.
func eachFile(t *testing.T, name string, visit func(path string, file *ast.File)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../../pkg", name, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("pkg/%s: %d files, %v", name, len(paths), err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		visit(path, file)
	}
}

// TestDocsNameRealFlags checks that every flag and variable on a page exists at
// a connector or at another command on the page. The page of one vendor names
// none of the other's.
func TestDocsNameRealFlags(t *testing.T) {
	t.Parallel()
	all := connectors(t)
	for _, d := range documents(t) {
		known := slices.Collect(maps.Values(all))
		if strings.HasSuffix(d.path, ".mdx") {
			known = []*schema{all["baton-"+strings.TrimSuffix(filepath.Base(d.path), ".mdx")]}
		}
		var otherWords []string
		for _, c := range commands(t, d) {
			if all[filepath.Base(c.words[0])] == nil {
				otherWords = append(otherWords, c.words...)
			}
		}
		for _, name := range envName.FindAllString(d.text, -1) {
			if !strings.HasSuffix(name, "_") && !slices.ContainsFunc(known, func(s *schema) bool { return s.takes(name) }) {
				t.Errorf("%s names %s, which nothing reads", d.path, name)
			}
		}
		for _, m := range flagName.FindAllStringSubmatch(d.text, -1) {
			usual := slices.Contains([]string{"--help", "--version"}, m[1])
			if !usual && !slices.ContainsFunc(known, func(s *schema) bool { return s.flags[m[1]] }) && !slices.Contains(otherWords, m[1]) {
				t.Errorf("%s names %s, which no connector takes", d.path, m[1])
			}
		}
	}
}

// TestDocsNameRealTests checks that each test that a page names, in full or by
// its beginning, exists.
func TestDocsNameRealTests(t *testing.T) {
	t.Parallel()
	s := surround(t)
	found := 0
	for _, d := range documents(t) {
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(d.text, -1) {
			if found++; !slices.ContainsFunc(s.tests, func(test string) bool { return strings.HasPrefix(test, name) }) {
				t.Errorf("%s names %s, which is not there", d.path, name)
			}
		}
	}
	if found == 0 {
		t.Error("no page names a test")
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestDocsLinksResolve checks that no link within the repository is dead.
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

// anchors returns GitHub's anchors for the headings of a page.
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

// TestDocsShowTheExample checks that the worked example in CONTRIBUTING.md is
// the code that compiles. With -update it writes the code there.
func TestDocsShowTheExample(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("../example/acme.go")
	if err != nil {
		t.Fatal(err)
	}
	const page = "../../CONTRIBUTING.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), "```go\n")
	shown, after, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("CONTRIBUTING.md shows no Go")
	}
	if shown == string(code) {
		return
	}
	if !*update {
		t.Fatal("CONTRIBUTING.md does not show internal/example/acme.go as it is (go test ./internal/docs -run TestDocsShowTheExample -update)")
	}
	if err := os.WriteFile(page, []byte(before+"```go\n"+string(code)+"```\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
