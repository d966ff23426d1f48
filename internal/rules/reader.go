package rules

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader takes typed values out of a YAML document and notes every mistake
// with its place. Its methods return ok false where they noted one.
type reader struct {
	file     string
	source   *source
	problems Problems
}

// entry is one key of a mapping with its value, in file order.
type entry struct{ key, value *yaml.Node }

func (r *reader) at(p place, format string, args ...any) {
	r.problems = append(r.problems, &Problem{r.file, p.line, p.column, fmt.Sprintf(format, args...)})
}

func (r *reader) note(n *yaml.Node, format string, args ...any) {
	r.at(place{max(n.Line, 1), max(n.Column, 1)}, format, args...)
}

// entries returns what a mapping holds; what names it in messages.
func (r *reader) entries(n *yaml.Node, what string) []entry {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.note(n, "%s must be a mapping of names, it is %s", what, describe(n))
		return nil
	}
	out := make([]entry, 0, len(n.Content)/2)
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.note(key, "a key of %s must be a name, it is %s", what, describe(key))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			r.note(key, "`%s` stands twice in %s, first in line %d", key.Value, what, line)
			continue
		}
		seen[key.Value] = key.Line
		out = append(out, entry{key, value})
	}
	return out
}

// fields returns a mapping's values by key and refuses keys that are not known.
func (r *reader) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	out := make(map[string]*yaml.Node)
	for _, e := range r.entries(n, what) {
		if !slices.Contains(known, e.key.Value) {
			r.note(e.key, "unknown key `%s` in %s%s", e.key.Value, what, suggestion(e.key.Value, known))
			continue
		}
		out[e.key.Value] = e.value
	}
	return out
}

// items returns what a list holds.
func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.note(n, "%s must be a list, it is %s", what, describe(n))
		return nil
	}
	return n.Content
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!str":
		return "text"
	}
	return strings.TrimPrefix(n.ShortTag(), "!!") + " `" + n.Value + "`"
}

func (r *reader) wrong(n *yaml.Node, what, must string) {
	r.note(n, "%s must be %s, it is %s", what, must, describe(n))
}

// text returns a string. Numbers and booleans need quotes.
func (r *reader) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.wrong(n, what, "text (in quotes, where it looks like something else)")
		return "", false
	}
	return n.Value, true
}

func (r *reader) boolean(n *yaml.Node, what string) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		r.wrong(n, what, "true or false")
		return false, false
	}
	return strings.EqualFold(n.Value, "true"), true
}

// integer returns a whole number between least and most.
func (r *reader) integer(n *yaml.Node, what string, least, most int64) (int64, bool) {
	value, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		r.wrong(n, what, "a whole number")
		return 0, false
	}
	if value < least || value > most {
		r.note(n, "%s must be between %d and %d, it is %d", what, least, most, value)
		return 0, false
	}
	return value, true
}

func (r *reader) number(n *yaml.Node, what string) (float64, bool) {
	tag := n.ShortTag()
	value, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" || err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
		r.wrong(n, what, "a number")
		return 0, false
	}
	return value, true
}

// duration returns a length of time of at most most, in whole units of unit.
func (r *reader) duration(n *yaml.Node, what string, unit, most time.Duration) (int64, bool) {
	value, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		r.wrong(n, what, "a duration such as 30s, 5m or 2h")
		return 0, false
	}
	if value < 0 || value > most || value%unit != 0 {
		r.note(n, "%s must be between 0s and %s, in steps of %s", what, most, unit)
		return 0, false
	}
	return int64(value / unit), true
}

// choice returns one of the known words.
func (r *reader) choice(n *yaml.Node, what string, known ...string) (string, bool) {
	word, ok := r.text(n, what)
	if ok && !slices.Contains(known, word) {
		r.note(n, "%s cannot be `%s`%s", what, cut(word, 80), suggestion(word, known))
		return "", false
	}
	return word, ok
}

// The shapes of names. A field or slot stands in expressions, so it is a CEL
// identifier; the others stand in keys, metrics and logs.
var (
	plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	typeName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)
	identName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
)

// reserved words cannot be selected in CEL.
var reserved = []string{
	"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
	"let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
}

func (r *reader) name(n *yaml.Node, what string, shape *regexp.Regexp) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		r.wrong(n, what, "a name")
		return "", false
	}
	switch {
	case n.ShortTag() == "!!null":
		r.note(n, "%s is empty", what)
	case !shape.MatchString(n.Value):
		r.note(n, "%s `%s` is not a name: it must match %s", what, cut(n.Value, 80), shape)
	case shape == identName && slices.Contains(reserved, n.Value):
		r.note(n, "%s `%s` is a word of the expression language; choose another", what, n.Value)
	default:
		return n.Value, true
	}
	return "", false
}

// cut shortens what a message quotes.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
