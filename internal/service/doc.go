// Package service is the one way in which Veltrix' parts start, drain and stop.
//
// Invariant: whatever a Service accepted before its context ended, it finishes
// or hands back before Run returns; and nothing stays behind after Run.
//
//	start     Await tries what the service needs until it answers, or gives up
//	run       Service.Run works until its context ends
//	drain     the context ends: take nothing new, finish what was accepted
//	stop      Run returns; after the stop timeout, or at a second signal, the
//	          group gives up on who has not, and names them
//
// A failure of one service drains the others: half a process is worse than
// none, because nobody notices it.
package service
