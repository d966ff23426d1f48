package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// problemsShown bounds what one error message lists; a file with more mistakes
// than that is better mended in steps.
const problemsShown = 100

// Problem is one mistake in a rules file. Line and Column count from 1, columns
// in characters.
type Problem struct {
	File    string `json:"-"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// Error returns "file:line:column: message".
func (p *Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems is every mistake of a file, sorted by position. It is the error
// that Load returns.
type Problems []*Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	var b strings.Builder
	for i, problem := range p {
		if i == problemsShown {
			fmt.Fprintf(&b, "\nand %d more", len(p)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(problem.Error())
	}
	return b.String()
}

// Unwrap gives each problem to errors.As.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i := range p {
		errs[i] = p[i]
	}
	return errs
}

// sorted orders problems by place and drops repetitions: a rule on several
// types of event is compiled once for each.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(p, func(a, b *Problem) bool { return *a == *b })
}

// suggestion returns ", did you mean `x`?" for the known name nearest to name,
// or the list of known names where none is near and the list is short.
func suggestion(name string, known []string) string {
	best, distance := "", len(name)/3+2
	for _, k := range known {
		// A name that has nothing in common with this one is no guess.
		if d := editDistance(name, k); d < distance && d < max(len(name), len(k)) {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return ", did you mean `" + best + "`?"
	case len(known) > 0 && len(known) <= 12:
		return " (known: " + strings.Join(known, ", ") + ")"
	}
	return ""
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours, without regard to case. Long names are not worth the work.
func editDistance(a, b string) int {
	const longest = 64
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var rows [3][longest + 1]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, twoAbove := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], twoAbove[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
