package docs

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/conductorone/baton-sdk/pkg/field"

	"github.com/conductorone/baton-connectors/internal/fixture"
	"github.com/conductorone/baton-connectors/internal/simulator"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

var update = flag.Bool("update", false, "write the generated parts of the docs anew")

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// marked returns the code block that follows a marker such as <!-- demo -->.
func marked(t *testing.T, text, marker string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "<!-- "+marker+" -->\n")
	if !found {
		t.Fatalf("the README has no marker %q", marker)
	}
	return codeBlocks(after)[0].text
}

// TestReadmeOneShot runs the README's commands in an empty directory against
// simulators. It replaces only the credentials and the URL.
func TestReadmeOneShot(t *testing.T) {
	t.Parallel()
	for _, vendor := range []string{fixture.RudderStack, fixture.Guru} {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			s := fixture.Start(t, vendor, simulator.Size{Users: 12, Groups: 3, MembersPerGroup: 4})
			script := marked(t, readme(t), "run: "+s.Connector)
			for _, setting := range s.Env {
				name, value, _ := strings.Cut(setting, "=")
				line := regexp.MustCompile(`(?m)^export ` + name + `=.*$`)
				if !line.MatchString(script) && name != "BATON_BASE_URL" {
					t.Errorf("the README does not set %s", name)
				}
				script = line.ReplaceAllLiteralString(script, "export "+name+"='"+value+"'")
				if name == "BATON_BASE_URL" {
					script = "export " + name + "='" + value + "'\n" + script
				}
			}
			if strings.Contains(script, "<") {
				t.Fatalf("a placeholder is left: %s", script)
			}
			dir := t.TempDir()
			cmd := exec.Command("sh", "-eu", "-c", script)
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + filepath.Dir(fixture.Binary(t, s.Connector)) + ":" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + t.TempDir()}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			fixture.CompareTruth(t, filepath.Join(dir, vendor+".c1z"), s.Truth())
			if !strings.Contains(string(out), "synced to ") {
				t.Errorf("does not say that it has finished:\n%s", out)
			}
		})
	}
}

// TestReadmeShowsTheDemo runs the demo and compares its output with the README.
// With -update it writes the output there. Times, ports and the version may
// differ.
func TestReadmeShowsTheDemo(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("make", "--no-print-directory", "-s", "-C", "../..", "demo")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("make demo: %v\n%s", err, out.String())
	}
	want := extract(t, out.String())
	text := readme(t)
	shown := marked(t, text, "demo")
	if *update {
		text = strings.Replace(text, shown, want, 1)
		if err := os.WriteFile("../../README.md", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	steady := func(text string) string {
		text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text, "127.0.0.1:0")
		return regexp.MustCompile(`c1z in [0-9.]+m?s`).ReplaceAllString(text, "c1z in 0s")
	}
	if steady(shown) != steady(want) {
		t.Errorf("the README shows\n%s\nand the demo prints\n%s\n(go test ./internal/docs -run TestReadmeShowsTheDemo -update)", shown, want)
	}
}

// extract returns the part of the demo in the README: its first sync, to the
// end of the summary.
func extract(t *testing.T, printed string) string {
	t.Helper()
	const first = "  $ baton-rudderstack "
	_, printed, found := strings.Cut(printed, first)
	if !found {
		t.Fatalf("the demo prints something else: %s", printed)
	}
	var out []string
	for _, line := range strings.Split(first+printed, "\n") {
		out = append(out, strings.TrimRight(line, " "))
		if strings.Contains(line, "Look at it") {
			return strings.Join(append(out, "    …"), "\n") + "\n"
		}
	}
	t.Fatal("the demo does not get to RudderStack's summary")
	return ""
}

// TestReadmeListsEveryField compares the table of settings with the connectors.
// It must list each connector's own settings, hidden ones too, whether each is
// required, and its default. The SDK's settings in it must exist.
func TestReadmeListsEveryField(t *testing.T) {
	t.Parallel()
	_, text, found := strings.Cut(readme(t), "<!-- fields -->\n")
	if !found {
		t.Fatal("the README has no table of fields")
	}
	text, _, _ = strings.Cut(text, "\n\n")
	schemas := connectors(t)
	own := map[string]map[string]field.SchemaField{}
	for name, s := range schemas {
		own[name] = map[string]field.SchemaField{}
		for _, f := range s.own {
			own[name][f.FieldName] = f
		}
		s.defaults["--workers"] = defaultWorkers(t)
	}
	defaultOf := func(s *schema, flag string) string {
		f, ok := own[s.name][strings.TrimPrefix(flag, "--")]
		switch {
		case !ok:
			return s.defaults[flag]
		case f.DefaultValue == nil:
			return ""
		}
		return fmt.Sprint(f.DefaultValue)
	}
	listed, last := map[string]bool{}, ""
	for _, row := range table(t, text, "Connector ") {
		if len(row) != 5 {
			t.Fatalf("not a row of the table: %v", row)
		}
		if row[0] != "" {
			last = strings.Trim(row[0], "`")
		}
		for name, s := range schemas {
			if last != name && last != "both" {
				continue
			}
			var wanted []string
			for _, flag := range spans(row[1]) {
				bare := strings.TrimPrefix(flag, "--")
				listed[name+" "+bare] = true
				wanted = append(wanted, "`"+rest.Setting(bare).Env()+"`")
				if !s.flags[flag] {
					t.Errorf("%s does not take %s", name, flag)
				}
				if (row[3] == "yes") != own[name][bare].Required {
					t.Errorf("%s: the README is wrong about whether %s is required", name, flag)
				}
				if value := defaultOf(s, flag); value != "" && !regexp.MustCompile(`(^|[ `+"`"+`])`+regexp.QuoteMeta(value)+`($|[ ,;`+"`"+`])`).MatchString(row[4]) {
					t.Errorf("%s: the README does not name the default of %s: %s", name, flag, value)
				}
			}
			if variables := strings.Join(wanted, ", "); variables != "" && variables != row[2] {
				t.Errorf("%s: the variables of %s are %s, not %s", name, row[1], variables, row[2])
			}
			for _, variable := range spans(row[2]) {
				if !s.takes(variable) {
					t.Errorf("%s does not read %s", name, variable)
				}
			}
		}
	}
	for name, s := range schemas {
		for _, f := range s.own {
			if !listed[name+" "+f.FieldName] {
				t.Errorf("%s: the README does not list --%s", name, f.FieldName)
			}
		}
	}
}

// defaultWorkers returns the default of --workers. The help does not state it.
func defaultWorkers(t *testing.T) string {
	t.Helper()
	value := ""
	eachFile(t, "command", func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == "defaultWorkers" {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
					value = literal.Value
				}
			}
			return true
		})
	})
	if value == "" {
		t.Fatal("pkg/command has no defaultWorkers")
	}
	return value
}
