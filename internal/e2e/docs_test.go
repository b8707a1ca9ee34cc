package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/conductorone/baton-sdk/pkg/field"
	"gopkg.in/yaml.v3"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/rest"
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

// indentedBlocks are the code blocks of a Markdown page that are marked by four
// blanks alone. In MDX blanks are nesting, and in a list they belong to it.
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

// prose is a page without its fenced code blocks. Lines keep their numbers.
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

// section is the part of a page below a heading of the second level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	part, _, _ := strings.Cut(after, "\n## ")
	return part
}

// table returns the cells of the table whose head begins with some words. More
// than one table may have such a head.
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

// spans are the code spans of a text.
func spans(text string) []string {
	var out []string
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestDocsParse shows that every block that a person may copy is at least
// well-formed, each kind by a parser of its own. What is in shell is looked at
// by TestDocsShowRealCommands as well, an error line by TestDocsQuoteRealErrors
// and the demo by TestReadmeShowsTheDemo; ini and cron have a test of their own.
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

// parseYAML reads YAML that is of Kubernetes or the settings of one connector.
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

// literals are the strings in the source of packages below pkg.
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

// says tells whether some words stand in one of the texts.
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

// schema is what a connector takes.
type schema struct {
	name string
	// own are its own settings; the others are the SDK's.
	own []field.SchemaField
	// flags are all flags, with their dashes, and commands its subcommands.
	flags, commands map[string]bool
	// defaults are those that the help states.
	defaults map[string]string
}

// takes says whether the connector reads an environment variable.
func (s *schema) takes(variable string) bool {
	return slices.Contains(environment, variable) ||
		s.flags["--"+strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, "BATON_")), "_", "-")]
}

var (
	envName  = regexp.MustCompile(`\bBATON_[A-Z0-9_]+`)
	flagName = regexp.MustCompile("(?:^|[\\s`(\"'])(--[a-z][a-z0-9-]+)")
	helpFlag = regexp.MustCompile(`(?m)^ +(?:(-[a-z]), )?(--[a-z0-9-]+)(?:[^\n]*\n(?: {8,}[^\n]*\n)*? {8,}[^\n]*Default: ([^\n]*)\.$)?`)
	helpVerb = regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}[A-Z]`)
)

// unusable are the SDK's flags that --help leaves out.
var unusable = []string{"provisioning", "ticketing", "keep-previous-sync-c1z", "parallel-sync", "auth-method"}

// environment lists variables that are read but are no flags; each with where
// it comes from.
var environment = []string{
	"BATON_CONFIG_PATH", "BATON_HOST_ID", "BATON_TMPDIR", // the SDK
	"BATON_DEBUG_PRINT_RESPONSE_BODY", // the SDK
}

// connectors tells what each takes: what their help shows, and the settings
// that their schemas and the SDK's keep out of it.
func connectors(t *testing.T) map[string]*schema {
	t.Helper()
	out := map[string]*schema{}
	for _, name := range fixture.Connectors(t) {
		s := &schema{name: name, own: fixture.Settings(name), flags: map[string]bool{}, commands: map[string]bool{}, defaults: map[string]string{}}
		out[name] = s
		for _, args := range [][]string{{"--help"}, {"health-check", "--help"}} {
			help, err := exec.Command(binary(t, name), args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s %v: %v", name, args, err)
			}
			for _, m := range helpFlag.FindAllStringSubmatch(string(help), -1) {
				s.flags[m[2]] = true
				if m[1] != "" {
					s.flags[m[1]] = true
				}
				if m[3] != "" {
					s.defaults[m[2]] = m[3]
				}
			}
			for _, m := range helpVerb.FindAllStringSubmatch(string(help), -1) {
				s.commands[m[1]] = true
			}
		}
		for _, f := range slices.Concat(s.own, field.DefaultFields) {
			switch {
			case f.SyncerConfig.Hidden:
				s.flags["--"+f.FieldName] = true
			case slices.Contains(unusable, f.FieldName):
				if s.flags["--"+f.FieldName] {
					t.Errorf("%s --help shows --%s, which is of no use", name, f.FieldName)
				}
			case !s.flags["--"+f.FieldName]:
				t.Errorf("%s --help does not show --%s", name, f.FieldName)
			}
		}
		if len(s.flags) < 40 || len(s.commands) < 3 {
			t.Fatalf("%s: found only %d flags and the commands %v", name, len(s.flags), s.commands)
		}
	}
	return out
}

// tools are the other commands that the pages show, with the flags that they
// are shown with.
var tools = map[string]string{
	"baton":      "-f -t --out",
	"brew":       "",
	"cd":         "",
	"cosign":     "--bundle --certificate-identity-regexp --certificate-oidc-issuer",
	"cp":         "",
	"cut":        "-d -f",
	"docker":     "--profile --env-file --memory --name --read-only --restart --rm --target --tmpfs --user -d -e -v -w",
	"export":     "",
	"gh":         "--repo",
	"go":         "-cases -profile -report -run -summary -update",
	"journalctl": "-f -u",
	"kubectl":    "-f",
	"make":       "",
	"sha256sum":  "--check --ignore-missing",
	"simulators": "--list-faults",
	"systemctl":  "--now",
}

// batonCommands are those of ConductorOne's own command.
var batonCommands = strings.Fields("resource-types resources entitlements grants principals access stats syncs diff export explorer sanitize " +
	"to-pebble recalculate-stats rollback-expansion")

// command is a command that a page shows.
type command struct {
	// place is where, for messages.
	place string
	words []string
}

// commands finds all that the pages show: in shell, behind a prompt, in a
// unit, in a crontab, and in code spans of the prose that begin with the name
// of a command.
func commands(t *testing.T, d document) []command {
	t.Helper()
	var out []command
	add := func(line int, script string) {
		for _, words := range shellWords(script) {
			out = append(out, command{fmt.Sprintf("%s:%d: %s", d.path, line, strings.Join(words, " ")), words})
		}
	}
	for _, b := range indentedBlocks(d) {
		add(b.line, b.text)
	}
	for _, b := range d.blocks {
		if b.language == "sh" || b.language == "console" {
			add(b.line, b.text)
			continue
		}
		for i, line := range strings.Split(b.text, "\n") {
			switch b.language {
			case "text":
				if _, typed, prompt := strings.Cut(line, "  $ "); prompt {
					add(b.line+i+1, typed)
				}
			case "ini":
				if started, ok := strings.CutPrefix(line, "ExecStart="); ok {
					add(b.line+i+1, started)
				}
			case "cron":
				add(b.line+i+1, schedule.ReplaceAllString(line, ""))
			}
		}
	}
	for i, line := range strings.Split(d.prose(), "\n") {
		for _, span := range spans(line) {
			first, _, more := strings.Cut(span, " ")
			if _, known := tools[filepath.Base(first)]; more && (known || strings.HasPrefix(first, "baton-")) {
				add(i+1, span)
			}
		}
	}
	return out
}

// shellWords splits a script into commands and these into words, without what
// comes after a sign of redirection.
func shellWords(script string) [][]string {
	var out [][]string
	var words []string
	word, inWord, quote := "", false, rune(0)
	endWord := func() {
		if inWord {
			words = append(words, word)
		}
		word, inWord = "", false
	}
	endCommand := func() {
		endWord()
		if at := slices.IndexFunc(words, func(w string) bool { return w == ">" || w == "<" }); at >= 0 {
			words = words[:at]
		}
		if len(words) > 0 {
			out = append(out, words)
		}
		words = nil
	}
	comment, escaped := false, false
	for _, c := range strings.ReplaceAll(script, "\\\n", " ") {
		switch {
		case comment && c != '\n':
		case escaped:
			word, inWord, escaped = word+string(c), true, false
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word += string(c)
		case c == '\\':
			escaped = true
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == '#' && !inWord:
			comment = true
		case c == ' ' || c == '\t':
			endWord()
		case c == '>' || c == '<':
			endWord()
			words = append(words, string(c))
		case strings.ContainsRune("\n;&|()", c):
			comment = false
			endCommand()
		default:
			word, inWord = word+string(c), true
		}
	}
	endCommand()
	return out
}

var (
	assignment = regexp.MustCompile(`^([A-Z_]+)=`)
	image      = regexp.MustCompile(`^ghcr\.io/conductorone/(baton-[a-z]+):[a-z0-9.]+$`)
	makeTarget = regexp.MustCompile(`(?m)^([a-z][a-z/_-]*(?: [a-z][a-z/_-]*)*):`)
	testName   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
)

// surroundings is what the commands of the pages refer to.
type surroundings struct {
	connectors map[string]*schema
	// targets are those of the Makefile, tests all test functions.
	targets, tests []string
	// settings is what may read a variable that is given to make.
	settings, dockerfile string
}

func surround(t *testing.T) *surroundings {
	t.Helper()
	read := func(pattern string) string {
		var b strings.Builder
		paths, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
		return b.String()
	}
	s := &surroundings{connectors: connectors(t), dockerfile: read("Dockerfile")}
	makefile := read("Makefile")
	s.settings = makefile + read("scripts/*.sh")
	for _, m := range makeTarget.FindAllStringSubmatch(makefile, -1) {
		s.targets = append(s.targets, strings.Fields(m[1])...)
	}
	for _, pattern := range []string{"pkg/*/*_test.go", "internal/*/*_test.go", "internal/*/*/*_test.go"} {
		for _, m := range testName.FindAllStringSubmatch(read(pattern), -1) {
			s.tests = append(s.tests, m[1])
		}
	}
	return s
}

// TestDocsShowRealCommands shows that every command that a page shows is known,
// that what it calls is there, and that each connector is called with flags,
// commands and variables of its own.
func TestDocsShowRealCommands(t *testing.T) {
	t.Parallel()
	s := surround(t)
	found := map[string]int{}
	for _, d := range documents(t) {
		for _, c := range commands(t, d) {
			name, err := s.check(c.words)
			if err != nil {
				t.Errorf("%s: %v", c.place, err)
			}
			found[name]++
		}
	}
	for _, name := range append(fixture.Connectors(t), "baton", "docker", "go", "make") {
		if found[name] == 0 {
			t.Errorf("no page calls %s", name)
		}
	}
}

// check looks at one command and returns its name, or that of the connector
// whose image it runs.
func (s *surroundings) check(words []string) (string, error) {
	var given []string
	for len(words) > 0 && assignment.MatchString(words[0]) {
		given, words = append(given, words[0]), words[1:]
	}
	if len(words) == 0 {
		return "", nil
	}
	name, args := filepath.Base(words[0]), words[1:]
	if c := s.connectors[name]; c != nil {
		return name, c.check(append(given, args...))
	}
	allowed, known := tools[name]
	if !known {
		return name, fmt.Errorf("nobody checks the command %s", name)
	}
	// What follows an image is the connector's.
	own, called := args, name
	if at := slices.IndexFunc(args, image.MatchString); name == "docker" && at >= 0 {
		own = args[:at]
		c := s.connectors[image.FindStringSubmatch(args[at])[1]]
		if c == nil {
			return name, fmt.Errorf("there is no image %s", args[at])
		}
		called = c.name
		if err := c.check(append(given, args[at+1:]...)); err != nil {
			return name, err
		}
		if err := c.checkEnvironment(own, slices.Contains(args, "--file")); err != nil {
			return name, err
		}
	}
	for _, word := range own {
		flag, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(flag, "-") && !slices.Contains(strings.Fields(allowed), flag) {
			return name, fmt.Errorf("%s is not known to take %s", name, flag)
		}
	}
	return called, s.checkTool(name, own)
}

// checkTool looks at what a command names besides flags.
func (s *surroundings) checkTool(name string, args []string) error {
	there := func(p string) bool { _, err := os.Stat(filepath.Join("../..", p)); return err == nil }
	for i, word := range args {
		switch {
		case name == "make" && assignment.MatchString(word):
			if variable := assignment.FindStringSubmatch(word)[1]; !regexp.MustCompile(`\b` + variable + `\b`).MatchString(s.settings) {
				return fmt.Errorf("nothing reads %s", variable)
			}
			if faults, ok := strings.CutPrefix(word, "DEMO_FAULTS="); ok {
				for _, fault := range strings.Fields(faults) {
					if _, _, err := simulator.ParseFault(fault); err != nil {
						return err
					}
				}
			}
		case name == "make" && !slices.Contains(s.targets, word):
			return fmt.Errorf("the Makefile has no target %s", word)
		case name == "baton" && i == 0 && !slices.Contains(batonCommands, word):
			return fmt.Errorf("baton has no command %s", word)
		case name == "go" && strings.HasPrefix(word, "./"), name == "cd":
			if !there(word) {
				return fmt.Errorf("there is no %s", word)
			}
		case name == "go" && i > 0 && args[i-1] == "-run":
			first, _, _ := strings.Cut(word, "/")
			pattern, err := regexp.Compile(first)
			if err != nil || !slices.ContainsFunc(s.tests, pattern.MatchString) {
				return fmt.Errorf("there is no test %s", first)
			}
		case name == "docker" && i > 0 && args[i-1] == "--target" && !strings.Contains(s.dockerfile, " AS "+word+"\n"):
			return fmt.Errorf("the Dockerfile has no target %s", word)
		}
	}
	if name == "baton" && len(args) == 0 {
		return errors.New("baton is called without a command")
	}
	return nil
}

// check looks at the words after a connector's name and the variables before.
func (s *schema) check(args []string) error {
	for i, word := range args {
		flag, _, _ := strings.Cut(word, "=")
		switch m := assignment.FindStringSubmatch(word); {
		case len(m) > 0 && envName.MatchString(m[1]) && !s.takes(m[1]):
			return fmt.Errorf("%s does not read %s", s.name, m[1])
		case m != nil:
		case strings.HasPrefix(flag, "-"):
			if !s.flags[flag] && !slices.Contains([]string{"--help", "--version"}, flag) {
				return fmt.Errorf("%s does not take %s", s.name, flag)
			}
		case i == 0 && !s.commands[word]:
			return fmt.Errorf("%s has no command %s", s.name, word)
		}
	}
	return nil
}

// checkEnvironment looks at the variables that docker hands to a container:
// all that are required and no others. A file of them is not looked into.
func (s *schema) checkEnvironment(args []string, oneShot bool) error {
	var given []string
	for i, word := range args {
		if word == "--env-file" {
			return nil
		}
		if i > 0 && args[i-1] == "-e" {
			name, _, _ := strings.Cut(word, "=")
			if !s.takes(name) {
				return fmt.Errorf("%s does not read %s", s.name, name)
			}
			given = append(given, name)
		}
	}
	var required []string
	if !oneShot {
		required = append(required, "BATON_CLIENT_ID", "BATON_CLIENT_SECRET")
	}
	for _, f := range s.own {
		if f.Required {
			required = append(required, rest.Setting(f.FieldName).Env())
		}
	}
	for _, name := range required {
		if !slices.Contains(given, name) {
			return fmt.Errorf("%s is not given %s", s.name, name)
		}
	}
	return nil
}

// TestDocsNameRealFlags shows that every flag and variable that a page names is
// one that a connector takes, or a flag of another command that the page shows.
// The page of one vendor names nothing of the other's.
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

// TestDocsNameRealTests shows that a test which a page refers to, by its name
// or by how that begins, is there.
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

// TestDocsQuoteRealErrors shows that an error line which a page quotes is what
// the connector prints, by having the vendor answer so.
func TestDocsQuoteRealErrors(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^(baton-[a-z]+): .*GET (https://[^/ ]+)(/\S*)/[A-Za-z]+: ([0-9]{3}) `)
	found := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			m := line.FindStringSubmatch(b.text)
			if b.language != "text" || m == nil {
				continue
			}
			found++
			status, err := strconv.Atoi(m[4])
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			t.Cleanup(server.Close)
			p := start(t, binary(t, m[1]), credentials(server.URL+m[3]))
			if code := p.wait(); code == 0 {
				t.Errorf("%s:%d: it does not fail", d.path, b.line)
			}
			if got := strings.Replace(p.lastLine(), server.URL, m[2], 1); got+"\n" != b.text {
				t.Errorf("%s:%d shows\n%sand %s prints\n%s", d.path, b.line, b.text, m[1], got)
			}
		}
	}
	if found == 0 {
		t.Error("no page quotes an error line")
	}
}

// credentials are settings with which either connector asks a base URL.
func credentials(base string) []string {
	return []string{
		"BATON_RUDDERSTACK_SCIM_BASE_URL=" + base, "BATON_RUDDERSTACK_SCIM_TOKEN=token",
		"BATON_BASE_URL=" + base, "BATON_USER_EMAIL=admin@example.com", "BATON_API_TOKEN=token",
		"BATON_LOG_FORMAT=json",
	}
}

// TestDocsQuoteWhatTheConnectorsSay shows that each phrase of the tables of
// troubleshooting stands in a message of that connector: in a string of its
// source, or as an HTTP status that its source explains.
func TestDocsQuoteWhatTheConnectorsSay(t *testing.T) {
	t.Parallel()
	shared := []string{"rest", "command", "connector"}
	for _, page := range []struct {
		path, head string
		packages   []string
		least      int
	}{
		{"docs/rudderstack.mdx", "Message", append(shared, "rudderstack"), 9},
		{"docs/guru.mdx", "Message", append(shared, "guru"), 9},
		{"docs/operations.md", "You see", append(shared, "rudderstack", "guru"), 7},
	} {
		text, err := os.ReadFile(filepath.Join("../..", page.path))
		if err != nil {
			t.Fatal(err)
		}
		source := literals(t, page.packages...)
		rows := table(t, string(text), page.head)
		if len(rows) < page.least {
			t.Errorf("%s: found only %d rows", page.path, len(rows))
		}
		for _, row := range rows {
			phrases := spans(row[0])
			if len(phrases) == 0 {
				t.Errorf("%s quotes nothing in %q", page.path, row[0])
			}
			for _, phrase := range phrases {
				number, words, _ := strings.Cut(phrase, " ")
				status, err := strconv.Atoi(number)
				if err == nil && (words == "" && http.StatusText(status) != "" || words == http.StatusText(status)) {
					continue
				}
				if !says(source, phrase) {
					t.Errorf("%s quotes %q, which no message holds", page.path, phrase)
				}
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
		name := front["sidebarTitle"]
		fixed := regexp.MustCompile(`^C1 provides identity governance for ` + name + `\. Integrate your ` + name + ` (organization|team) with C1 for unified visibility and governance over user access\.$`)
		if !fixed.MatchString(front["description"]) || front["og:description"] != front["description"] || front["title"] != "Set up a "+name+" connector" || front["og:title"] != front["title"] {
			t.Errorf("%s: the front matter differs from that of C1's other connector pages: %v", d.path, front)
		}
		for words, times := range map[string]int{
			"**Apps** > **Connectors**": 2, "**Integrations** > **Connectors**": 2, "    **Done.** ": 2,
			"    ### Step 1: ": 1, "    ### Step 2: ": 1, "    ### Step 3: ": 1, "```yaml expandable": 2,
		} {
			if found := strings.Count(parts[2], words); found != times {
				t.Errorf("%s has %q %d times, want %d", d.path, words, found, times)
			}
		}
		prose := codeSpan.ReplaceAllString(document{text: parts[2]}.prose(), "")
		if strings.ContainsAny(prose, "{}") || regexp.MustCompile(`(?m)^(import|export) `).MatchString(prose) {
			t.Errorf("%s holds code outside a code block", d.path)
		}
		var open []string
		for _, m := range element.FindAllStringSubmatch(prose, -1) {
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

// TestDocsShowTheExample shows that the worked example of CONTRIBUTING.md is
// the one that compiles; with -update it writes it there.
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
		t.Fatal("CONTRIBUTING.md does not show internal/example/acme.go as it is (go test ./internal/e2e -run TestDocsShowTheExample -update)")
	}
	if err := os.WriteFile(page, []byte(before+"```go\n"+string(code)+"```\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
