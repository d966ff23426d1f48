// Package bench measures the product on the machine it runs on, against
// references measured in the same run.
//
// The invariant: no figure is returned before everything that was committed
// and everything that Redis holds has been compared with the sequential fold
// of the same events. A figure that could not be measured is absent, never
// guessed, and a round that other load disturbed says so.
package bench
