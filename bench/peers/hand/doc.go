// Package hand is the work of the bench's rules, written by hand as people write it
// for one hunt: a scanner of the fields it knows, a fold in the order of arrival, JSON
// by append. It checks little, takes a copy for an event, and is fast; the peers that
// are meant to be fast share it.
package hand
