package fidelity

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

var update = flag.Bool("update", false, "write the generated parts of the docs again")

// shown is a row of docs/fidelity.md that has its own test function.
type shown struct {
	vendor, does, outcome string
	// dir is the directory of the test's package.
	dir, test string
}

const fidelityFile = "../../docs/fidelity.md"

const fidelityIntro = `# What the vendor does, and what the sync does

A sync is right, which means that it read exactly what the vendor holds, or it fails. A failure has a gRPC code, which
is also the exit code: InvalidArgument 3, PermissionDenied 7, FailedPrecondition 9, Aborted 10, Internal 13,
Unauthenticated 16. After Aborted, a later run may succeed. Each row is tested twice against a simulated vendor: with
prefetch and four parallel calls, and with a new process for every call. You can run one row with
` + "`go test ./internal/fidelity -run 'TestFidelity/rudderstack/wrap-around'`" + ` and rewrite this file with
` + "`go test ./internal/fidelity -run TestFidelityDocument -update`" + `.
`

const fidelityLimits = `
## What no client can see

If two answers of a vendor contradict each other, the sync fails or warns. Examples above are
` + "`members-of-other-ids`, `one-user-listed`, `group-not-listed` and `member-not-listed`" + `. These comparisons need one process
that reads the whole sync, so they are off on AWS Lambda and in targeted syncs. No comparison detects the following:

- A row that the vendor leaves out of every answer, or that goes and comes back while the list is read.
- RudderStack: an order that changes with every request, if more than five rows sort alike and totalResults is missing.
- RudderStack: a server that ignores paging and cuts its lists off at an unusual number of rows (not 50, 100, 200, 500
  or 1,000).
- RudderStack: a list that shows a group without members, although the group itself would show some.
- Guru: a paging token that is an index instead of a row (Guru does not document which). If a member is removed between
  two pages, another member is missing, and only the members' own rows can show it.
`

// TestFidelityDocument compares docs/fidelity.md with the tests that it lists.
func TestFidelityDocument(t *testing.T) {
	t.Parallel()
	want := fidelityDocument()
	if *update {
		if err := os.WriteFile(fidelityFile, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(fidelityFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/fidelity.md is out of date; run go test ./internal/fidelity -run TestFidelityDocument -update")
	}
	there := testsOf(t, ".")
	for _, row := range badDays {
		for _, name := range row.tests {
			tests := there
			if dir, test, found := strings.Cut(name, " "); found {
				tests, name = testsOf(t, filepath.Join("../..", dir)), test
			}
			if !tests[name] {
				t.Errorf("there is no test %s, which should show: %s", name, row.fault)
			}
		}
	}
	for _, row := range shownByOtherTests {
		if !testsOf(t, filepath.Join("../..", row.dir))[row.test] {
			t.Errorf("there is no test %s in %s, which should show that a vendor %s", row.test, row.dir, row.does)
		}
	}
	seen := map[string]bool{}
	for _, b := range behaviours {
		for _, vendor := range b.vendors() {
			if seen[vendor+"/"+b.name] {
				t.Errorf("two behaviours are named %s/%s", vendor, b.name)
			}
			seen[vendor+"/"+b.name] = true
		}
	}
}

func fidelityDocument() string {
	var b strings.Builder
	b.WriteString(fidelityIntro)
	for _, part := range []struct{ vendor, title string }{
		{ofBoth, "Both vendors"}, {ofRudderStack, "RudderStack (SCIM 2.0)"}, {ofGuru, "Guru"},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| the vendor … | the sync | shown by |\n|---|---|---|\n", part.title)
		for _, row := range behaviours {
			if row.vendor != part.vendor {
				continue
			}
			vendor := row.vendor
			if vendor == ofBoth {
				vendor = ".*"
			}
			fmt.Fprintf(&b, "| %s | %s | `TestFidelity/%s/%s` |\n", cell(row.does), cell(row.outcome()), vendor, row.name)
		}
		for _, row := range shownByOtherTests {
			if row.vendor == part.vendor {
				fmt.Fprintf(&b, "| %s | %s | `%s` in `%s` |\n", cell(row.does), cell(row.outcome), row.test, row.dir)
			}
		}
	}
	b.WriteString(badDaysTable())
	b.WriteString(fidelityLimits)
	return b.String()
}

// outcome describes in a few words how the sync ends.
func (b behaviour) outcome() string {
	text := "right"
	if b.code != codes.OK {
		text = "fails: " + b.code.String()
	}
	if b.but != "" {
		text += "; " + b.but
	}
	return text
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				there[f.Name.Name] = true
			}
		}
	}
	return there
}

// shownByOtherTests lists the rows whose test is not a subtest of TestFidelity.
var shownByOtherTests = []shown{
	{ofBoth, "has 1, 99, 100, 101 or 2,345 users, and groups of 0 to 1,500 members", "right, with exactly as many requests as needed; a second run replaces the first", "internal/e2e", "TestSync"},
	{ofBoth, "sends 60,000 members in one body", "right, in slices of at most 750 rows, read once", "internal/wholesync/large", "TestOneBodyOfMembers"},
	{ofBoth, "changes a group between two slices of its body, each read by another process", "right: the sync has every member who is in all versions", "internal/fidelity", "TestChangesBetweenSlicesLoseNobody"},
	{ofRudderStack, "has 100,000 users and a group of 60,000 in one body", "right, no answer above the SDK's 4 MiB", "internal/wholesync/large", "TestALargeDirectory"},
	{ofBoth, "has nested groups, cycles and unlisted members, on each path of the SDK's syncer", "right, with the derived grants", "internal/wholesync", "TestPaths"},
	{ofBoth, "fails with each code that the SDK's syncer treats differently", "tries again, or ends without a finished file", "internal/wholesync", "TestCodes"},
	{ofRudderStack, "pages wrongly in two ways at once", "right, or fails", "internal/fidelity", "TestTwoDeviationsAtOnce"},
}
