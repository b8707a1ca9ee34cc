package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEveryFieldReadIsDocumented holds docs/api-support.md against the code:
// each JSON field that a vendor package decodes stands there.
func TestEveryFieldReadIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/api-support.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, word := range regexp.MustCompile(`[A-Za-z_$]+`).FindAllString(string(page), -1) {
		words[word] = true
	}
	fields := 0
	for _, vendor := range []string{"rudderstack", "guru"} {
		paths, err := filepath.Glob("../../pkg/" + vendor + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			// A cursor is JSON as well, but nothing of the vendor's.
			if filepath.Base(path) == "cursor.go" || filepath.Base(path) == "walk.go" {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				field, ok := n.(*ast.Field)
				if !ok || field.Tag == nil {
					return true
				}
				tag, err := strconv.Unquote(field.Tag.Value)
				if err != nil {
					t.Fatal(err)
				}
				name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
				switch {
				case name == "" || name == "-":
				case strings.Contains(name, ":"): // a schema's URN, which the page calls by its name
					fields++
				case !words[name]:
					t.Errorf("%s reads %q, which docs/api-support.md does not name", path, name)
				default:
					fields++
				}
				return true
			})
		}
	}
	if fields < 40 {
		t.Errorf("found only %d fields", fields)
	}
}
