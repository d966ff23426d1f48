// Package veltrixtest is a Veltrix inside a test, for those who send it events:
// a real gateway on loopback, the real decoder, fold and rules behind it, a
// clock that only the test moves, and faults on request.
//
//	v := veltrixtest.Start(t, veltrixtest.Options{Rules: "rules.yaml"})
//	v.Fail(veltrixtest.LostAnswer, 3)
//	mySender(v.URL()).Report("ada", "clue.found", …)
//	v.Advance(30 * time.Second)
//	if got := v.State("ada")["score"]; got != 50 { … }
//
// Nothing has to be waited for: whoever reads (State, Notifications, Pushes,
// Fates, Rejected, or GET /v1/participants by HTTP) sees everything that was
// accepted before. The same calls in the same order give the same results.
//
// # What is real
//
// The gateway's handler with a deployment's default limits, so statuses,
// problem documents and positions are those of production; the partitioner; the
// decoder, the rules and the order of events with grace, duplicates and late
// ones; what notifications say and when they are updated or retracted.
//
// # What is not
//
// There is no broker and no Redis: nothing of replication, transactions,
// rebalances, a processor's or notifier's crash, or a view that lags. The log is
// a slice, and a record is folded in the instant in which it is read. API keys
// are not asked for, events come by HTTP only, and outside channels (webhooks)
// are taken to accept at the first attempt: Pushes says what they would be given
// and when. How much a deployment can take is not measured here. For the whole
// pipeline on one machine there is `veltrix up`.
package veltrixtest
