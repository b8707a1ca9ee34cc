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

var update = flag.Bool("update", false, "write the generated parts of the docs anew")

// shown is a row of docs/fidelity.md whose test is a function of its own.
type shown struct {
	vendor, does, outcome string
	// dir is the test's package, below the repository.
	dir, test string
}

const fidelityFile = "../../docs/fidelity.md"

const fidelityIntro = `# What the vendor does, and what the sync says

A person who is missing from a sync that succeeded loses access. So a sync has two outcomes and no third: the c1z
holds exactly what the vendor said, or the sync fails, the file holds no finished sync, and one line says what
failed, where (method and URL without its query), the likely cause and the next step.

Each row below is a test. One of TestFidelity reads a simulator that behaves so, over HTTP, and compares every user,
group and membership with the simulator's directory, or checks the failure: its gRPC code, its words, at most 200
characters of the vendor's answer in it, a bounded number of requests. It reads twice: as a connector, with prefetch and
four calls at a time, as the binaries do; and from the source itself, made anew for every call, without prefetch, as in
a function that the cloud starts anew, the memberships both in one walk and group by group. Whatever it reads, it looks
for the credential in cursors, errors, rows and the log. A retry waits as the SDK's syncer does, on a clock that jumps.
Run one row with

    go test ./internal/fidelity -run 'TestFidelity/rudderstack/wrap-around'

"Right" means that what is read equals the vendor's truth. A failure shows its gRPC code, which is also the exit code of the
command: InvalidArgument 3, PermissionDenied 7, FailedPrecondition 9, Aborted 10, Internal 13, Unauthenticated 16.
Aborted means that another run, later, may well succeed.

This file is written by ` + "`go test ./internal/fidelity -run TestFidelityDocument -update`" + `, and a test fails when it is not
what the tests say.
`

const fidelityLimits = `
## What no client can see

- A row that the vendor leaves out of every answer, in a list that is whole otherwise.
- At a SCIM server, an order of rows that changes from request to request is noticed when the rows received last are not
  where they were. That is nearly always, but not certain.
- Rows of Guru's that shift while they are read. Its paging token is opaque, and nothing documents whether it names a row,
  as in these tests, or an index. Were it an index, a member who is removed between two pages would hide another one from
  that sync, and the next sync would have them again.
- A list at Guru's /groups/usergroups that is shorter than that at /groups.
- A row that goes and comes back while the list is read.
- Whether a SCIM server that does not page has exactly 50, 100, 200, 500 or 1,000 rows or cuts the list off there: the
  sync fails and says so. One that cuts it off at another number and counts no further cannot be told from one that has
  so many rows.
- At a SCIM server, more than five rows that sort alike and come in another order at each request, where totalResults
  does not tell.
- A SCIM group that states that it has no members, where the group itself, asked for by its id, would name some. Where
  it states nothing, it is asked for.
`

// TestFidelityDocument holds docs/fidelity.md to the tests that it tells of.
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
		t.Error("docs/fidelity.md is not what the tests say; run go test ./internal/fidelity -run TestFidelityDocument -update")
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
	for _, row := range shownElsewhere {
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
		for _, row := range shownElsewhere {
			if row.vendor == part.vendor {
				fmt.Fprintf(&b, "| %s | %s | `%s` in `%s` |\n", cell(row.does), cell(row.outcome), row.test, row.dir)
			}
		}
	}
	b.WriteString(badDaysTable())
	b.WriteString(fidelityLimits)
	return b.String()
}

// outcome is how the sync ends, in a few words.
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

// shownElsewhere are the rows whose test is not a subtest of TestFidelity.
var shownElsewhere = []shown{
	{ofBoth, "has 1, 99, 100, 101 or 2,345 users, and groups of 0 to 1,500 members", "right, in as many requests as the sizes ask for; a second run replaces the first", "internal/e2e", "TestSync"},
	{ofBoth, "sends 60,000 members in one body", "right, in slices of at most 750 rows, read once", "internal/wholesync/large", "TestOneBodyOfMembers"},
	{ofBoth, "changes a group between two slices of its body, each read by another process", "right: whoever is in all versions is there", "internal/fidelity", "TestChangesBetweenSlicesLoseNobody"},
	{ofRudderStack, "has 100,000 users and a group of 60,000 in one body", "right, no answer above the SDK's 4 MiB", "internal/wholesync/large", "TestALargeDirectory"},
	{ofBoth, "has groups in groups, in circles, and members who are not listed, however the SDK's syncer asks for them", "right, with the grants that follow", "internal/wholesync", "TestPaths"},
	{ofBoth, "fails with each code that the SDK's syncer treats differently", "is tried again, or ends without a finished file", "internal/wholesync", "TestCodes"},
	{ofRudderStack, "pages wrong in two ways at a time", "right, or fails", "internal/fidelity", "TestTwoDeviationsAtOnce"},
}
