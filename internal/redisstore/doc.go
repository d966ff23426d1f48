// Package redisstore is the only user of Redis. Every key comes from a function
// of this package and every write that must be atomic is one script whose keys
// are all declared and share one hash tag.
//
// A partition's state is a meta hash, which holds its position, and a fixed
// number of bucket hashes, whose fields are participants. Each bucket has a
// sentinel, the field with the empty name, from the partition's first write: a
// bucket without one was lost or evicted. No method writes a value without the
// position it belongs to.
package redisstore
