package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/veltrix/veltrix/internal/participant"
)

// The oracle is cel-go's own evaluator, over the same event and state. What it
// says of an expression, the compiled closure must say too: the same value, or
// no value.
type oracle struct {
	*environment
	event *participant.EventType
}

// world is the event and the state that both sides read.
type world struct {
	state, fields []participant.Value
}

func (o oracle) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := o.environment.FindStructFieldType(name, field)
	if !ok {
		return nil, false
	}
	t.IsSet = func(target any) bool {
		v, stored := o.stored(target.(*world), name, field)
		return !stored || v.Kind != participant.KindNone
	}
	t.GetFrom = func(target any) (any, error) {
		w := target.(*world)
		v, stored := o.stored(w, name, field)
		switch {
		case !stored && field == "data":
			return w, nil
		case !stored && field == "type":
			return o.event.Name, nil
		case !stored:
			return time.UnixMicro(noon).UTC(), nil
		case v.Kind == participant.KindNone:
			return nil, fmt.Errorf("%s is absent", field)
		}
		return celValue(v), nil
	}
	return t, true
}

func (o oracle) stored(w *world, name, field string) (participant.Value, bool) {
	switch {
	case name == stateType.TypeName():
		return w.state[slotIndex(o.schema.Slots, field)], true
	case strings.HasPrefix(name, dataPrefix):
		return w.fields[fieldIndex(o.event.Fields, field)], true
	}
	return participant.Value{}, false
}

func celValue(v participant.Value) ref.Val {
	switch v.Kind {
	case participant.KindInt:
		return types.Int(v.Int)
	case participant.KindBool:
		return types.Bool(v.Int != 0)
	case participant.KindString:
		return types.String(v.Str)
	case participant.KindTime:
		return types.Timestamp{Time: time.UnixMicro(v.Int).UTC()}
	case participant.KindDouble:
		return types.Double(math.Float64frombits(uint64(v.Int)))
	}
	return collectionVal{v}
}

// collectionVal is a set or a map as the evaluator wants it.
type collectionVal struct{ v participant.Value }

var (
	_ traits.Container = collectionVal{}
	_ traits.Sizer     = collectionVal{}
	_ traits.Indexer   = collectionVal{}
)

func (c collectionVal) ConvertToNative(reflect.Type) (any, error) { return c.v, nil }
func (c collectionVal) ConvertToType(ref.Type) ref.Val            { return types.NewErr("opaque") }
func (c collectionVal) Equal(ref.Val) ref.Val                     { return types.NewErr("opaque") }
func (c collectionVal) Value() any                                { return c.v }
func (c collectionVal) Size() ref.Val                             { return types.Int(c.v.Coll.Len()) }

func (c collectionVal) Type() ref.Type {
	own := setType
	if c.v.Kind == participant.KindMap {
		own = mapType
	}
	return own.WithTraits(traits.ContainerType | traits.SizerType | traits.IndexerType)
}

func (c collectionVal) Contains(key ref.Val) ref.Val {
	_, found := c.v.Coll.Find(string(key.(types.String)))
	return types.Bool(found)
}

func (c collectionVal) Get(key ref.Val) ref.Val {
	if n, found := lookup(c.v.Coll, string(key.(types.String))); found {
		return types.Int(n)
	}
	return types.NewErr("no such key")
}

// bindings give the evaluator our functions, written anew.
func bindings() []cel.EnvOption {
	num := cel.IntType
	extreme := func(name string, first func(a, b types.Int) bool) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_int", []*cel.Type{num, num}, num, cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			if first(a.(types.Int), b.(types.Int)) {
				return a
			}
			return b
		})))
	}
	return []cel.EnvOption{
		extreme("min", func(a, b types.Int) bool { return a < b }),
		extreme("max", func(a, b types.Int) bool { return a > b }),
		cel.Function("get", cel.Overload("get_map_of_int", []*cel.Type{mapType, cel.StringType, num}, num,
			cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				if n := args[0].(collectionVal).Get(args[1]); !types.IsError(n) {
					return n
				}
				return args[2]
			}))),
	}
}

// generator writes random expressions of a wanted type, mostly valid at run time.
type generator struct{ *rand.Rand }

// grammar gives, for each type, its ways to be written; %i, %d, %b, %s, %t and
// %p stand for an int, a number, a bool, a string, a time and a duration.
var grammar = map[byte][]string{
	'i': {
		"0", "1", "-1", "7", "9223372036854775807", "-9223372036854775808", "4611686018427387904",
		"state.count", "state.other", "event.data.n", "event.data.on", "get(state.kills, %s, %i)", "state.kills[%s]",
		"size(state.found)", "size(state.kills)", "size(%s)", "(%i + %i)", "(%i - %i)", "(%i * %i)", "(%i / %i)",
		"(%i %% %i)", "-(%i)", "(%b ? %i : %i)", "min(%i, %i)", "max(%i, %i)", "int(%d)", "(%t).getHours()",
		"(%t).getDayOfYear()", "(%t).getDayOfWeek()", "(%t).getMonth()", "(%t).getDate()", "(%t).getDayOfMonth()",
		"(%t).getFullYear()", "(%t).getMilliseconds()", "(%p).getMinutes()", "(%p).getHours()", "(%p).getSeconds()",
		"(%t).getSeconds()", "(%t).getMinutes()",
	},
	'd': {
		"0.0", "1.5", "-2.25", "1e300", "9.223372036854776e18", "event.data.x", "event.data.ox", "double(%i)",
		"(%d + %d)", "(%d - %d)", "(%d * %d)", "(%d / %d)", "-(%d)", "(%b ? %d : %d)",
	},
	'b': {
		"true", "false", "state.flag", "event.data.b", "has(event.data.on)", "has(event.data.ox)", "has(state.at)",
		"has(state.begun)", "(%b && %b)", "(%b || %b)", "(%b && %b && %b)", "!(%b)", "(%b ? %b : %b)", "(%b == %b)", "(%b < %b)",
		"(%i == %i)", "(%i != %i)", "(%i < %i)", "(%i <= %d)", "(%d > %i)", "(%d >= %d)", "(%d == %d)", "(%d != %d)",
		"(%s == %s)", "(%s < %s)", "(%s >= %s)", "(%t < %t)", "(%t == %t)", "(%p > %p)", "(%p == %p)", "(%i < %d)", "(%d <= %i)",
		"(%s in state.found)", "(%s in state.kills)", "(%i in [%i, %i])", "(%s in [%s, %s, %s])", "(%t in [%t])",
		"(%s).contains(%s)", "(%s).startsWith(%s)", "(%s).endsWith(%s)",
	},
	's': {
		`""`, `"a"`, `"grün"`, `"\u00e9"`, "participant", "state.word", "event.data.s", "event.type", "(%s + %s)",
		"(%b ? %s : %s)", "string(%i)", "string(%b)", "string(%t)", "string(%s)",
	},
	't': {
		"event.time", "state.at", "state.begun", "event.data.t", `timestamp("0001-01-01T00:00:00Z")`,
		`timestamp("9999-12-31T23:59:59.999999Z")`, `timestamp("2026-07-01T14:00:00.25Z")`, "(%t + %p)", "(%p + %t)",
		"(%t - %p)", "(%b ? %t : %t)",
	},
	'p': {
		`duration("0s")`, `duration("1h30m")`, `duration("-2500us")`, `duration("2562047h")`, "(%t - %t)", "(%p + %p)",
		"(%p - %p)", "(%b ? %p : %p)",
	},
}

func (g generator) write(b *strings.Builder, of byte, depth int) {
	ways := grammar[of]
	way := ways[g.IntN(len(ways))]
	for depth == 0 && strings.Contains(way, "%") {
		way = ways[g.IntN(len(ways))]
	}
	for i := 0; i < len(way); i++ {
		switch {
		case way[i] != '%':
			b.WriteByte(way[i])
		case way[i+1] == '%':
			b.WriteByte('%')
			i++
		default:
			g.write(b, way[i+1], depth-1)
			i++
		}
	}
}

const oracleRules = `
hunt: oracle
version: 1
events:
  go:
    data:
      n: {type: int}
      on: {type: int, optional: true}
      x: {type: number}
      ox: {type: number, optional: true}
      b: {type: bool}
      s: {type: string, max: 16}
      t: {type: time}
state:
  count: {type: int}
  other: {type: int}
  flag: {type: bool}
  word: {type: string, max: 16}
  at: {type: time}
  begun: {type: time}
  found: {type: set, max: 8}
  kills: {type: map, max: 8}
rules: []
`

func (g generator) value(kind participant.Kind, optional bool) participant.Value {
	v := participant.Value{Kind: kind}
	words := []string{"", "a", "b", "grün", "é", "go", "ada", "0", "true"}
	ints := []int64{0, 1, -1, 2, 1000, math.MaxInt64, math.MinInt64, 1 << 53, 1<<53 + 1}
	doubles := []float64{0, 1, -1.5, 2.5, 1 << 53, 9.3e18, -9.3e18, math.MaxFloat64}
	if optional && g.IntN(2) == 0 {
		return participant.Value{}
	}
	switch kind {
	case participant.KindInt:
		v.Int = ints[g.IntN(len(ints))]
	case participant.KindBool:
		v.Int = int64(g.IntN(2))
	case participant.KindString:
		v.Str = words[g.IntN(len(words))]
	case participant.KindTime:
		v.Int = []int64{0, noon, noon + 1, instantMin, instantMax, -1}[g.IntN(6)]
	case participant.KindDouble:
		v.Int = int64(math.Float64bits(doubles[g.IntN(len(doubles))]))
	case participant.KindSet, participant.KindMap:
		for range g.IntN(4) {
			v.Coll = v.Coll.With(words[g.IntN(len(words))], ints[g.IntN(len(ints))], kind == participant.KindMap)
		}
	}
	return v
}

// bench holds what is the same for all expressions.
type bench struct {
	p        *Program
	compiler *compiler
	view     *view
	env      *cel.Env
}

func newBench(t testing.TB) *bench {
	t.Helper()
	p := mustLoad(t, oracleRules)
	e, err := newEnvironment(p.schema)
	if err != nil {
		t.Fatal(err)
	}
	v, err := e.view([]int{0})
	if err != nil {
		t.Fatal(err)
	}
	o := oracle{e, &p.schema.Types[0]}
	env, err := v.env.Extend(append(bindings(), cel.CustomTypeProvider(o))...)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{p, &compiler{reader: &reader{file: "x", source: newSource(nil)}, env: e, schema: p.schema}, v, env}
}

// compare says what a seed's expression gives on both sides; "" where they agree.
func (b *bench) compare(t testing.TB, seed uint64) (difference string, failed bool) {
	t.Helper()
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	var out strings.Builder
	g.write(&out, "idbstp"[g.IntN(6)], 1+g.IntN(4))
	w := &world{}
	for _, f := range b.p.schema.Types[0].Fields {
		w.fields = append(w.fields, g.value(f.Kind, f.Optional))
	}
	for _, s := range b.p.schema.Slots {
		w.state = append(w.state, g.value(s.Kind, s.Kind == participant.KindTime))
	}
	if out.Len() > expressionCharsMax {
		return "", true
	}
	return b.compareText(t, out.String(), w)
}

func (b *bench) compareText(t testing.TB, source string, w *world) (difference string, failed bool) {
	t.Helper()
	want, wantErr := b.evaluate(t, source, w)
	got, fault := b.run(t, source, w)
	if (fault != nil) != (wantErr != nil) || fault == nil && got != want {
		return fmt.Sprintf("%s\nstate %v\nevent %v\ncel     %s, %v\nclosure %s, %v", source, w.state, w.fields, want, wantErr, got, fault), false
	}
	return "", fault != nil
}

func (b *bench) evaluate(t testing.TB, source string, w *world) (string, error) {
	t.Helper()
	tree, issues := b.env.Compile(source)
	if issues.Err() != nil {
		t.Fatalf("%s\n%v", source, issues.Err())
	}
	program, err := b.env.Program(tree)
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := program.Eval(map[string]any{"event": w, "state": w, "participant": "ada"})
	if err != nil {
		return "", err
	}
	switch v := value.(type) {
	case types.Double:
		return fmt.Sprintf("double %x", math.Float64bits(float64(v))), nil
	case types.Timestamp:
		return fmt.Sprintf("instant %d", v.UnixNano()/1000), nil
	}
	return fmt.Sprintf("%T %v", value.Value(), value.Value()), nil
}

func (b *bench) run(t testing.TB, source string, w *world) (string, *participant.Rejection) {
	t.Helper()
	x := b.compiler.check(b.view, text{source, make([]place, len([]rune(source))+1)})
	if x == nil {
		t.Fatalf("%s\n%v", source, b.compiler.problems)
	}
	c := &closer{compiler: b.compiler, x: x, event: &b.p.schema.Types[0], where: "test"}
	f := &frame{state: w.state, fields: w.fields, participant: "ada", time: noon}
	e := x.tree.Expr()
	defer func() {
		if len(b.compiler.problems) > 0 {
			t.Fatalf("%s\n%v", source, b.compiler.problems)
		}
	}()
	switch c.sort(e) {
	case sortInt:
		return spelt("int64 %d", c.integer(e), f)
	case sortDouble:
		return spelt("double %x", unary(c.double(e), math.Float64bits), f)
	case sortBool:
		return spelt("bool %t", c.boolean(e), f)
	case sortString:
		return spelt("string %s", c.text(e), f)
	case sortTime:
		// UnixNano wraps round for far years; both sides go through it.
		return spelt("instant %d", unary(c.instant(e), func(us int64) int64 { return time.UnixMicro(us).UnixNano() / 1000 }), f)
	}
	return spelt("time.Duration %v", unary(c.span(e), func(us int64) time.Duration { return time.Duration(us) * time.Microsecond }), f)
}

func spelt[T any](format string, x fn[T], f *frame) (string, *participant.Rejection) {
	value, fault := x(f)
	if fault != nil {
		return "", fault
	}
	return fmt.Sprintf(format, value), nil
}

// TestClosuresAgreeWithCEL compares many random expressions, and makes sure
// that values and failures both come up.
func TestClosuresAgreeWithCEL(t *testing.T) {
	b := newBench(t)
	values, failures := 0, 0
	for seed := range uint64(3000) {
		difference, failed := b.compare(t, seed)
		if difference != "" {
			t.Fatalf("seed %d: %s", seed, difference)
		}
		if failed {
			failures++
		} else {
			values++
		}
	}
	if values < 1000 || failures < 300 {
		t.Errorf("%d values and %d failures say too little", values, failures)
	}
}

// TestClosuresAgreeAtTheEdges compares what chance finds too rarely.
func TestClosuresAgreeAtTheEdges(t *testing.T) {
	b := newBench(t)
	w := &world{}
	for _, f := range b.p.schema.Types[0].Fields {
		w.fields = append(w.fields, participant.Value{Kind: f.Kind})
	}
	w.state = b.p.schema.Initial()
	failures := 0
	sources := []string{
		"-9223372036854775808 / -1", "-9223372036854775808 % -1", "-(-9223372036854775808)",
		"-9223372036854775808 * -1", "-1 * -9223372036854775808", "-9223372036854775808 * 1",
		"int(-9223372036854775808.0)", "int(9223372036854775807.0)", "int(9.2233720368547748e18)", "int(0.0 / 0.0)",
		"0 < 0.0 / 0.0", "0 > 0.0 / 0.0", "0.0 / 0.0 < 0", "0.0 / 0.0 <= 0", "0.0 / 0.0 >= 0", "0.0 / 0.0 < 1.0", "1.0 < 0.0 / 0.0", "0.0 / 0.0 == 0.0 / 0.0", "0.0 / 0.0 != 1.0",
		"9007199254740993 < 9007199254740992.0", "9223372036854775807 < 9.223372036854775807e18", "1 < 1e300", "-1e300 < 1",
		"-0.0 < 0.0", "-0.0 == 0.0", "1.0 / -0.0 < 0", "true && 1 / 0 == 1", "1 / 0 == 1 && 2 / 0 == 2 && false",
		"1 in [1, 1 / 0]", `"a" in ["b", state.word]`, `size("\U0001F600é")`, "get(state.kills, string(1 / 0), 1)",
		`(event.time - timestamp("2262-04-11T23:47:16Z")).getSeconds()`, `state.word < "é"`, "true < false", "true <= true", "true <= false", "false < true", "false <= true", "false < false", "true > false", "(1 / 0 > 0) ? 1 : 2",
	}
	for _, source := range sources {
		difference, failed := b.compareText(t, source, w)
		if difference != "" {
			t.Error(difference)
		}
		if failed {
			failures++
		}
	}
	if failures < 10 || failures > len(sources)-10 {
		t.Errorf("%d of %d expressions have no value", failures, len(sources))
	}
}

func FuzzClosuresAgreeWithCEL(f *testing.F) {
	b := newBench(f)
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		if difference, _ := b.compare(t, seed); difference != "" {
			t.Fatal(difference)
		}
	})
}
