package rules

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/veltrix/veltrix/internal/participant"
)

func (c *closer) boolean(e ast.Expr) fn[bool] {
	switch e.Kind() {
	case ast.LiteralKind:
		if value, ok := e.AsLiteral().Value().(bool); ok {
			return literal(value)
		}
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return c.presence(e)
		}
		return read(c, e, func(v *participant.Value) bool { return v.Int != 0 })
	case ast.CallKind:
		return c.booleanCall(e)
	}
	return stranger[bool](c, e)
}

func (c *closer) booleanCall(e ast.Expr) fn[bool] {
	args := operands(e)
	switch name := e.AsCall().FunctionName(); name {
	case operators.LogicalAnd:
		return c.junctions(args, false)
	case operators.LogicalOr:
		return c.junctions(args, true)
	case operators.LogicalNot:
		return unary(c.boolean(args[0]), func(b bool) bool { return !b })
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.boolean(args[1]), c.boolean(args[2]))
	case operators.Equals, operators.NotEquals:
		return c.equality(e, args[0], args[1], name == operators.Equals)
	case operators.Less:
		return c.comparison(e, args[0], args[1], false)
	case operators.LessEquals:
		return c.comparison(e, args[0], args[1], true)
	case operators.Greater:
		return c.comparison(e, args[1], args[0], false)
	case operators.GreaterEquals:
		return c.comparison(e, args[1], args[0], true)
	case operators.In:
		return c.membership(e, args[0], args[1])
	case "contains":
		return c.onStrings(e, args, strings.Contains)
	case "startsWith":
		return c.onStrings(e, args, strings.HasPrefix)
	case "endsWith":
		return c.onStrings(e, args, strings.HasSuffix)
	}
	return stranger[bool](c, e)
}

func (c *closer) onStrings(e ast.Expr, args []ast.Expr, op func(string, string) bool) fn[bool] {
	if len(args) != 2 || c.sort(args[0]) != sortString || c.sort(args[1]) != sortString {
		return stranger[bool](c, e)
	}
	return binary(c.text(args[0]), c.text(args[1]), op)
}

// junctions joins all operands of one && or ||.
func (c *closer) junctions(args []ast.Expr, decisive bool) fn[bool] {
	joined := c.boolean(args[0])
	for _, arg := range args[1:] {
		joined = junction(joined, c.boolean(arg), decisive)
	}
	return joined
}

// junction compiles && (decisive false) and || (decisive true). As CEL has it,
// a decisive operand decides even where another one fails, on either side.
func junction(a, b fn[bool], decisive bool) fn[bool] {
	return func(f *frame) (bool, *participant.Rejection) {
		left, fault := a(f)
		if fault == nil && left == decisive {
			return decisive, nil
		}
		right, second := b(f)
		if second == nil && right == decisive {
			return decisive, nil
		}
		if fault == nil {
			fault = second
		}
		return !decisive, fault
	}
}

// presence compiles has(). Asking whether something is there that always is
// would only look like a condition, so it is refused for slots.
func (c *closer) presence(e ast.Expr) fn[bool] {
	index, kind, inState, ok := c.find(e)
	switch {
	case !ok:
		c.refuse(e, "has() asks for optional fields of event.data and for times of state; %s is always there", path(e))
		return literal(true)
	case inState && kind != participant.KindTime:
		c.refuse(e, "has(%s) is always true: a slot of type %s begins with a value. Compare it instead, such as %s",
			path(e), kind, instead(kind, path(e)))
		return literal(true)
	case inState:
		return func(f *frame) (bool, *participant.Rejection) { return f.state[index].Kind != participant.KindNone, nil }
	}
	return func(f *frame) (bool, *participant.Rejection) {
		return f.fields[index].Kind != participant.KindNone, nil
	}
}

func instead(kind participant.Kind, path string) string {
	switch kind {
	case participant.KindSet, participant.KindMap:
		return "size(" + path + ") > 0"
	case participant.KindString:
		return path + ` != ""`
	case participant.KindBool:
		return path
	}
	return path + " != 0"
}

func (c *closer) equality(e, a, b ast.Expr, equal bool) fn[bool] {
	kind := c.sort(a)
	switch {
	case c.typeOf(a).Kind() == types.NullTypeKind || c.typeOf(b).Kind() == types.NullTypeKind:
		c.refuse(e, "there is no null: ask with has(…) whether a time or an optional field is there")
		return literal(false)
	case kind != c.sort(b):
		return stranger[bool](c, e)
	}
	switch kind {
	case sortInt:
		return same(c.integer(a), c.integer(b), equal)
	case sortDouble:
		return same(c.double(a), c.double(b), equal)
	case sortBool:
		return same(c.boolean(a), c.boolean(b), equal)
	case sortString:
		return same(c.text(a), c.text(b), equal)
	case sortTime:
		return same(c.instant(a), c.instant(b), equal)
	case sortSpan:
		return same(c.span(a), c.span(b), equal)
	}
	return stranger[bool](c, e)
}

func same[T comparable](a, b fn[T], equal bool) fn[bool] {
	return func(f *frame) (bool, *participant.Rejection) {
		left, fault := a(f)
		if fault != nil {
			return false, fault
		}
		right, fault := b(f)
		if fault != nil {
			return false, fault
		}
		return (left == right) == equal, nil
	}
}

// comparison compiles a < b, or a <= b where orEqual. An int and a double meet
// as CEL has it: out of an int's range the double decides, within it the int is
// taken as a double. What is not a number is neither less nor more than anything.
func (c *closer) comparison(e, a, b ast.Expr, orEqual bool) fn[bool] {
	left, right := c.sort(a), c.sort(b)
	most := -1 // what the comparison of the two may be at most
	if orEqual {
		most = 0
	}
	switch {
	case left == sortInt && right == sortInt:
		return less(c.integer(a), c.integer(b), orEqual)
	case left == sortString && right == sortString:
		return less(c.text(a), c.text(b), orEqual)
	case left == sortTime && right == sortTime:
		return less(c.instant(a), c.instant(b), orEqual)
	case left == sortSpan && right == sortSpan:
		return less(c.span(a), c.span(b), orEqual)
	case left == sortDouble && right == sortDouble:
		return less(c.double(a), c.double(b), orEqual)
	case left == sortBool && right == sortBool:
		return binary(c.boolean(a), c.boolean(b), func(l, r bool) bool { return !l && (r || orEqual) || l && r && orEqual })
	case left == sortInt && right == sortDouble:
		return binary(c.integer(a), c.double(b), func(i int64, d float64) bool {
			return -compareDoubleInt(d, i) <= most && !math.IsNaN(d)
		})
	case left == sortDouble && right == sortInt:
		return binary(c.double(a), c.integer(b), func(d float64, i int64) bool {
			return compareDoubleInt(d, i) <= most && !math.IsNaN(d)
		})
	}
	return stranger[bool](c, e)
}

func less[T cmp.Ordered](a, b fn[T], orEqual bool) fn[bool] {
	return func(f *frame) (bool, *participant.Rejection) {
		left, fault := a(f)
		if fault != nil {
			return false, fault
		}
		right, fault := b(f)
		if fault != nil {
			return false, fault
		}
		return left < right || orEqual && left == right, nil
	}
}

func compareDoubleInt(d float64, i int64) int {
	switch {
	case d < math.MinInt64:
		return -1
	case d > math.MaxInt64:
		return 1
	}
	return cmp.Compare(d, float64(i))
}

// membership compiles `in` a set, a map or a list that is written out.
func (c *closer) membership(e, item, container ast.Expr) fn[bool] {
	if kind := c.sort(container); kind == sortSet || kind == sortMap {
		return binary(c.text(item), c.collection(container), func(key string, in *participant.Collection) bool {
			_, found := in.Find(key)
			return found
		})
	}
	if container.Kind() != ast.ListKind || container.AsList().Size() == 0 {
		c.refuse(container, "`in` takes a set, a map or a list with members that is written out, such as [\"a\", \"b\"]")
		return literal(false)
	}
	list := container.AsList().Elements()
	if slices.ContainsFunc(list, func(member ast.Expr) bool { return c.sort(member) != c.sort(item) }) {
		c.refuse(container, "all members of the list must be of the type of what is looked for, %s", typeNameOf(c.typeOf(item)))
		return literal(false)
	}
	switch c.sort(item) {
	case sortInt:
		return listed(c.integer, item, list)
	case sortString:
		return listed(c.text, item, list)
	case sortTime:
		return listed(c.instant, item, list)
	}
	return stranger[bool](c, e)
}

// listed evaluates all members before it looks: one that fails is not hidden
// by another that matches.
func listed[T comparable](compile func(ast.Expr) fn[T], item ast.Expr, list []ast.Expr) fn[bool] {
	x := compile(item)
	members := make([]fn[T], len(list))
	for i := range list {
		members[i] = compile(list[i])
	}
	return func(f *frame) (bool, *participant.Rejection) {
		value, fault := x(f)
		if fault != nil {
			return false, fault
		}
		found := false
		for _, member := range members {
			m, fault := member(f)
			if fault != nil {
				return false, fault
			}
			found = found || m == value
		}
		return found, nil
	}
}
