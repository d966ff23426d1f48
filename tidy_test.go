package veltrix_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/veltrix/veltrix/"

// arrows says which of our packages a package may import. It is the
// architecture's diagram, as code; "*" may import everything but cmd. A package
// named after its parent with "test" behind it may import what its parent may,
// and its parent.
var arrows = map[string][]string{
	".": {},

	// The core: no I/O, no clock.
	"internal/participant": {},
	"internal/rules":       {"internal/participant"},
	"internal/wire":        {"internal/participant"},

	// What is done with it. These declare what they need of the world.
	"internal/engine":   {"internal/participant", "internal/wire"},
	"internal/fold":     {"internal/participant", "internal/wire", "internal/engine"},
	"internal/advise":   {"internal/participant", "internal/wire"},
	"internal/fixture":  {"internal/participant", "internal/rules", "internal/wire", "internal/engine", "internal/fold"},
	"internal/lag":      {},
	"internal/trail":    {"internal/participant", "internal/wire"},
	"internal/ingest":   {"internal/participant", "internal/wire", "internal/trail"},
	"internal/schema":   {"internal/participant", "internal/wire", "internal/ingest"},
	"internal/delivery": {"internal/participant", "internal/wire"},
	"internal/repair":   {"internal/participant", "internal/wire", "internal/engine", "internal/fold"},
	"internal/verify":   {"internal/participant", "internal/wire", "internal/engine", "internal/fold"},

	// Adapters: one technology each, none knowing another.
	"internal/channel":         {"internal/delivery", "internal/delivery/deliverytest"}, // for channeltest: it holds no code
	"internal/channel/dial":    {"internal/delivery"},
	"internal/channel/push":    {"internal/delivery", "internal/channel/dial"},
	"internal/channel/apns":    {"internal/delivery", "internal/channel/dial", "internal/channel/push"},
	"internal/channel/fcm":     {"internal/delivery", "internal/channel/dial", "internal/channel/push"},
	"internal/channel/webhook": {"internal/delivery", "internal/channel/dial"},
	"internal/channel/webpush": {"internal/delivery", "internal/channel/dial", "internal/channel/push"},
	"internal/inboxapi":        {"internal/participant", "internal/wire", "internal/delivery"},
	"internal/kafkalog":        {"internal/participant", "internal/wire", "internal/engine", "internal/ingest", "internal/delivery", "internal/lag", "internal/preflight", "deploy/kafka"},
	"internal/redisstore":      {"internal/participant", "internal/wire", "internal/engine", "internal/ingest", "internal/delivery", "internal/preflight"},

	// What every process has; these know nothing of events.
	"config":             {},
	"internal/preflight": {},
	"internal/probe":     {"internal/wire", "internal/preflight"},
	"internal/telemetry": {},
	"internal/service":   {},

	// Development: servers that a process brings along.
	"deploy/kafka":        {},
	"internal/child":      {},
	"internal/devcluster": {"deploy/kafka", "internal/child"},
	"internal/testredis":  {"internal/child"},

	// For the tests of those who send events.
	"veltrixtest": {"config", "internal/participant", "internal/rules", "internal/wire", "internal/fold", "internal/ingest", "internal/trail"},

	// Wiring, tools and tests.
	"internal/app":                   {"*"},
	"internal/bench":                 {"*"},
	"examples":                       {"examples/flights", "examples/harbour", "examples/quiz"},
	"examples/clients":               {}, // their test
	"examples/clients/go":            {}, // a module of its own
	"examples/clients/go-client":     {"client"},
	"examples/flights":               {},
	"examples/flights/convert":       {"examples/flights"},
	"examples/harbour":               {},
	"examples/harbour/generate":      {"examples/harbour"},
	"examples/quiz":                  {},
	"examples/quiz/generate":         {"examples", "examples/quiz"},
	"client":                         {}, // for other modules: the standard library alone
	"cmd/producer":                   {"*"},
	"cmd/processor":                  {"*"},
	"cmd/notifier":                   {"*"},
	"cmd/veltrix":                    {"*"},
	"test/broker":                    {"internal/child"},
	"test/broker/run":                {"test/broker", "internal/child"},
	"test/page":                      {}, // a test alone
	"test/proxy":                     {},
	"internal/engine/enginetest/sim": {"internal/engine/enginetest"},
	"test/mutants":                   {"*"},
	"test/e2e":                       {"*"},
	"test/chaos":                     {"*"},
	"test/chaos/relay":               {},
	"test/clients/sarama":            {}, // a module of its own
	"test/chaos/veltrix-chaos":       {"test/chaos", "internal/app"},

	// A module of its own: what people run without us, and the runner beside it. A peer
	// shares nothing with the product, or it would be measured against itself.
	"bench/peers/hand":         {},
	"bench/peers/task":         {"bench/peers/hand"},
	"bench/peers/franz":        {"bench/peers/hand", "bench/peers/task"},
	"bench/peers/naive":        {"bench/peers/hand", "bench/peers/task"},
	"bench/peers/saramaeos":    {"bench/peers/hand", "bench/peers/task"},
	"bench/peers/confluenteos": {"bench/peers/hand", "bench/peers/task"},
	"bench/peers/same": {
		"config", "internal/app", "internal/bench", "internal/engine", "internal/fold", "internal/kafkalog", "internal/participant", "internal/wire",
		"bench/peers/hand", "bench/peers/task", "bench/peers/franz",
	},
	"bench/peers/peer": {"bench/peers/task", "bench/peers/franz", "bench/peers/naive", "bench/peers/saramaeos", "bench/peers/confluenteos", "bench/peers/same"},
	"bench/peers/run":  {"config", "internal/app", "internal/bench"},
}

// clients says who may import a client library, test files apart. Fewer users
// mean fewer places that have to know how the library misbehaves.
var clients = map[string][]string{
	// telemetry names the types of the client's hooks and never makes a client;
	// devcluster and test/broker look after a broker that they started; bench
	// measures the pipeline beside a bare client, and the peers are what is written with one.
	"github.com/twmb/franz-go/pkg/kgo":   {"internal/kafkalog", "internal/telemetry", "internal/devcluster", "internal/bench", "test/broker", "bench/peers/task", "bench/peers/franz", "bench/peers/naive", "bench/peers/same"},
	"github.com/twmb/franz-go/pkg/kadm":  {"internal/kafkalog"},
	"github.com/twmb/franz-go/pkg/kfake": {"internal/devcluster"},
	// bench takes away what Redis has, and reads what peers have put there.
	"github.com/redis/go-redis/v9":     {"internal/redisstore", "internal/bench", "bench/peers/task", "bench/peers/franz", "bench/peers/naive"},
	"github.com/alicebob/miniredis/v2": {"internal/devcluster"},
	"github.com/spf13/viper":           {"config"},

	// Others' clients, each in a module of its own.
	"github.com/IBM/sarama":                               {"test/clients/sarama", "bench/peers/saramaeos"},
	"github.com/confluentinc/confluent-kafka-go/v2/kafka": {"bench/peers/confluenteos"},
}

// carriers are the wiring: it hands clients from one part to another, so it may
// name their types, but it never makes one.
var carriers = []string{"internal/app", "cmd/producer", "cmd/processor", "cmd/notifier", "cmd/veltrix"}

// pure names the packages that decide and never look at the world, with the
// files in them that are the hand that does.
var pure = map[string][]string{
	"internal/lag":         nil,
	"internal/participant": nil,
	"internal/advise":      nil,
	"internal/rules":       {"load.go"}, // reads the file it is given
	// The loop performs the machine's effects; its inbox waits for their results.
	"internal/engine": {"loop.go", "perform.go", "chores.go", "inbox.go"},
	"internal/fold":   nil,
	"internal/wire":   nil,
}

const (
	fileLinesMax     = 500
	functionLinesMax = 70
)

// source is one parsed file of the tree.
type source struct {
	path string // with slashes, from the root
	dir  string
	test bool
	set  *token.FileSet
	tree *ast.File
}

func (s *source) position(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

func (s *source) imports() []string {
	var all []string
	for _, i := range s.tree.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			panic(err) // the parser took it
		}
		all = append(all, name)
	}
	return all
}

// files returns the paths of the tree's own files.
func files(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "target", "veltrix-data"}, d.Name()) {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && name != ".git" { // a linked checkout has a file of that name
			all = append(all, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	parsed  []source
	parsing sync.Once
)

func sources(t *testing.T) []source {
	t.Helper()
	parsing.Do(func() { parsed = parse(t) })
	return parsed
}

func parse(t *testing.T) []source {
	t.Helper()
	var all []source
	set := token.NewFileSet()
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "/testdata/") {
			continue
		}
		tree, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), set, tree})
	}
	return all
}

// allowed returns what dir may import, and whether the table knows it.
func allowed(dir string) ([]string, bool) {
	if row, ok := arrows[dir]; ok {
		return row, true
	}
	parent := path.Dir(dir)
	row, ok := arrows[parent]
	if ok && path.Base(dir) == path.Base(parent)+"test" {
		return append([]string{parent}, row...), true
	}
	return nil, false
}

func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		row, known := allowed(s.dir)
		if !known {
			t.Errorf("%s: package %s is not in the table of arrows; say what it may import", s.path, s.dir)
			continue
		}
		for _, name := range s.imports() {
			to, ours := strings.CutPrefix(name, module)
			switch {
			case !ours:
			case strings.HasPrefix(to, "cmd/"):
				t.Errorf("%s imports %s: nothing imports a command", s.path, to)
			case s.test || to == s.dir: // a test may set up what its package may not know
			case !slices.Contains(row, "*") && !slices.Contains(row, to):
				t.Errorf("%s imports %s, which %s may not", s.path, to, s.dir)
			}
		}
	}
}

func TestClientLibraries(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.dir, "test/e2e") || s.dir == "test/chaos" { // they are tests
			continue
		}
		carrier := slices.Contains(carriers, s.dir)
		for _, name := range s.imports() {
			if users, guarded := clients[name]; guarded && !slices.Contains(users, s.dir) && !carrier {
				t.Errorf("%s imports %s; only %s may", s.path, name, strings.Join(users, ", "))
			}
		}
		if !carrier {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(f.Sel.Name, "New") {
				if of, ok := f.X.(*ast.Ident); ok && slices.Contains([]string{"kgo", "kadm", "redis"}, of.Name) {
					t.Errorf("%s makes a client with %s.%s; an adapter does that", s.position(n), of.Name, f.Sel.Name)
				}
			}
			return true
		})
	}
}

// In the core, time and identity arrive with the event: a second fold of the
// same log must come to the same state.
func TestCoreIsPure(t *testing.T) {
	for _, s := range sources(t) {
		hands, isPure := pure[s.dir]
		if !isPure || s.test || slices.Contains(hands, path.Base(s.path)) {
			continue
		}
		for _, name := range s.imports() {
			if slices.Contains([]string{"os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand"}, name) {
				t.Errorf("%s imports %s", s.path, name)
			}
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if of, ok := n.X.(*ast.Ident); ok && of.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "Local"}, n.Sel.Name) {
					t.Errorf("%s uses time.%s", s.position(n), n.Sel.Name)
				}
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", s.position(n))
			}
			return true
		})
	}
}

func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.set.File(s.tree.Pos()).LineCount(); n > fileLinesMax+1 {
			t.Errorf("%s has %d lines, at most %d", s.path, n-1, fileLinesMax)
		}
		for _, d := range s.tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > functionLinesMax {
				t.Errorf("%s: %s has %d lines, at most %d", s.position(f), f.Name.Name, n, functionLinesMax)
			}
		}
	}
}

func TestPackages(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.tree.Name.Name, "_test")
		for _, word := range []string{"util", "common", "helper", "manager"} {
			if strings.Contains(name, word) || strings.Contains(path.Base(s.dir), word) {
				t.Errorf("%s: the package's name says nothing about what is in it", s.path)
			}
		}
		if s.test {
			continue
		}
		doc := s.tree.Doc.Text()
		documented[s.dir] = documented[s.dir] || strings.HasPrefix(doc, "Package "+name+" ") || name == "main" && strings.HasPrefix(doc, "Command "+path.Base(s.dir)+" ")
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment (`// Package %s …`, `// Command %s …`)", dir, path.Base(dir), path.Base(dir))
		}
	}
}

// A Redis key is built in a file of functions, with the tag that puts it into
// the slot of its partition or participant. A key built elsewhere would work
// until the day Redis is a cluster.
func TestRedisKeysComeFromFunctions(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.dir != "internal/redisstore" || strings.HasPrefix(path.Base(s.path), "keys") {
			continue
		}
		ast.Inspect(s.tree, func(n ast.Node) bool {
			if sum, ok := n.(*ast.BinaryExpr); ok && sum.Op == token.ADD && (mentionsPrefix(sum.X) || mentionsPrefix(sum.Y)) {
				t.Errorf("%s builds a key from the prefix; a function in keys.go does that", s.position(n))
				return false
			}
			return true
		})
	}
}

func mentionsPrefix(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return strings.EqualFold(e.Name, "prefix")
	case *ast.SelectorExpr:
		return strings.EqualFold(e.Sel.Name, "prefix")
	}
	return false
}
