// Package redisstore is the only user of Redis. Every key comes from a function
// of this package and every write that must be atomic is one script whose keys
// are all declared and share one hash tag.
//
// A partition's state is a meta hash, which holds its position, and a fixed
// number of bucket hashes, whose fields are participants. Each bucket has a
// sentinel, the field with the empty name, from the partition's first write: a
// bucket without one was lost or evicted. No method writes a value without the
// position it belongs to.
//
// A position is read in one step with the sentinels of everything that its
// generation has, so that it is called whole only where it was whole then. Positions
// of many partitions are read in pipelines whose number does not grow with theirs.
// Their keys may lie on several nodes of a cluster, and what one node or one key does
// not answer is the error of its own partition alone.
package redisstore
