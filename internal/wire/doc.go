// Package wire turns bytes into the core's types and back: CloudEvents in
// Kafka records, notification, rejection and receipt records, and encoded
// states.
//
// The invariants: what is read decides by the record's own bytes alone, so the
// same record gives the same event, or the same rejection, on any machine and
// at any time; what is written is read back as it was; and every format says
// its version. Nothing read here keeps a record's memory alive.
//
// # Events
//
// [DecodeEvent] reads binary mode (ce_ headers, JSON value) and structured mode
// (the JSON envelope as value) alike: both forms of one event give equal
// identities and equal contents. A record is refused as too-large before it is
// parsed, then as malformed, then as no-participant, then for its schema; the
// first of these that holds is its fate.
//
// JSON is accepted exactly where encoding/json accepts it, with four
// exceptions, each refused as malformed because two readers could understand
// it differently: bytes that are not UTF-8, half a surrogate pair in an
// attribute or declared field, an attribute or declared field given twice, and
// values nested deeper than 128.
package wire
