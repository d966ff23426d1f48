package veltrixtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var guideBlock = regexp.MustCompile("(?ms)^```(go|yaml)\n(.*?)^```$")

// TestGuide: whatever code docs/testing.md shows is that of a test that runs.
func TestGuide(t *testing.T) {
	t.Parallel()
	from := map[string]string{"go": read(t, "sender_test.go"), "yaml": read(t, "testdata/rules.yaml")}
	shown := map[string]int{}
	for _, m := range guideBlock.FindAllStringSubmatch(read(t, "../docs/testing.md"), -1) {
		shown[m[1]]++
		if !strings.Contains(from[m[1]], m[2]) {
			t.Errorf("no test holds what the guide shows:\n%s", m[2])
		}
	}
	if shown["go"] < 5 || shown["yaml"] != 1 {
		t.Errorf("the guide shows %v: it has another form", shown)
	}
}

// TestNothingInternalIsShown: whoever imports the package from outside of the
// module cannot name a type of internal/.
func TestNothingInternalIsShown(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours := map[string]bool{}
		for _, i := range tree.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if strings.HasPrefix(path, "github.com/veltrix/") {
				ours[filepath.Base(path)] = true
			}
		}
		for _, shown := range exported(tree) {
			looked++
			ast.Inspect(shown, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if of, ok := s.X.(*ast.Ident); ok && ours[of.Name] {
						t.Errorf("%s shows %s.%s", name, of.Name, s.Sel.Name)
					}
				}
				return true
			})
		}
	}
	if looked < 30 {
		t.Errorf("only %d declarations are shown: the test does not look where they are", looked)
	}
}

// exported lists the types that a file shows: of functions and methods that can
// be called from outside, and of the fields of structs.
func exported(tree *ast.File) []ast.Node {
	var shown []ast.Node
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
				shown = append(shown, d.Type)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				of, ok := s.(*ast.TypeSpec)
				if !ok || !of.Name.IsExported() {
					continue
				}
				fields, ok := of.Type.(*ast.StructType)
				if !ok {
					shown = append(shown, of.Type)
					continue
				}
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						if name.IsExported() {
							shown = append(shown, f.Type)
						}
					}
					if len(f.Names) == 0 {
						shown = append(shown, f.Type)
					}
				}
			}
		}
	}
	return shown
}

func receiver(d *ast.FuncDecl) string {
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
