package docs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// tools are the other commands on the pages, with the flags that the pages
// show.
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

// batonCommands are the subcommands of ConductorOne's own baton command.
var batonCommands = strings.Fields("resource-types resources entitlements grants principals access stats syncs diff export explorer sanitize " +
	"to-pebble recalculate-stats rollback-expansion")

// command is a command on a page.
type command struct {
	// place is its place, for messages.
	place string
	words []string
}

// commands finds every command on a page: in shell, behind a prompt, in a unit,
// in a crontab, and in code spans that begin with a command's name.
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

// shellWords splits a script into commands and each command into words. It
// drops everything after a redirection.
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

// surroundings holds what commands on the pages refer to.
type surroundings struct {
	connectors map[string]*schema
	// targets are the Makefile's targets; tests are all test functions.
	targets, tests []string
	// settings is the text that may read a variable given to make.
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

// TestDocsShowRealCommands checks that every command on a page is known, that
// everything it calls exists, and that each connector gets only its own flags,
// commands and variables.
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

// check checks one command and returns its name, or the name of the connector
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
	// The words after an image are the connector's arguments.
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

// checkTool checks a command's arguments other than flags.
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

// check checks the words after a connector's name and the variables before it.
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

// checkEnvironment checks the variables that docker passes to a container: all
// required ones, and no unknown ones. It does not read a file of variables.
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
