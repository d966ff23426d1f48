package rules

import (
	"math"
	"math/bits"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/veltrix/veltrix/internal/participant"
)

const (
	overflowed   = "the result does not fit into 64 bits"
	dividedBy0   = "division by zero"
	keyAbsent    = "the map has no such key; read it with get(map, key, 0)"
	outsideOfInt = "the number does not fit into an int"
)

func (c *closer) integer(e ast.Expr) fn[int64] {
	switch e.Kind() {
	case ast.LiteralKind:
		if value, ok := e.AsLiteral().Value().(int64); ok {
			return literal(value)
		}
	case ast.SelectKind:
		switch index, inState, ok := c.plain(e); {
		case ok && inState:
			return func(f *frame) (int64, *participant.Rejection) { return f.state[index].Int, nil }
		case ok:
			return func(f *frame) (int64, *participant.Rejection) { return f.fields[index].Int, nil }
		}
		return read(c, e, func(v *participant.Value) int64 { return v.Int })
	case ast.CallKind:
		return c.integerCall(e)
	}
	return stranger[int64](c, e)
}

var integerOperators = map[string]func(int64, int64) (int64, bool){
	operators.Subtract: subtractInts, operators.Multiply: multiplyInts,
}

func (c *closer) integerCall(e ast.Expr) fn[int64] {
	args := operands(e)
	name := e.AsCall().FunctionName()
	switch name {
	case operators.Add:
		return added(c.integer(args[0]), c.integer(args[1]), c.fault(e, overflowed))
	case operators.Subtract, operators.Multiply:
		return partial(c.integer(args[0]), c.integer(args[1]), integerOperators[name], c.fault(e, overflowed))
	case operators.Divide, operators.Modulo:
		return divided(c.integer(args[0]), c.integer(args[1]), name == operators.Modulo,
			c.fault(e, dividedBy0), c.fault(e, overflowed))
	case operators.Negate:
		return partial(literal[int64](0), c.integer(args[0]), subtractInts, c.fault(e, overflowed))
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.integer(args[1]), c.integer(args[2]))
	case operators.Index:
		if c.sort(args[0]) != sortMap {
			return stranger[int64](c, e)
		}
		return partial(c.collection(args[0]), c.text(args[1]), lookup, c.fault(e, keyAbsent))
	case "get":
		return c.lookupOr(args)
	case "size":
		return c.size(e, args)
	case "min":
		return binary(c.integer(args[0]), c.integer(args[1]), func(a, b int64) int64 { return min(a, b) })
	case "max":
		return binary(c.integer(args[0]), c.integer(args[1]), func(a, b int64) int64 { return max(a, b) })
	case "int":
		return c.toInteger(e, args[0])
	}
	return c.calendar(e, args)
}

// added is partial with addInts, which most rules are about.
func added(a, b fn[int64], failed *participant.Rejection) fn[int64] {
	return func(f *frame) (int64, *participant.Rejection) {
		left, fault := a(f)
		if fault != nil {
			return 0, fault
		}
		right, fault := b(f)
		if fault != nil {
			return 0, fault
		}
		sum, ok := addInts(left, right)
		if !ok {
			return 0, failed
		}
		return sum, nil
	}
}

func addInts(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

func subtractInts(a, b int64) (int64, bool) {
	difference := a - b
	return difference, (difference < a) == (b > 0)
}

func multiplyInts(a, b int64) (int64, bool) {
	negative := (a < 0) != (b < 0)
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	if high != 0 || low > math.MaxInt64 && (!negative || low != 1<<63) {
		return 0, false
	}
	return a * b, true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func divided(a, b fn[int64], modulo bool, zero, overflow *participant.Rejection) fn[int64] {
	return func(f *frame) (int64, *participant.Rejection) {
		left, fault := a(f)
		if fault != nil {
			return 0, fault
		}
		right, fault := b(f)
		switch {
		case fault != nil:
			return 0, fault
		case right == 0:
			return 0, zero
		case left == math.MinInt64 && right == -1:
			return 0, overflow
		case modulo:
			return left % right, nil
		}
		return left / right, nil
	}
}

func lookup(in *participant.Collection, key string) (int64, bool) {
	at, found := in.Find(key)
	if !found {
		return 0, false
	}
	return in.Ints[at], true
}

func (c *closer) lookupOr(args []ast.Expr) fn[int64] {
	in, key, otherwise := c.collection(args[0]), c.text(args[1]), c.integer(args[2])
	return func(f *frame) (int64, *participant.Rejection) {
		coll, fault := in(f)
		if fault != nil {
			return 0, fault
		}
		name, fault := key(f)
		if fault != nil {
			return 0, fault
		}
		fallback, fault := otherwise(f)
		if fault != nil {
			return 0, fault
		}
		if value, found := lookup(coll, name); found {
			return value, nil
		}
		return fallback, nil
	}
}

func (c *closer) size(e ast.Expr, args []ast.Expr) fn[int64] {
	switch c.sort(args[0]) {
	case sortSet, sortMap:
		return unary(c.collection(args[0]), func(in *participant.Collection) int64 { return int64(in.Len()) })
	case sortString:
		return unary(c.text(args[0]), func(s string) int64 { return int64(utf8.RuneCountInString(s)) })
	}
	return stranger[int64](c, e)
}

func (c *closer) toInteger(e, arg ast.Expr) fn[int64] {
	switch c.sort(arg) {
	case sortInt:
		return c.integer(arg)
	case sortDouble:
		return partial(literal(struct{}{}), c.double(arg), func(_ struct{}, d float64) (int64, bool) {
			if math.IsNaN(d) || d <= math.MinInt64 || d >= math.MaxInt64 {
				return 0, false
			}
			return int64(d), true
		}, c.fault(e, outsideOfInt))
	}
	return stranger[int64](c, e)
}

func (c *closer) double(e ast.Expr) fn[float64] {
	switch e.Kind() {
	case ast.LiteralKind:
		if value, ok := e.AsLiteral().Value().(float64); ok {
			return literal(value)
		}
	case ast.SelectKind:
		return read(c, e, func(v *participant.Value) float64 { return math.Float64frombits(uint64(v.Int)) })
	case ast.CallKind:
		return c.doubleCall(e)
	}
	return stranger[float64](c, e)
}

func (c *closer) doubleCall(e ast.Expr) fn[float64] {
	args := operands(e)
	switch e.AsCall().FunctionName() {
	case operators.Add:
		return binary(c.double(args[0]), c.double(args[1]), func(a, b float64) float64 { return a + b })
	case operators.Subtract:
		return binary(c.double(args[0]), c.double(args[1]), func(a, b float64) float64 { return a - b })
	case operators.Multiply:
		return binary(c.double(args[0]), c.double(args[1]), func(a, b float64) float64 { return a * b })
	case operators.Divide:
		return binary(c.double(args[0]), c.double(args[1]), func(a, b float64) float64 { return a / b })
	case operators.Negate:
		return unary(c.double(args[0]), func(a float64) float64 { return -a })
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.double(args[1]), c.double(args[2]))
	case "double":
		switch c.sort(args[0]) {
		case sortDouble:
			return c.double(args[0])
		case sortInt:
			return unary(c.integer(args[0]), func(i int64) float64 { return float64(i) })
		}
	}
	return stranger[float64](c, e)
}
