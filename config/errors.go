package config

import (
	"fmt"
	"strings"
)

// FieldError is one thing wrong with one key.
type FieldError struct {
	Key     string // as the operator wrote it; empty for the file as a whole
	Value   string // as written; empty for a secret or an unknown key
	Origin  Origin
	Problem string // completes "the key …"; names the bound or the next move
}

// Error writes place, key, value and what it must be, in that order.
func (e *FieldError) Error() string {
	var b strings.Builder
	b.WriteString(e.Origin.String() + ": ")
	if e.Key != "" {
		b.WriteString(e.Key + " ")
	}
	if e.Value != "" {
		fmt.Fprintf(&b, "= %q ", e.Value)
	}
	b.WriteString(e.Problem)
	return b.String()
}

// Errors is everything wrong with a configuration, in the order of the
// reference. It is what Load returns; errors.As finds it.
type Errors []*FieldError

// Error writes one line for each.
func (e Errors) Error() string {
	if len(e) == 1 {
		return "configuration: " + e[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d errors", len(e))
	for _, one := range e {
		b.WriteString("\n  " + one.Error())
	}
	return b.String()
}

// ExitCode is 78 (EX_CONFIG): restarting does not help, editing does.
func (e Errors) ExitCode() int { return 78 }

// nearest returns the candidate that word most likely meant, or "". A
// candidate is near when a third of the word's letters would have to change
// at most, or when it is the word in another section.
func nearest(word string, candidates []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	leaf := word[strings.LastIndexByte(word, '.')+1:]
	for _, c := range candidates {
		if strings.HasSuffix(c, "."+leaf) {
			return c
		}
	}
	return ""
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour that turns a into b.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", near)
}
