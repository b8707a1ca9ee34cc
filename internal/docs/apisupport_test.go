package docs

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vendorPages maps each vendor package to its part of docs/api-support.md.
var vendorPages = map[string]string{"rudderstack": "RudderStack (SCIM 2.0)", "guru": "Guru (REST API v1)"}

func vendorPage(t *testing.T, vendor string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/api-support.md")
	if err != nil {
		t.Fatal(err)
	}
	return section(t, string(page), vendorPages[vendor])
}

// jsonFields returns the JSON fields that a vendor package decodes, each with
// its file.
func jsonFields(t *testing.T, vendor string) map[string]string {
	t.Helper()
	out := map[string]string{}
	eachFile(t, vendor, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			// A cursor is JSON too, but not the vendor's.
			if kind, ok := n.(*ast.TypeSpec); ok && regexp.MustCompile(`(?i)cursor$|^walk$`).MatchString(kind.Name.Name) {
				return false
			}
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			tag, err := strconv.Unquote(field.Tag.Value)
			if err != nil {
				t.Fatal(err)
			}
			if name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ","); name != "" && name != "-" {
				out[name] = path
			}
			return true
		})
	})
	return out
}

// TestEveryFieldReadIsDocumented compares docs/api-support.md with the code: a
// vendor's part names each JSON field that the vendor's package decodes, and
// the package decodes each field in the part's tables.
func TestEveryFieldReadIsDocumented(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`[A-Za-z_$]+`)
	for vendor, least := range map[string]int{"rudderstack": 30, "guru": 16} {
		page := vendorPage(t, vendor)
		told := map[string]bool{}
		for _, paragraph := range strings.Split(page, "\n\n") {
			paragraph = strings.TrimSpace(paragraph)
			if strings.HasPrefix(paragraph, "Not read:") {
				continue
			}
			for _, line := range strings.Split(paragraph, "\n") {
				if strings.HasPrefix(paragraph, "| Field of ") { // the other columns name the result
					line = strings.Split(line, "|")[1]
				}
				for _, span := range spans(line) {
					for _, word := range name.FindAllString(span, -1) {
						told[word] = true
					}
				}
			}
		}
		fields := jsonFields(t, vendor)
		if len(fields) < least {
			t.Errorf("found only %d fields of %s", len(fields), vendor)
		}
		for field, path := range fields {
			// The page calls a schema's URN by its name.
			if !told[field] && !strings.Contains(field, ":") {
				t.Errorf("%s reads %q, which docs/api-support.md does not name", path, field)
			}
		}
		rows := table(t, page, "Field of ")
		if len(rows) < 10 {
			t.Errorf("found only %d rows of %s", len(rows), vendor)
		}
		for _, row := range rows {
			for _, span := range spans(row[0]) {
				for _, field := range name.FindAllString(span, -1) {
					if fields[field] == "" {
						t.Errorf("docs/api-support.md says that %q is read, which pkg/%s does not decode", span, vendor)
					}
				}
			}
		}
	}
}

// TestEveryRequestIsDocumented does the same for requests: the table of
// requests has each path in the code, the page names each parameter, and the
// code has everything in the table.
func TestEveryRequestIsDocumented(t *testing.T) {
	t.Parallel()
	for vendor, count := range map[string]int{"rudderstack": 3, "guru": 4} {
		paths := pathConstants(t, vendor)
		if len(paths) != count {
			t.Errorf("pkg/%s: the constants of paths are %v", vendor, slices.Sorted(maps.Keys(paths)))
		}
		parameters := queryParameters(t, vendor)
		page := vendorPage(t, vendor)
		told := map[string]bool{}
		for _, row := range table(t, page, "Request ") {
			for _, request := range spans(row[0]) {
				path, query, _ := strings.Cut(request, "?")
				for _, element := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
					if told[element] = true; element != "{id}" && !paths[element] {
						t.Errorf("docs/api-support.md shows a request of %s, but pkg/%s has no path %s", request, vendor, element)
					}
				}
				for _, parameter := range strings.Split(query, "&") {
					if name, _, _ := strings.Cut(parameter, "="); name != "" && !parameters[name] {
						t.Errorf("docs/api-support.md shows a request of %s, but pkg/%s sends no %s", request, vendor, name)
					}
				}
			}
		}
		for path := range paths {
			if !told[path] {
				t.Errorf("pkg/%s reads %s, which docs/api-support.md does not show as a request", vendor, path)
			}
		}
		if len(parameters) == 0 {
			t.Errorf("found no parameters of %s", vendor)
		}
		shown := strings.Join(spans(page), " ")
		for name := range parameters {
			if !regexp.MustCompile(`\b` + name + `=`).MatchString(shown) {
				t.Errorf("pkg/%s sends the parameter %s, which docs/api-support.md does not show", vendor, name)
			}
		}
	}
}

// queryParameters returns the names in the url.Values that a vendor package
// builds.
func queryParameters(t *testing.T, vendor string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	keep := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if name, err := strconv.Unquote(literal.Value); err == nil {
				out[name] = true
			}
		}
	}
	eachFile(t, vendor, func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if kind, ok := n.Type.(*ast.SelectorExpr); ok && kind.Sel.Name == "Values" {
					for _, element := range n.Elts {
						if pair, ok := element.(*ast.KeyValueExpr); ok {
							keep(pair.Key)
						}
					}
				}
			case *ast.CallExpr:
				if call, ok := n.Fun.(*ast.SelectorExpr); ok && call.Sel.Name == "Set" && len(n.Args) == 2 {
					keep(n.Args[0])
				}
			}
			return true
		})
	})
	return out
}

// pathConstants returns the path constants in the main file of a vendor
// package.
func pathConstants(t *testing.T, vendor string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	word := regexp.MustCompile(`^[A-Za-z]+$`)
	eachFile(t, vendor, func(path string, file *ast.File) {
		if filepath.Base(path) != vendor+".go" {
			return
		}
		for _, declared := range file.Decls {
			group, ok := declared.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			ast.Inspect(group, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil && word.MatchString(text) {
						out[text] = true
					}
				}
				return true
			})
		}
	})
	return out
}
