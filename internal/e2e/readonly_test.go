package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestNothingButGETCanBeSent reads the shipped source: one place builds a
// request, it builds a GET, and only pkg/rest uses anything that sends.
func TestNothingButGETCanBeSent(t *testing.T) {
	t.Parallel()
	built, sent := 0, 0
	for _, root := range []string{"../../pkg", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			web := localName(file, "net/http")
			inRest := strings.Contains(filepath.ToSlash(path), "/pkg/rest/")
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				target, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				of, _ := target.X.(*ast.Ident)
				where := fset.Position(call.Pos())
				switch {
				case web != "" && of != nil && of.Name == web && target.Sel.Name == "NewRequestWithContext":
					built++
					method, ok := call.Args[1].(*ast.SelectorExpr)
					if !ok || method.Sel.Name != "MethodGet" || !inRest {
						t.Errorf("%s builds a request that is not a GET of pkg/rest", where)
					}
				case target.Sel.Name == "Do" && len(call.Args) == 1 && inRest:
					sent++
				case target.Sel.Name == "RoundTrip",
					web != "" && of != nil && of.Name == web && strings.Contains(" NewRequest Get Post PostForm Head ", " "+target.Sel.Name+" "):
					t.Errorf("%s sends around the one place", where)
				}
				return true
			})
			if web != "" && !inRest {
				ast.Inspect(file, func(n ast.Node) bool {
					s, ok := n.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					if of, ok := s.X.(*ast.Ident); ok && of.Name == web && s.Sel.Name != "Header" && !strings.HasPrefix(s.Sel.Name, "Status") {
						t.Errorf("%s uses http.%s outside pkg/rest", fset.Position(s.Pos()), s.Sel.Name)
					}
					return true
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if built != 1 || sent != 1 {
		t.Errorf("requests are built in %d places and sent in %d: this test looks for one each", built, sent)
	}
}

// TestTLSVerificationCannotBeTurnedOff searches for switches that would turn it
// off.
func TestTLSVerificationCannotBeTurnedOff(t *testing.T) {
	t.Parallel()
	for _, root := range []string{"../../pkg", "../../cmd"} {
		files := 0
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && (id.Name == "InsecureSkipVerify" || id.Name == "WithTLSClientConfig") {
					t.Errorf("%s names %s", path, id.Name)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if files == 0 {
			t.Errorf("there is no Go file in %s", root)
		}
	}
}

// localName returns a file's name for an imported package, or "" if the file
// does not import it.
func localName(file *ast.File, path string) string {
	for _, spec := range file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == path {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path[strings.LastIndex(path, "/")+1:]
		}
	}
	return ""
}
