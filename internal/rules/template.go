package rules

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/internal/participant"
)

// The most bytes of a title and a body. Longer ones are cut at a character,
// with an ellipsis: a text too long is no reason to lose an event.
const (
	titleBytesMax = 256
	bodyBytesMax  = 2048
)

// piece is a part of a template: an expression, or literal text.
type piece struct {
	literal    string
	expression *expression
}

// template splits a title or body at its ${…}, and checks the expressions.
func (c *compiler) template(v *view, n *yaml.Node, what string, bytesMax int) []piece {
	value, ok := c.reader.text(n, what)
	if !ok {
		return nil
	}
	t := text{value, c.source.places(n)}
	var pieces []piece
	literal, fixed := "", 0
	for at := 0; at < len(value); {
		rest := value[at:]
		switch {
		case strings.HasPrefix(rest, "$${"):
			literal, at = literal+"${", at+3
		case strings.HasPrefix(rest, "${"):
			end := closing(rest[2:])
			if end < 0 {
				c.at(t.place(runeIndex(value, at)), "${ has no closing }; write $${ for the characters themselves")
				return nil
			}
			from, to := at+2, at+2+end
			inner := text{value[from:to], t.places[runeIndex(value, from) : runeIndex(value, to)+1]}
			if x := c.check(v, inner); x != nil {
				pieces = append(pieces, piece{literal: literal}, piece{expression: x})
			}
			fixed, literal, at = fixed+len(literal), "", to+1
		default:
			literal, at = literal+rest[:1], at+1
		}
	}
	if fixed+len(literal) > bytesMax {
		c.note(n, "%s has %d bytes of fixed text, at most %d are allowed", what, fixed+len(literal), bytesMax)
	}
	return append(pieces, piece{literal: literal})
}

// closing returns the place of the } that ends an expression, or -1. Braces in
// the expression's own strings do not count.
func closing(s string) int {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case quote != 0 && ch == '\\':
			i++
		case quote != 0 && ch == quote:
			quote = 0
		case quote != 0:
		case ch == '"' || ch == '\'':
			quote = ch
		case ch == '}':
			return i
		}
	}
	return -1
}

// writer appends a part of a text to b.
type writer func(f *frame, b []byte) ([]byte, *participant.Rejection)

// render compiles a template for one type of event.
func (c *compiler) render(pieces []piece, event *participant.EventType, where string, bytesMax int) fn[string] {
	var writers []writer
	fixed := ""
	for _, p := range pieces {
		switch {
		case p.expression != nil:
			x := &closer{compiler: c, x: p.expression, event: event, where: where}
			writers = append(writers, x.write(p.expression.tree.Expr()))
		case p.literal != "":
			fixed = p.literal
			writers = append(writers, func(_ *frame, b []byte) ([]byte, *participant.Rejection) {
				return append(b, p.literal...), nil
			})
		}
	}
	if len(pieces) <= 1 {
		return literal(fixed)
	}
	return func(f *frame) (string, *participant.Rejection) {
		b := f.buffer[:0]
		for _, write := range writers {
			var fault *participant.Rejection
			if b, fault = write(f, b); fault != nil {
				return "", fault
			}
		}
		f.buffer = b
		return shortened(b, bytesMax), nil
	}
}

// shortened returns b as a string of at most most bytes.
func shortened(b []byte, most int) string {
	const ellipsis = "…"
	if len(b) <= most {
		return string(b)
	}
	end := most - len(ellipsis)
	for end > 0 && !utf8.RuneStart(b[end]) {
		end--
	}
	return string(b[:end]) + ellipsis
}

// write compiles an expression of any type that can be shown. Every type has
// one spelling, the same on every machine.
func (c *closer) write(e ast.Expr) writer {
	switch c.sort(e) {
	case sortInt:
		return appended(c.integer(e), func(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) })
	case sortString:
		return appended(c.text(e), func(b []byte, s string) []byte { return append(b, s...) })
	case sortBool:
		return appended(c.boolean(e), strconv.AppendBool)
	case sortTime:
		return appended(c.instant(e), appendTime)
	case sortSpan:
		return appended(c.span(e), func(b []byte, us int64) []byte {
			return append(b, (time.Duration(us) * time.Microsecond).String()...)
		})
	case sortDouble:
		return appended(c.double(e), func(b []byte, d float64) []byte {
			if math.Abs(d) >= 1e21 {
				return strconv.AppendFloat(b, d, 'g', -1, 64)
			}
			return strconv.AppendFloat(b, d, 'f', -1, 64)
		})
	case sortSet, sortMap:
		c.refuse(e, "a %s cannot be shown; show its size, such as ${size(%s)}", typeNameOf(c.typeOf(e)), path(e))
	default:
		c.refuse(e, "a value of type %s cannot be shown", typeNameOf(c.typeOf(e)))
	}
	return nil
}

func appended[T any](x fn[T], show func([]byte, T) []byte) writer {
	return func(f *frame, b []byte) ([]byte, *participant.Rejection) {
		value, fault := x(f)
		if fault != nil {
			return b, fault
		}
		return show(b, value), nil
	}
}
