// Package kafkalog is the only user of the Kafka client. It implements what the
// engine, the gateway and delivery declared that they need of a log.
//
// The invariants: nothing is consumed from a position that was not asked for
// (the client's own resets are switched off), nothing is read that is not
// committed, and what is committed is exactly what its caller named.
package kafkalog
