// Package repair is what an operator does about a partition that is refused, or
// whose view is not trusted: a rebase puts the committed offset where it belongs,
// a rebuild has the view in Redis made anew from the log.
//
// # Invariants
//
// A rebase produces nothing to events, notifications or rejected. Without
// accept-loss it commits an offset at which every record below has its outcome
// and none above has one, with the stamp of the fold up to there. With
// accept-loss it first says in numbers what is given up, and then declares a
// state to be the partition's beginning at a position X; nothing below X is ever
// read again. The committed offset never goes back below an output that is
// there, except where the log itself ends before it.
//
// The view in Redis is never written here, only dropped, by a compare-and-set on
// what was seen: processors build it anew, as after any other loss.
//
// # Rebase, and its crash windows
//
// The group must have no members; the brokers refuse the commit otherwise.
//
//	step       died before it                         what the next run does
//	note       nothing was changed                    all of it
//	commit     the manifest names a rebase that did   plans the same offset, finds the same entry and does not add another, commits
//	           not happen
//
// # Rebase with accept-loss, and its crash windows
//
//	step       died before it                         what the next run does
//	snapshot   nothing was changed                    all of it
//	base       a snapshot more, which leads to no     all of it; processors are refused as before
//	           stamp that is committed
//	note       the same, with the copy that stays     all of it
//	commit     the manifest names a base that was     all of it: the plan depends on the log and the commit, not on the manifest
//	           not committed
//	forget     the commit is at the base, Redis is    finds the commit at the base and drops the old view, nothing else
//	           of the life before: refused, or seen
//	           not to fit its stamp and rebuilt
//
// A snapshot is written twice, in turn with the processors' own and as the base:
// so the base that is replaced is not the only copy while it is.
//
// # Rebuild
//
// Noted, and then one step, which is done or not done.
package repair
