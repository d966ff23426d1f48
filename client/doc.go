// Package client sends events to a Veltrix gateway, in batches, in order, and
// so that no retry can count twice.
//
// The invariant: an event's id, source and time are fixed once, when it is
// handed over and before the first attempt, and every attempt sends the same
// bytes. What counts an event is its identity, source and id; so a repeated
// request changes nothing, also for an event that its caller gave no id (it gets
// 128 random bits) or no time (it gets the moment of the hand-over; times given
// by one client ascend).
//
// What can go wrong, and why the count is right:
//
//   - The request is lost, or the gateway refuses it for the moment: it is sent
//     again.
//   - The answer is lost: the events are in the log, the client cannot know, and
//     sends them again. The processor finds their identity and drops them as
//     duplicates.
//   - The client gives up, after Options.RetryFor or in Close: the caller hears
//     ErrUncertain where an attempt may have arrived. Handing the event over
//     again is safe if it has the same id, time and data.
//   - The process dies: what was handed over and not acknowledged is forgotten,
//     and may have arrived. Where that matters, give events ids of your own, keep
//     them where they survive until they are acknowledged, and hand them over
//     again. Client.Stamp fixes id and time beforehand, so that they can be kept.
//
// Events of one participant arrive in the order of their hand-over. Each lane has
// one request in flight, and all events of a participant go by one lane. An event
// that the client gave up on does not stop those behind it; since each has its
// time, handing it over later puts it where it belongs, within the rules' grace.
//
// Everything has a limit. Enqueue waits while as many events as
// Options.QueueEvents, or as many bytes as Options.QueueBytes, are without an
// outcome; TryEnqueue returns ErrFull instead.
package client
