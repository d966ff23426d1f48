// Package trail tells what became of events: of one by its place in the log, or
// of a participant's, one after the other.
//
// It joins what the topics say: the events themselves, what the processors have
// committed, rejections, notifications, and the notifiers' receipts. It folds
// nothing, so it tells what has happened and not what should have; veltrix verify
// compares the two.
//
// The invariant: an event is accepted, and no more than that, until the committed
// offset has passed it and what was committed with that can be read. An event
// that the processors have passed and not rejected is applied.
package trail
