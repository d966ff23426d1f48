// Package delivery brings notifications to people: it takes the records of the
// notifications topic and hands each one to the channels that it names, at most
// as often as its class allows and never past its deadline.
//
// # Invariants
//
//	D1 an offset is committed only when every record below it is finished: delivered, deduped,
//	   expired, retracted, dead, withheld, or parked in a retry topic that took it
//	D2 nothing is sent without a claim in the ledger, and nothing is noted as sent before it was
//	D3 one participant's notifications on one channel are worked on one after the other
//	D4 another's live claim stops that lane until the claim ends; it is never committed past
//	D5 a notification's deadline ends before the ledger forgets it, so a replay cannot push old news
//	D6 while the ledger cannot be reached nothing is sent
//	D7 of two attempts with an unknown outcome, a class with on_unknown: drop makes at most the
//	   first, and a class with resend always makes the second
//
// What a participant wants decides about pushes alone, at the moment before the
// claim: see Gate, and ADR 0014 for its invariants and crash windows.
//
// # Life of a notification at one target
//
//	           ┌────────────── definite failure, or unknown with resend ─────────────┐
//	           ▼                                                                      │
//	absent ─▶ waiting(next) ─▶ inflight(owner, attempt, until) ─▶ sent(provider id)   │
//	   │                            │   │                                             │
//	   │                            │   └─────────────────────────────────────────────┘
//	   │                            └─▶ dead(reason): refused for good, tries used up, unknown with drop
//	   └──▶ dead(expired | retracted) without any attempt
//
// A claim whose lease ran out was made by somebody who died between the claim
// and the mark: whether it was sent is unknown, and the class decides.
//
// # Order
//
// A record is appended to the inbox first and handed to the outside channels
// after that, because a push is a hint to look at the inbox. Each outside
// channel has its own lane per participant, so none waits for another. A delay
// too long to hold a partition's commits is parked in a retry topic; from then
// on the order among different notifications of that channel is not kept, while
// the order among revisions of one notification is: the ledger refuses a
// revision at or below the one it knows.
package delivery
