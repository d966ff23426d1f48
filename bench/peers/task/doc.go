// Package task is what a peer is asked by the bench's runner, and what it answers: its
// flags, when it is ready, and when it is done. How its clients share the work is said
// here too, so that every peer's window begins and ends alike: it begins once all
// partitions have an owner and nothing was fetched yet, and it ends after the last commit.
package task
