package veltrix_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// anyOrder says of each function of the core that goes through a map why it may:
// what comes of it is the same in every order.
var anyOrder = map[string]string{
	"internal/advise.(*Grace).Report":     "it sorts what is kept of each player",
	"internal/advise.(*Grace).candidate":  "it looks for the largest of all players' numbers",
	"internal/engine.(*Machine).settle":   "it asks whether any partition waits",
	"internal/engine.(*Machine).WantPoll": "it asks whether any partition holds polls back",
	"internal/engine.(*Machine).Idle":     "it asks whether any partition has something under way",
	"internal/engine.(*Machine).Status":   "what it collects is sorted",
	"internal/engine.(*cache).drop":       "it drops them all",
}

// typed is a package of the core, with the type of every expression.
type typed struct {
	dir   string
	files []*ast.File // that decide; the others may look at the world
	info  *types.Info
}

// core type-checks the pure packages from their sources, and what they import
// from what the compiler made of it.
func core(t *testing.T) []typed {
	t.Helper()
	var dirs []string
	for dir := range pure {
		dirs = append(dirs, "./"+dir)
	}
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, dirs...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, &stderr)
	}
	exports := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
	}
	var all []typed
	for dir, hands := range pure {
		p := typed{dir: dir, info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}}
		var set *token.FileSet
		var whole []*ast.File
		for _, s := range sources(t) {
			if s.dir != dir || s.test {
				continue
			}
			set, whole = s.set, append(whole, s.tree)
			if !slices.Contains(hands, path.Base(s.path)) {
				p.files = append(p.files, s.tree)
			}
		}
		conf := types.Config{Importer: importer.ForCompiler(set, "gc", func(name string) (io.ReadCloser, error) { return os.Open(exports[name]) })}
		if _, err := conf.Check(module+dir, set, whole, p.info); err != nil {
			t.Fatalf("type-check %s: %v", dir, err)
		}
		all = append(all, p)
	}
	return all
}

// TestCoreHasNoMapOrder is part of row 37 of the failure matrix: two processes
// that fold the same events go through a map in different orders.
func TestCoreHasNoMapOrder(t *testing.T) {
	found := map[string]bool{}
	for _, p := range core(t) {
		for _, file := range p.files {
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || !goesThroughMap(p.info, f) {
					continue
				}
				name := p.dir + "." + f.Name.Name
				if f.Recv != nil {
					name = p.dir + ".(" + types.ExprString(f.Recv.List[0].Type) + ")." + f.Name.Name
				}
				found[name] = true
				if anyOrder[name] == "" {
					t.Errorf("%s goes through a map, whose order is another one each time: sort the keys, or say in anyOrder why it does not matter", name)
				}
			}
		}
	}
	for name := range anyOrder {
		if !found[name] {
			t.Errorf("%s does not go through a map any more: take it out of anyOrder", name)
		}
	}
}

// goesThroughMap reports whether f ranges over a map, or over an iterator of
// one that is not sorted at once.
func goesThroughMap(info *types.Info, f *ast.FuncDecl) (found bool) {
	sorted := map[ast.Node]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.RangeStmt:
			if of := info.Types[n.X].Type; of != nil {
				_, isMap := of.Underlying().(*types.Map)
				found = found || isMap
			}
		case *ast.CallExpr:
			name := calledName(info, n)
			if strings.HasPrefix(name, "slices.Sorted") && len(n.Args) > 0 {
				sorted[n.Args[0]] = true
			}
			iterates := slices.Contains([]string{"maps.Keys", "maps.Values", "maps.All", "(reflect.Value).MapKeys", "(reflect.Value).MapRange", "(*sync.Map).Range"}, name)
			found = found || iterates && !sorted[n]
		}
		return true
	})
	return found
}

func calledName(info *types.Info, call *ast.CallExpr) string {
	fun := ast.Unparen(call.Fun)
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	var id *ast.Ident
	switch fun := fun.(type) {
	case *ast.SelectorExpr:
		id = fun.Sel
	case *ast.Ident:
		id = fun
	default:
		return ""
	}
	if f, ok := info.Uses[id].(*types.Func); ok {
		return f.Origin().FullName()
	}
	return fmt.Sprint(id.Name)
}
