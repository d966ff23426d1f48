// Package enginetest drives the production state machine against simulated
// logs and stores that have the semantics of the real ones: groups with
// generations, transactions with unknown outcomes, pending offset commits,
// members that stall and wake, Redis that forgets. A seed gives a run; the same
// seed gives the same run.
//
// The checks share nothing with the engine: they fold the log in a plain loop
// and compare what was committed and what is stored.
package enginetest
