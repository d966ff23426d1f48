// Package engine is the exactly-once protocol: a Kafka transaction
// (notifications, rejects and consumed offsets) is the only commit point, and
// Redis is a deterministic view per partition, moved forward by compare-and-set.
//
// Names. K is a partition's committed offset: the next record to read. R is the
// offset applied in Redis: the one after the last folded record. A token names
// the life of a partition: layout, cluster, topic, partition count, rules and
// buckets; state of another token is never read. A stamp is what a commit
// carries as its metadata: the token, the chain hash of the records and the
// digest of the state at K.
//
// # Invariants
//
//	I1 no source record has two committed outcomes
//	I2 every committed output equals the sequential fold's
//	I3 every record below K has its outcome
//	I4 K never decreases
//	I5 Redis at R equals the fold of [start, R)
//	I6 R ≤ K
//	I7 a partition is refused only after an operator or the infrastructure changed something
//	I8 once faults stop, R = K = end, unattended
//
// # Parts
//
// Machine decides: it takes an Input and returns Effects to be performed in
// their order. It does no I/O, reads no clock and starts no goroutine. Loop
// performs the effects against a Session (one member of the group with one
// transactional ID), Positions (reads that belong to no session) and a Store.
//
// # Life of a partition (A)
//
//	assigned ─▶ reading R ─▶ reading K ─▶ ready
//	                              │  ├──▶ replaying [R, K), once proved ─▶ ready
//	                              │  └──▶ rebuilding: a new generation from the newest snapshot,
//	                              │       or from the start of the state, then replaying
//	                              └─────▶ refused (a sentence, evidence, the next command)
//
// A commit is believed only when the records before it lead to its stamp, and a
// replay begins only then: Redis never follows a commit that nobody made (I6), so
// that R stays a witness of what was processed.
//
// R is read before K: the other way round, a member that stalls between the two
// sees R > K and reports a reset that never happened. All cached state is
// dropped at assignment and not at revocation, because a revocation may never
// be reported.
//
// # Life of a batch (B)
//
//	gathering ─▶ loading ─▶ producing ─▶ ending ─▶ committed ─▶ flushes
//	                                        └────▶ checking K ─▶ gathering again, or a new session
//
// # What goes on beside batches (C)
//
// Every second, idle partitions are compared with Redis: a failover or a
// rollback after the last event would otherwise wait for the next one. They are
// asked for together, because a thousand of them must not cost a thousand
// requests, and each is answered for itself: what cannot be read of one says
// nothing of the others, and is asked for again without them. Less
// often, a partition's values are all read, while it stands still, and compared
// with their digest; what is damaged is rebuilt. The same reading fills a
// snapshot, which is found only after its digest was right. With snapshots, the
// log has to reach back to the newest one and no further.
//
// # Crash windows
//
//	died                              Kafka holds        Redis holds   recovery
//	before End                        nothing            R = K         the transaction is aborted when the slot returns, or by its timeout; the batch is read again
//	after End, before the reply       the batch, K' > R  R             K is read stable: K' ≠ our position, so everything is dropped and replayed
//	after End, before the flush       the batch, K'      R < K'        the next owner replays [R, K') without producing
//	in the flush                      the batch, K'      R or K'       the script is atomic: either of the two rows above
//	in a scan or a save               K                  R = K         nobody finds a snapshot without its head; the one before is in its place
//	in a restore                      K                  R of the old  what was staged is nobody's and ends by itself; it is restored anew
//	stalled in a flush, then awake    more, K” > K'      R ≥ K'        the compare-and-set expects R and answers with what is there: refused, dropped
package engine
