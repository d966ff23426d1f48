package rules

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/veltrix/veltrix/internal/participant"
)

// unreachable warns of a condition that no event can meet: the parts of a
// conjunction, held against the bounds of the contract and against each other.
// What it does not understand, it takes for possible.
func (c *compiler) unreachable(v *view, x *expression) {
	r := &reach{schema: c.schema, view: v, ranges: map[string]span{}}
	for _, part := range conjuncts(x.tree.Expr()) {
		if why := r.meet(part); why != "" {
			at := x.at(part)
			c.program.warnings = append(c.program.warnings, &Problem{c.file, at.line, at.column, "this is never true: " + why})
			return
		}
	}
}

func conjuncts(e ast.Expr) []ast.Expr {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		return append(conjuncts(e.AsCall().Args()[0]), conjuncts(e.AsCall().Args()[1])...)
	}
	return []ast.Expr{e}
}

// span is what a number may be. Open ends are those that it only comes near to.
type span struct {
	low, high         float64
	lowOpen, highOpen bool
}

func (s span) empty() bool {
	return s.low > s.high || s.low == s.high && (s.lowOpen || s.highOpen)
}

func (s span) String() string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	switch {
	case math.IsInf(s.low, -1) && math.IsInf(s.high, 1):
		return "any number"
	case math.IsInf(s.low, -1):
		return "at most " + number(s.high)
	case math.IsInf(s.high, 1):
		return "at least " + number(s.low)
	}
	return "between " + number(s.low) + " and " + number(s.high)
}

// reach is what is known of the operands when the parts so far hold.
type reach struct {
	schema *participant.Schema
	view   *view
	ranges map[string]span
}

// meet takes one part as true, and says why it cannot be; empty if it can.
func (r *reach) meet(e ast.Expr) string {
	if e.Kind() == ast.LiteralKind && e.AsLiteral().Value() == false {
		return "it is false"
	}
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return ""
	}
	op, args := e.AsCall().FunctionName(), e.AsCall().Args()
	left, right := args[0], args[1]
	if left.Kind() == ast.LiteralKind {
		left, right, op = right, left, mirrored(op)
	}
	if word, ok := literalOf(right).(string); ok {
		return r.meetWord(op, left, word)
	}
	n, ok := numberOf(literalOf(right))
	if !ok {
		return ""
	}
	return r.meetNumber(op, left, n)
}

// meetWord holds a comparison with a text against the words of the contract.
func (r *reach) meetWord(op string, e ast.Expr, word string) string {
	f := r.field(e)
	if f == nil || op != operators.Equals || len(f.Enum) == 0 || slices.Contains(f.Enum, word) {
		return ""
	}
	return fmt.Sprintf("`%s` cannot be %q%s", f.Name, word, suggestion(word, f.Enum))
}

func (r *reach) meetNumber(op string, e ast.Expr, n float64) string {
	name, known, whole := r.operand(e)
	if name == "" {
		return ""
	}
	before, narrowed := r.ranges[name]
	if !narrowed {
		before = known
	}
	after := before
	switch op {
	case operators.Equals:
		after = span{max(before.low, n), min(before.high, n), before.lowOpen && before.low == n, before.highOpen && before.high == n}
	case operators.Less, operators.LessEquals:
		if open := op == operators.Less; n < before.high || n == before.high && open {
			after.high, after.highOpen = n, open
		}
		if whole && after.highOpen {
			after.high, after.highOpen = math.Ceil(after.high)-1, false
		}
	case operators.Greater, operators.GreaterEquals:
		if open := op == operators.Greater; n > before.low || n == before.low && open {
			after.low, after.lowOpen = n, open
		}
		if whole && after.lowOpen {
			after.low, after.lowOpen = math.Floor(after.low)+1, false
		}
	default:
		return ""
	}
	if after.empty() {
		return fmt.Sprintf("`%s` is %s here", name, before)
	}
	r.ranges[name] = after
	return ""
}

// operand names a number whose bounds are known; whole says that it has no fractions.
func (r *reach) operand(e ast.Expr) (name string, known span, whole bool) {
	every := span{low: math.Inf(-1), high: math.Inf(1)}
	if f := r.field(e); f != nil {
		if f.Kind != participant.KindInt && f.Kind != participant.KindDouble {
			return "", every, false
		}
		if f.HasMin {
			every.low = f.Min
		}
		if f.HasMax {
			every.high = f.Max
		}
		return "event.data." + f.Name, every, f.Kind == participant.KindInt
	}
	if s := r.slot(e); s != nil && s.Kind == participant.KindInt {
		return "state." + s.Name, every, true
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "size" && len(e.AsCall().Args()) == 1 {
		if s := r.slot(e.AsCall().Args()[0]); s != nil {
			return "size(state." + s.Name + ")", span{low: 0, high: float64(s.Max)}, true
		}
	}
	return "", every, false
}

// field returns the field that event.data.<name> reads.
func (r *reach) field(e ast.Expr) *participant.Field {
	name, ok := selected(e, "event", "data")
	if at := fieldIndex(r.view.fields, name); ok && at >= 0 {
		return &r.view.fields[at]
	}
	return nil
}

func (r *reach) slot(e ast.Expr) *participant.Slot {
	name, ok := selected(e, "state")
	if at := slotIndex(r.schema.Slots, name); ok && at >= 0 {
		return &r.schema.Slots[at]
	}
	return nil
}

// selected returns the name that is selected from a path of names.
func selected(e ast.Expr, path ...string) (name string, ok bool) {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return "", false
	}
	name, from := e.AsSelect().FieldName(), e.AsSelect().Operand()
	for _, want := range slices.Backward(path[1:]) {
		if from.Kind() != ast.SelectKind || from.AsSelect().FieldName() != want {
			return "", false
		}
		from = from.AsSelect().Operand()
	}
	return name, from.Kind() == ast.IdentKind && from.AsIdent() == path[0]
}

func mirrored(op string) string {
	switch op {
	case operators.Less:
		return operators.Greater
	case operators.LessEquals:
		return operators.GreaterEquals
	case operators.Greater:
		return operators.Less
	case operators.GreaterEquals:
		return operators.LessEquals
	}
	return op
}

// literalOf returns a literal's value, or nil.
func literalOf(e ast.Expr) any {
	if e.Kind() != ast.LiteralKind {
		return nil
	}
	return e.AsLiteral().Value()
}

// numberOf returns a number that a float64 holds exactly.
func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		f := float64(v)
		return f, math.Abs(f) < 1<<53
	}
	return 0, false
}
