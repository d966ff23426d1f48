// Package participant is the core of Veltrix: events, a participant's history,
// and the fold that makes one of the other.
//
// The invariant: a participant's history is a function of the set of accepted
// events and not of the order in which they arrived. Everything here follows
// from an event and the arrival that the log gave it; there is no clock, no
// I/O, no randomness and no map order.
//
// A [History] has a base and a tail. The base is the state up to the floor, and
// what entered it is settled for good. The tail holds the events after the
// floor, in the order in which they happened. An event that arrives late but
// still above the floor takes its place in the tail, and everything behind it
// is folded again; what that changes in the notifications already emitted comes
// out as sends, updates and retractions.
//
// # Dedupe, and its edges
//
// An event that carries its own time has one place in the order for ever, so a
// copy of it is found in the tail or refused at the floor, however late it
// comes: dedupe needs no memory behind the floor. Three edges follow.
//
//   - An event without a time takes the time of its arrival, which differs from
//     one delivery to the next. A copy is recognised by its identity while the
//     original is in the tail or the ring, and counts again after that. A time
//     that a gateway stamps is no better: it stamps a retry anew. Whoever
//     retries over longer spans gives the event its time at the source.
//   - The ring keeps identities and no contents. Behind the floor a reused id
//     with other content is therefore reported as duplicate or late, and not as
//     a conflict. All three refuse it, except that an id reused with a much
//     later time, once the ring has forgotten it, is a new event.
//   - Sources should give an event a new id whenever its content differs.
//
// # Errors of the rules
//
// An arriving event whose own step fails, at its place in the order, is refused
// and leaves no trace. An event accepted earlier stays accepted: when a refold
// makes its step fail, it has no effect and what it emitted is retracted, and a
// later refold may revive it, with the next revision. A program whose steps
// fail therefore keeps the invariant for the events that were accepted, and
// which those are may depend on the order of arrival.
package participant
