package rules

import (
	"math"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/veltrix/veltrix/internal/participant"
)

// The first and last moment that CEL knows, in µs since the Unix epoch, and
// the longest duration: what fits into 64 bits of nanoseconds.
const (
	instantMin = -62135596800 * 1_000_000
	instantMax = 253402300799*1_000_000 + 999_999
	spanMax    = math.MaxInt64 / 1000
)

const (
	outsideOfTime = "the result is not a time between the years 1 and 9999"
	outsideOfSpan = "the result is longer than 292 years"
)

func (c *closer) instant(e ast.Expr) fn[int64] {
	switch e.Kind() {
	case ast.SelectKind:
		if path(e) == "event.time" {
			return func(f *frame) (int64, *participant.Rejection) { return f.time, nil }
		}
		return read(c, e, func(v *participant.Value) int64 { return v.Int })
	case ast.CallKind:
		return c.instantCall(e)
	}
	return stranger[int64](c, e)
}

func (c *closer) instantCall(e ast.Expr) fn[int64] {
	args := operands(e)
	switch e.AsCall().FunctionName() {
	case operators.Add:
		if c.sort(args[0]) == sortSpan {
			args[0], args[1] = args[1], args[0]
		}
		return partial(c.instant(args[0]), c.span(args[1]), func(t, d int64) (int64, bool) {
			return inRange(t+d, instantMin, instantMax)
		}, c.fault(e, outsideOfTime))
	case operators.Subtract:
		return partial(c.instant(args[0]), c.span(args[1]), func(t, d int64) (int64, bool) {
			return inRange(t-d, instantMin, instantMax)
		}, c.fault(e, outsideOfTime))
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.instant(args[1]), c.instant(args[2]))
	case "timestamp":
		return c.constantTime(e, args[0])
	}
	return stranger[int64](c, e)
}

// inRange needs no overflow check of its own: instants and spans are far from
// the ends of 64 bits in µs.
func inRange(value, least, most int64) (int64, bool) {
	return value, value >= least && value <= most
}

func (c *closer) constantTime(e, arg ast.Expr) fn[int64] {
	// CEL keeps a constant's zone and shows it; a slot could not. So: UTC.
	if s, ok := constantString(arg); ok && strings.HasSuffix(s, "Z") {
		t, err := time.Parse(time.RFC3339Nano, s)
		if us := t.UnixMicro(); err == nil && t.Nanosecond()%1000 == 0 && us >= instantMin && us <= instantMax {
			return literal(us)
		}
	}
	c.refuse(e, `timestamp() takes a constant such as "2026-07-01T12:00:00Z", in UTC, to the microsecond`)
	return literal[int64](0)
}

func constantString(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().Value().(string)
	return s, ok
}

func (c *closer) span(e ast.Expr) fn[int64] {
	if e.Kind() != ast.CallKind {
		return stranger[int64](c, e)
	}
	args := operands(e)
	switch e.AsCall().FunctionName() {
	case operators.Add:
		return partial(c.span(args[0]), c.span(args[1]), func(a, b int64) (int64, bool) {
			return inRange(a+b, -spanMax, spanMax)
		}, c.fault(e, outsideOfSpan))
	case operators.Subtract:
		take := c.span
		if c.sort(args[0]) == sortTime {
			take = c.instant
		}
		return partial(take(args[0]), take(args[1]), func(a, b int64) (int64, bool) {
			return inRange(a-b, -spanMax, spanMax)
		}, c.fault(e, outsideOfSpan))
	case operators.Conditional:
		return choose(c.boolean(args[0]), c.span(args[1]), c.span(args[2]))
	case "duration":
		if s, ok := constantString(args[0]); ok {
			if d, err := time.ParseDuration(s); err == nil && d%time.Microsecond == 0 {
				return literal(d.Microseconds())
			}
		}
		c.refuse(e, `duration() takes a constant such as "90s" or "1h30m", in steps of a microsecond`)
		return literal[int64](0)
	}
	return stranger[int64](c, e)
}

// timeParts are CEL's readings of a time, in UTC. Months and two of the days
// count from 0, as CEL has it.
var timeParts = map[string]func(time.Time) int{
	"getFullYear":     time.Time.Year,
	"getMonth":        func(t time.Time) int { return int(t.Month()) - 1 },
	"getDate":         time.Time.Day,
	"getDayOfMonth":   func(t time.Time) int { return t.Day() - 1 },
	"getDayOfWeek":    func(t time.Time) int { return int(t.Weekday()) },
	"getDayOfYear":    func(t time.Time) int { return t.YearDay() - 1 },
	"getHours":        time.Time.Hour,
	"getMinutes":      time.Time.Minute,
	"getSeconds":      time.Time.Second,
	"getMilliseconds": func(t time.Time) int { return t.Nanosecond() / 1_000_000 },
}

// spanUnits are CEL's readings of a duration, in whole units.
var spanUnits = map[string]time.Duration{
	"getHours": time.Hour, "getMinutes": time.Minute, "getSeconds": time.Second,
}

// calendar compiles the readings of times and durations.
func (c *closer) calendar(e ast.Expr, args []ast.Expr) fn[int64] {
	name := e.AsCall().FunctionName()
	part, known := timeParts[name]
	switch {
	case !known:
		return stranger[int64](c, e)
	case len(args) != 1:
		c.refuse(e, "`%s` takes no time zone in rules: times are in UTC, so that every machine reads them alike", name)
		return literal[int64](0)
	case c.sort(args[0]) == sortTime:
		return unary(c.instant(args[0]), func(us int64) int64 { return int64(part(time.UnixMicro(us).UTC())) })
	}
	unit, known := spanUnits[name]
	if !known || c.sort(args[0]) != sortSpan {
		return stranger[int64](c, e)
	}
	return unary(c.span(args[0]), func(us int64) int64 { return us / unit.Microseconds() })
}
