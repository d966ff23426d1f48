package rules

import (
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/veltrix/veltrix/internal/participant"
)

func (c *closer) text(e ast.Expr) fn[string] {
	switch e.Kind() {
	case ast.LiteralKind:
		if value, ok := constantString(e); ok {
			return literal(value)
		}
	case ast.IdentKind:
		if e.AsIdent() == "participant" {
			return func(f *frame) (string, *participant.Rejection) { return strings.Clone(f.participant), nil } // a state may keep it
		}
	case ast.SelectKind:
		if path(e) == "event.type" {
			return literal(c.event.Name)
		}
		switch index, inState, ok := c.plain(e); {
		case ok && inState:
			return func(f *frame) (string, *participant.Rejection) { return f.state[index].Str, nil }
		case ok:
			return func(f *frame) (string, *participant.Rejection) { return f.fields[index].Str, nil }
		}
		return read(c, e, func(v *participant.Value) string { return v.Str })
	case ast.CallKind:
		return c.textCall(e)
	}
	return stranger[string](c, e)
}

func (c *closer) textCall(e ast.Expr) fn[string] {
	args := operands(e)
	switch e.AsCall().FunctionName() {
	case operators.Add:
		return binary(c.text(args[0]), c.text(args[1]), func(a, b string) string { return a + b })
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.text(args[1]), c.text(args[2]))
	case "string":
		switch c.sort(args[0]) {
		case sortString:
			return c.text(args[0])
		case sortInt:
			return unary(c.integer(args[0]), func(i int64) string { return strconv.FormatInt(i, 10) })
		case sortBool:
			return unary(c.boolean(args[0]), strconv.FormatBool)
		case sortTime:
			return unary(c.instant(args[0]), func(us int64) string { return string(appendTime(nil, us)) })
		}
	}
	return stranger[string](c, e)
}

// appendTime writes a time in RFC 3339, in UTC, with as many digits of a
// second as it needs.
func appendTime(b []byte, us int64) []byte {
	return time.UnixMicro(us).UTC().AppendFormat(b, time.RFC3339Nano)
}
