// Package ingest takes events in: by HTTP from whoever sends them, and from
// files. It checks them, names the participant as the record's key, and hands
// them to the log.
//
// # Invariants
//
//	P1 202 is answered only after every in-sync replica has every event of the request
//	P2 a request with a bad event has no effect, unless it asked for partial
//	P3 what is accepted here is never malformed, too large or without a participant to the
//	   processor, and with the same rules never against the schema: both decode with the same code
//	P4 one participant's events keep their order within a request, and over the requests of one
//	   connection, because a request is answered before the next one is read
//	P5 memory is bounded: what is in flight is counted before it is read, and refused beyond the limit
//	P6 what is accepted had arrived whole: a body is at its end where its framing and its
//	   packing say so, and nowhere else
//
// An event without a time gets one here, the moment it was taken. Stamps of one
// process are strictly ascending, so that the order in which events came is the
// order in which they happened. A stamp is marked as such and is no part of the
// event's content: sending the event again is a duplicate and no conflict.
package ingest
