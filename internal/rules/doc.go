// Package rules compiles a rules file to the fold's program.
//
// The invariant: a file that Load accepts gives a program that is
// deterministic and bounded. It reads nothing but the event and the state; it
// has no loops, no clock, no randomness and no map order; every expression is
// typed, its worst cost is known, and whatever can go wrong at run time is a
// *participant.Rejection. A file that Load refuses is refused with all of its
// mistakes at once, each with its place.
//
// Expressions are CEL. cel-go parses and checks them; the checked tree is then
// compiled to typed closures, which cover all of the language that rules may
// use. cel-go's own evaluator stays the authority on meaning: a differential
// fuzz test holds the closures against it.
//
//	source ── yaml ──▶ document ──▶ Schema
//	                      │
//	                      └─ cel parse, check, cost ──▶ closures ──▶ Program
package rules
