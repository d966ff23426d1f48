package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/app/apptest"
)

func TestHelp(t *testing.T) { apptest.Help(t, command()) }

// A newcomer finds the examples where they look first, and where they mistype.
func TestUpNamesTheExamples(t *testing.T) {
	t.Parallel()
	cmd := command()
	var help, said bytes.Buffer
	cmd.SetOut(&help)
	cmd.SetErr(&said)
	cmd.SetArgs([]string{"up", "--help"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	cmd = command()
	cmd.SetOut(&said)
	cmd.SetErr(&said)
	cmd.SetArgs([]string{"up", "--example", "quizz"})
	err := cmd.ExecuteContext(t.Context())
	if err == nil {
		t.Fatal("an example that is not there is played")
	}
	for _, e := range examples.All() {
		if !strings.Contains(help.String(), e.Name) || !strings.Contains(help.String(), e.About) {
			t.Errorf("the help does not say what %s is:\n%s", e.Name, help.String())
		}
		if !strings.Contains(err.Error(), e.Name) {
			t.Errorf("the error does not name %s: %v", e.Name, err)
		}
	}
}

// Whatever an error or a log line tells an operator to run has to be there.
func TestSentencesNameCommandsThatExist(t *testing.T) {
	named := regexp.MustCompile(`\bveltrix ([a-z]+)`)
	known := map[string]bool{"runs": true, "version": true} // a verb in this command's own help; and one that app.Main adds
	for _, cmd := range command().Commands() {
		known[cmd.Name()] = true
	}
	found := 0
	for _, root := range []string{"../../internal", "../../cmd", "../../config"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if text, is := n.(*ast.BasicLit); is && text.Kind == token.STRING {
					for _, m := range named.FindAllStringSubmatch(text.Value, -1) {
						found++
						if !known[m[1]] {
							t.Errorf("%s: %s names veltrix %s", path, text.Value, m[1])
						}
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 20 {
		t.Errorf("only %d commands are named: the test does not look where they are", found)
	}
}
