package rules

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// place is a position in the file, counted from 1.
type place struct{ line, column int }

// source is the file as its author sees it: lines of characters.
type source struct{ lines [][]rune }

func newSource(src []byte) *source {
	text := strings.ReplaceAll(strings.ToValidUTF8(string(src), "\uFFFD"), "\r\n", "\n")
	raw := strings.Split(strings.TrimPrefix(text, "\uFEFF"), "\n")
	s := &source{lines: make([][]rune, len(raw))}
	for i, line := range raw {
		s.lines[i] = []rune(line)
	}
	return s
}

// places returns where each character of a scalar's value stands in the file,
// and one place more for its end. YAML folds lines and resolves escapes, so
// the file is walked beside the value.
func (s *source) places(n *yaml.Node) []place {
	w := walker{source: s, style: n.Style, line: n.Line - 1, column: n.Column - 1}
	switch {
	case w.quoted():
		w.column++
	case w.block():
		w.line++
		w.skipBlank()
		w.indent = w.firstInk()
		w.column = w.indent
	}
	value := []rune(n.Value)
	out := make([]place, 0, len(value)+1)
	for i, r := range value {
		if !w.block() && r != '\n' {
			w.joinContinued()
		}
		out = append(out, w.place())
		more := i+1 < len(value) && value[i+1] == '\n'
		w.consume(r, more)
	}
	return append(out, w.place())
}

// walker stands at one character of the file. Its line and column count from 0.
type walker struct {
	*source
	style        yaml.Style
	line, column int
	indent       int // of a block scalar
}

func (w *walker) quoted() bool {
	return w.style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
}

func (w *walker) block() bool {
	return w.style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

func (w *walker) place() place { return place{w.line + 1, w.column + 1} }

func (w *walker) rest() []rune {
	if w.line >= len(w.lines) || w.column >= len(w.lines[w.line]) {
		return nil
	}
	return w.lines[w.line][w.column:]
}

// consume moves past the file's spelling of r, a character of the value;
// anotherBreak says that a line break follows in the value.
func (w *walker) consume(r rune, anotherBreak bool) {
	rest := w.rest()
	switch {
	case (r == ' ' || r == '\n') && blank(rest):
		// A folded line break: it ends where the next ink is. Further breaks
		// in the value stand for the blank lines between.
		if !anotherBreak || r == ' ' {
			w.nextLine()
		}
	case w.style&yaml.DoubleQuotedStyle != 0 && len(rest) > 1 && rest[0] == '\\':
		w.column += escapeLength(rest[1])
	case w.style&yaml.SingleQuotedStyle != 0 && len(rest) > 0 && rest[0] == '\'':
		w.column += 2
	default:
		w.column++
	}
}

func escapeLength(r rune) int {
	switch r {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

// joinContinued passes a backslash at the end of a line of a double-quoted
// scalar: it joins two lines and stands for no character.
func (w *walker) joinContinued() {
	for rest := w.rest(); w.style&yaml.DoubleQuotedStyle != 0 && len(rest) == 1 && rest[0] == '\\'; rest = w.rest() {
		w.nextLine()
	}
}

func (w *walker) nextLine() {
	if w.line+1 >= len(w.lines) {
		return
	}
	w.line++
	w.skipBlank()
	w.column = w.firstInk()
	if w.block() {
		w.column = w.indent
	}
}

func (w *walker) skipBlank() {
	for w.line+1 < len(w.lines) && blank(w.lines[w.line]) {
		w.line++
	}
}

func (w *walker) firstInk() int {
	if w.line >= len(w.lines) {
		return 0
	}
	for i, r := range w.lines[w.line] {
		if r != ' ' && r != '\t' {
			return i
		}
	}
	return 0
}

func blank(line []rune) bool {
	for _, r := range line {
		if r != ' ' && r != '\t' {
			return false
		}
	}
	return true
}

// runeIndex returns the number of characters in the first n bytes of s.
func runeIndex(s string, n int) int { return utf8.RuneCountInString(s[:n]) }
