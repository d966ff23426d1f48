package rules

import (
	"fmt"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/veltrix/veltrix/internal/participant"
)

// changeFunctions are the verbs of `set`. They are no values: they say what
// becomes of the slot that they are written for.
var changeFunctions = map[string]bool{
	"add": true, "remove": true, "clear": true, "put": true, "increment": true, "unset": true,
}

// The verbs that each kind of slot has.
var verbsOf = map[participant.Kind][]string{
	participant.KindSet:  {"add", "remove", "clear"},
	participant.KindMap:  {"put", "increment", "remove", "clear"},
	participant.KindTime: {"unset"},
}

// change compiles what `set` gives to a slot: its next value.
func (c *closer) change(e ast.Expr, at int) fn[participant.Value] {
	if e.Kind() == ast.CallKind {
		name := e.AsCall().FunctionName()
		args := operands(e)
		switch {
		case name == operators.Conditional:
			return choose(c.boolean(args[0]), c.change(args[1], at), c.change(args[2], at))
		case changeFunctions[name]:
			return c.verb(e, name, args, at)
		}
	}
	return c.assignment(e, at)
}

// number compiles a plain value for a slot of numbers, or is nil for anything else.
func (c *closer) number(e ast.Expr, at int) fn[int64] {
	if e.Kind() == ast.CallKind {
		if name := e.AsCall().FunctionName(); name == operators.Conditional || changeFunctions[name] {
			return nil
		}
	}
	switch kind := c.sort(e); {
	case c.slots[at].Kind == participant.KindInt && kind == sortInt:
		return c.integer(e)
	case c.slots[at].Kind == participant.KindTime && kind == sortTime:
		return c.instant(e)
	}
	return nil
}

// assignment compiles a plain value for a slot.
func (c *closer) assignment(e ast.Expr, at int) fn[participant.Value] {
	s := &c.slots[at]
	kind := c.sort(e)
	if n := c.number(e, at); n != nil {
		return asValue(s.Kind, n)
	}
	switch {
	case s.Kind == participant.KindBool && kind == sortBool:
		return unary(c.boolean(e), func(b bool) participant.Value {
			if b {
				return participant.Value{Kind: participant.KindBool, Int: 1}
			}
			return participant.Value{Kind: participant.KindBool}
		})
	case s.Kind == participant.KindString && kind == sortString:
		return c.bounded(e, at, fmt.Sprintf("more than %d bytes", s.Max), unary(c.text(e), func(t string) participant.Value {
			return participant.Value{Kind: participant.KindString, Str: t}
		}), func(v participant.Value) bool { return len(v.Str) <= s.Max })
	}
	hint := verbHint(s.Kind)
	if s.Kind == participant.KindInt && kind == sortDouble {
		hint = "; int(x) cuts a number to a whole one"
	}
	c.refuse(e, "slot `%s` is of type %s, the expression of type %s%s", s.Name, s.Kind, typeNameOf(c.typeOf(e)), hint)
	return literal(participant.Value{})
}

func verbHint(kind participant.Kind) string {
	switch kind {
	case participant.KindSet:
		return "; write add(x), remove(x) or clear()"
	case participant.KindMap:
		return "; write put(key, n), increment(key, n), remove(key) or clear()"
	}
	return ""
}

func asValue(kind participant.Kind, x fn[int64]) fn[participant.Value] {
	return unary(x, func(n int64) participant.Value { return participant.Value{Kind: kind, Int: n} })
}

// bounded compiles a change that may not fit. The slot's policy decides then:
// the event is rejected, or the slot stays as it was.
func (c *closer) bounded(e ast.Expr, at int, reason string, x fn[participant.Value], fits func(participant.Value) bool) fn[participant.Value] {
	s := &c.slots[at]
	full := c.fault(e, fmt.Sprintf("slot %s would hold %s", s.Name, reason))
	full.Fate = participant.Overflow
	return func(f *frame) (participant.Value, *participant.Rejection) {
		v, fault := x(f)
		switch {
		case fault != nil:
			return v, fault
		case fits(v):
			return v, nil
		case s.drop:
			return f.state[at], nil
		}
		return v, full
	}
}

// verb compiles one of changeFunctions for the slot.
func (c *closer) verb(e ast.Expr, name string, args []ast.Expr, at int) fn[participant.Value] {
	s := &c.slots[at]
	allowed := false
	for _, verb := range verbsOf[s.Kind] {
		allowed = allowed || verb == name
	}
	if !allowed {
		c.refuse(e, "%s() does not apply to slot `%s` of type %s%s", name, s.Name, s.Kind, verbHint(s.Kind))
		return literal(participant.Value{})
	}
	switch name {
	case "unset":
		return literal(participant.Value{})
	case "clear":
		return literal(participant.Value{Kind: s.Kind})
	case "remove":
		key := c.text(args[0])
		return func(f *frame) (participant.Value, *participant.Rejection) {
			v := f.state[at]
			k, fault := key(f)
			v.Coll = v.Coll.Without(k)
			return v, fault
		}
	case "add":
		return c.grow(e, at, c.text(args[0]), literal[int64](0), func(_, _ int64) (int64, bool) { return 0, true })
	case "put":
		return c.grow(e, at, c.text(args[0]), c.integer(args[1]), func(_, n int64) (int64, bool) { return n, true })
	}
	return c.grow(e, at, c.text(args[0]), c.integer(args[1]), addInts)
}

// grow compiles the verbs that may bring a new member. next gives a key's
// number from its present one (0 where absent) and the argument.
func (c *closer) grow(e ast.Expr, at int, key fn[string], argument fn[int64], next func(old, n int64) (int64, bool)) fn[participant.Value] {
	s := &c.slots[at]
	isMap := s.Kind == participant.KindMap
	full := c.fault(e, fmt.Sprintf("slot %s would hold more than %d members", s.Name, s.Max))
	full.Fate = participant.Overflow
	long := c.fault(e, fmt.Sprintf("a member of slot %s would have more than %d bytes", s.Name, memberBytesMax))
	long.Fate = participant.Overflow
	wrapped := c.fault(e, overflowed)
	return func(f *frame) (participant.Value, *participant.Rejection) {
		v := f.state[at]
		k, fault := key(f)
		if fault != nil {
			return v, fault
		}
		n, fault := argument(f)
		if fault != nil {
			return v, fault
		}
		old, found := int64(0), false
		if place, member := v.Coll.Find(k); member {
			found = true
			if isMap {
				old = v.Coll.Ints[place]
			}
		}
		switch {
		case !found && s.drop && (v.Coll.Len() >= s.Max || len(k) > memberBytesMax):
			return v, nil
		case !found && v.Coll.Len() >= s.Max:
			return v, full
		case len(k) > memberBytesMax:
			return v, long
		}
		value, ok := next(old, n)
		if !ok {
			return v, wrapped
		}
		v.Coll = v.Coll.With(k, value, isMap)
		return v, nil
	}
}
