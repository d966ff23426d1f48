package veltrix_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// levels says for each row of the failure matrix where it has to be shown: in
// the deterministic simulation (S), on the in-process broker (K), on a real
// broker with a real Redis (R). The page may show more.
var levels = map[string]string{
	"1": "S R", "2": "S K R", "3": "K", "4": "S K R", "5": "S R", "6": "S K", "7": "S K", "8": "S R", "9": "S R", "10": "S",
	"11": "S R", "12": "S", "13": "R", "14": "R", "15": "S R", "16": "S R", "17": "R", "18": "S R", "19": "S", "20": "R",
	"21": "S K R", "22": "K R", "23": "K R", "24": "S K R", "25": "K R", "26": "R", "27": "K R", "28": "K R", "29": "K R", "30": "K R",
	"31": "K", "32": "K R", "32a": "R", "33": "R", "34": "S", "35": "K R", "36": "K R", "37": "S", "38": "S R", "39": "S", "40": "R",
	"41": "R", "41a": "K R", "41b": "R", "41c": "R", "42": "S R", "42a": "R", "42b": "R", "43": "S R", "44": "S R", "44a": "R", "44b": "R",
}

const matrixPage = "docs/reliability.md"

var (
	matrixRow  = regexp.MustCompile(`^\| (\d+[a-c]?) \|`)
	shownAt    = regexp.MustCompile("\\b([SKR]): ((?:`[^`]+`(?:, )?)+)")
	quotedName = regexp.MustCompile("`([^`]+)`")
)

// matrixTests returns the page's rows: for each its levels with their tests.
func matrixTests(t *testing.T) map[string]map[string][]string {
	t.Helper()
	text, err := os.ReadFile(matrixPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]map[string][]string{}
	for line := range strings.Lines(string(text)) {
		m := matrixRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || rows[m[1]] != nil {
			t.Errorf("row %s has %d cells, want 5, and stands there once", m[1], len(cells))
			continue
		}
		for i, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("row %s: cell %d is empty", m[1], i+1)
			}
		}
		shown := map[string][]string{}
		for _, at := range shownAt.FindAllStringSubmatch(cells[4], -1) {
			for _, name := range quotedName.FindAllStringSubmatch(at[2], -1) {
				shown[at[1]] = append(shown[at[1]], name[1])
			}
		}
		if len(quotedName.FindAllString(cells[4], -1)) != len(slices.Concat(slices.Collect(maps.Values(shown))...)) {
			t.Errorf("row %s: not every test has its level: %s", m[1], cells[4])
		}
		rows[m[1]] = shown
	}
	return rows
}

// TestFailureMatrix holds the page of failures against the tests that exist:
// every row has a test at each of its levels, and each named test is there.
func TestFailureMatrix(t *testing.T) {
	rows, known := matrixTests(t), testNames(t)
	for row, want := range levels {
		shown, ok := rows[row]
		if !ok {
			t.Errorf("row %s is not on the page", row)
		}
		for level := range strings.FieldsSeq(want) {
			if len(shown[level]) == 0 {
				t.Errorf("row %s has no test at level %s", row, level)
			}
		}
	}
	for row, shown := range rows {
		if levels[row] == "" {
			t.Errorf("row %s is on the page only", row)
		}
		for level, tests := range shown {
			for _, name := range tests {
				known.check(t, row, level, name)
			}
		}
	}
}

// names are the tests of the tree: functions by the base name of their package,
// and the string literals beside them, which name subtests.
type names struct {
	funcs    map[string]bool // package.Test
	literals map[string]map[string]bool
}

func testNames(t *testing.T) names {
	n := names{map[string]bool{}, map[string]map[string]bool{}}
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		pkg := path.Base(s.dir)
		if s.dir == "." {
			pkg = "veltrix"
		}
		if n.literals[pkg] == nil {
			n.literals[pkg] = map[string]bool{}
		}
		ast.Inspect(s.tree, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				n.funcs[pkg+"."+node.Name.Name] = true
			case *ast.BasicLit:
				if text, err := strconv.Unquote(node.Value); node.Kind == token.STRING && err == nil {
					n.literals[pkg][strings.ReplaceAll(text, " ", "_")] = true
				}
			}
			return true
		})
	}
	return n
}

// files of the tests that play a directory, one subtest for each file.
var played = map[string]string{
	"TestScenarios": "internal/engine/enginetest/testdata/%.txt",
	"TestSchedules": "test/chaos/testdata/%.yaml",
}

func (n names) check(t *testing.T, row, level, name string) {
	t.Helper()
	function, sub, _ := strings.Cut(name, "/")
	if pattern, ok := played[function]; ok {
		if _, err := os.Stat(strings.Replace(pattern, "%", sub, 1)); err != nil {
			t.Errorf("row %s: %s: %v", row, name, err)
		}
		return
	}
	pkg, _, _ := strings.Cut(function, ".")
	if !n.funcs[function] {
		t.Errorf("row %s: there is no test %s", row, function)
	}
	for part := range strings.SplitSeq(sub, "/") {
		if part != "" && !n.literals[pkg][part] {
			t.Errorf("row %s: %s: package %s has no subtest %s", row, name, pkg, part)
		}
	}
	if level == "K" && strings.HasSuffix(name, "/kafka") || level == "R" && strings.HasSuffix(name, "/kfake") {
		t.Errorf("row %s: %s is of another level than %s", row, name, level)
	}
}
