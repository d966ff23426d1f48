package rules

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/veltrix/veltrix/internal/participant"
)

// frame is what a compiled expression reads. It lives for one step.
type frame struct {
	state       []participant.Value
	fields      []participant.Value
	participant string
	time        int64
	// pending holds what a rule's set expressions gave, until all are known.
	pending []participant.Value
	// buffer is where titles and bodies are put together.
	buffer []byte
}

// fn is a compiled expression of one type. A rejection says why there is no
// value; all rejections are made at load, so failing allocates nothing.
//
// Ints are int64; times and durations too, in µs, where CEL has ns: the
// contract admits no finer times, so the two agree.
type fn[T any] func(*frame) (T, *participant.Rejection)

// closer compiles one checked expression, as one type of event sees it.
type closer struct {
	*compiler
	x     *expression
	event *participant.EventType
	where string // for the sentences of rejections
}

// refuse notes that an expression, though it is CEL, is not for rules.
func (c *closer) refuse(e ast.Expr, format string, args ...any) {
	c.at(c.x.at(e), format, args...)
}

// fault makes the rejection that a node may end in.
func (c *closer) fault(e ast.Expr, reason string) *participant.Rejection {
	p := c.x.at(e)
	return &participant.Rejection{
		Fate:   participant.RuleError,
		Reason: fmt.Sprintf("%s, line %d column %d: %s", c.where, p.line, p.column, reason),
	}
}

func (c *closer) typeOf(e ast.Expr) *types.Type { return c.x.tree.GetType(e.ID()) }

// Nicknames of types, for dispatch.
type sort uint8

const (
	sortOther sort = iota
	sortInt
	sortDouble
	sortBool
	sortString
	sortTime
	sortSpan
	sortSet
	sortMap
	sortChange
)

func (c *closer) sort(e ast.Expr) sort {
	t := c.typeOf(e)
	switch t.Kind() {
	case types.IntKind:
		return sortInt
	case types.DoubleKind:
		return sortDouble
	case types.BoolKind:
		return sortBool
	case types.StringKind:
		return sortString
	case types.TimestampKind:
		return sortTime
	case types.DurationKind:
		return sortSpan
	case types.OpaqueKind:
		switch t.TypeName() {
		case setType.TypeName():
			return sortSet
		case mapType.TypeName():
			return sortMap
		case changeType.TypeName():
			return sortChange
		}
	}
	return sortOther
}

// operands returns a call's target, if any, and arguments.
func operands(e ast.Expr) []ast.Expr {
	call := e.AsCall()
	if call.IsMemberFunction() {
		return append([]ast.Expr{call.Target()}, call.Args()...)
	}
	return call.Args()
}

// stranger refuses a node that no rule may use, and stands in for it.
func stranger[T any](c *closer, e ast.Expr) fn[T] {
	switch {
	case e.Kind() == ast.CallKind && changeFunctions[e.AsCall().FunctionName()]:
		c.refuse(e, "`%s` may only stand at the beginning of a `set` expression", e.AsCall().FunctionName())
	case e.Kind() == ast.CallKind:
		c.refuse(e, "`%s` on %s is not available in rules", spell(e.AsCall().FunctionName()), c.operandTypes(e))
	case e.Kind() == ast.ListKind:
		c.refuse(e, "a list can only stand after `in`")
	case e.Kind() == ast.MapKind || e.Kind() == ast.StructKind:
		c.refuse(e, "maps and objects cannot be written out")
	case strings.HasPrefix(path(e), "."):
		c.refuse(e, "only state.<slot> and event.data.<field> can be read")
	case e.Kind() == ast.IdentKind || e.Kind() == ast.SelectKind:
		c.refuse(e, "`%s` is of type %s, which an expression can only pass on", path(e), typeNameOf(c.typeOf(e)))
	default:
		c.refuse(e, "values of type %s are not available in rules", typeNameOf(c.typeOf(e)))
	}
	return func(*frame) (zero T, _ *participant.Rejection) { return zero, nil }
}

func (c *closer) operandTypes(e ast.Expr) string {
	out := ""
	for i, operand := range operands(e) {
		if i > 0 {
			out += " and "
		}
		out += typeNameOf(c.typeOf(operand))
	}
	return out
}

// spell writes an operator as its author did.
func spell(function string) string {
	if function == operators.Index {
		return "[]"
	}
	if name, ok := operators.FindReverse(function); ok && name != "" {
		return name
	}
	return function
}

// literal compiles a constant.
func literal[T any](value T) fn[T] {
	return func(*frame) (T, *participant.Rejection) { return value, nil }
}

// choose compiles `condition ? yes : no`.
func choose[T any](condition fn[bool], yes, no fn[T]) fn[T] {
	return func(f *frame) (T, *participant.Rejection) {
		ok, fault := condition(f)
		if fault != nil {
			var none T
			return none, fault
		}
		if ok {
			return yes(f)
		}
		return no(f)
	}
}

// binary compiles an operator that needs both operands and cannot fail.
func binary[A, B, T any](a fn[A], b fn[B], op func(A, B) T) fn[T] {
	return func(f *frame) (T, *participant.Rejection) {
		var none T
		left, fault := a(f)
		if fault != nil {
			return none, fault
		}
		right, fault := b(f)
		if fault != nil {
			return none, fault
		}
		return op(left, right), nil
	}
}

// partial compiles an operator that has no result for some operands.
func partial[A, B, T any](a fn[A], b fn[B], op func(A, B) (T, bool), failed *participant.Rejection) fn[T] {
	return func(f *frame) (T, *participant.Rejection) {
		var none T
		left, fault := a(f)
		if fault != nil {
			return none, fault
		}
		right, fault := b(f)
		if fault != nil {
			return none, fault
		}
		value, ok := op(left, right)
		if !ok {
			return none, failed
		}
		return value, nil
	}
}

// unary compiles an operator on one operand that cannot fail.
func unary[A, T any](a fn[A], op func(A) T) fn[T] {
	return func(f *frame) (T, *participant.Rejection) {
		value, fault := a(f)
		if fault != nil {
			var none T
			return none, fault
		}
		return op(value), nil
	}
}

// find tells the slot or field that a selection reads: from the state, or
// from the event's data. ok is false for anything else.
func (c *closer) find(e ast.Expr) (index int, kind participant.Kind, inState, ok bool) {
	if e.Kind() != ast.SelectKind {
		return 0, 0, false, false
	}
	name := e.AsSelect().FieldName()
	switch path(e.AsSelect().Operand()) {
	case "state":
		at := slotIndex(c.schema.Slots, name)
		return at, c.schema.Slots[at].Kind, true, true
	case "event.data":
		at := fieldIndex(c.event.Fields, name)
		return at, c.event.Fields[at].Kind, false, true
	}
	return 0, 0, false, false
}

// read compiles a selection of a slot or a field. Only an optional field and a
// time slot can be absent.
func read[T any](c *closer, e ast.Expr, take func(*participant.Value) T) fn[T] {
	index, kind, inState, ok := c.find(e)
	if !ok || e.AsSelect().IsTestOnly() {
		return stranger[T](c, e)
	}
	switch {
	case inState && kind == participant.KindTime:
		unset := c.fault(e, path(e)+" is not set; ask with has("+path(e)+")")
		return func(f *frame) (T, *participant.Rejection) {
			v := &f.state[index]
			if v.Kind == participant.KindNone {
				var none T
				return none, unset
			}
			return take(v), nil
		}
	case inState:
		return func(f *frame) (T, *participant.Rejection) { return take(&f.state[index]), nil }
	case c.event.Fields[index].Optional:
		absent := c.fault(e, path(e)+" is absent; ask with has("+path(e)+")")
		return func(f *frame) (T, *participant.Rejection) {
			v := &f.fields[index]
			if v.Kind == participant.KindNone {
				var none T
				return none, absent
			}
			return take(v), nil
		}
	}
	return func(f *frame) (T, *participant.Rejection) { return take(&f.fields[index]), nil }
}

// plain finds a selection that cannot be absent, which most are: its readers are
// written out, because a call for each costs more than what they do.
func (c *closer) plain(e ast.Expr) (index int, inState, ok bool) {
	index, kind, inState, ok := c.find(e)
	if !ok || e.AsSelect().IsTestOnly() || inState && kind == participant.KindTime || !inState && c.event.Fields[index].Optional {
		return 0, false, false
	}
	return index, inState, true
}

// collection compiles what is a set or a map: only a slot can be.
func (c *closer) collection(e ast.Expr) fn[*participant.Collection] {
	if _, _, inState, ok := c.find(e); ok && inState {
		return read(c, e, func(v *participant.Value) *participant.Collection { return v.Coll })
	}
	c.refuse(e, "a set or a map must be named directly, such as state.%s", c.anyCollection())
	return literal[*participant.Collection](nil)
}

func (c *closer) anyCollection() string {
	for i := range c.schema.Slots {
		if k := c.schema.Slots[i].Kind; k == participant.KindSet || k == participant.KindMap {
			return c.schema.Slots[i].Name
		}
	}
	return "found"
}
