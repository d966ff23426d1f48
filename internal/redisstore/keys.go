package redisstore

import (
	"strconv"

	"github.com/zeebo/xxh3"
)

// Space names one life of the events topic under one prefix. All keys of one
// partition share the tag in braces, and so one slot of a Redis Cluster.
type Space struct {
	Prefix     string
	Generation int // of the topic, from the manifest
	Buckets    int // per partition
}

func (s Space) tag(partition int32) string {
	return "{" + s.Prefix + ".events." + strconv.Itoa(s.Generation) + "/" + strconv.Itoa(int(partition)) + "}"
}

// metaKey is a hash: token, generation, start, applied, chain, digest.
func (s Space) metaKey(partition int32) string { return s.tag(partition) + ":meta" }

// bucketKey is a hash: participant → state, and "" → the sentinel. generation
// is that of the state, new with each rebuild.
func (s Space) bucketKey(partition int32, generation string, bucket int) string {
	return s.tag(partition) + ":" + generation + ":" + strconv.Itoa(bucket)
}

func (s Space) bucketKeys(partition int32, generation string) []string {
	keys := make([]string, s.Buckets)
	for i := range keys {
		keys[i] = s.bucketKey(partition, generation, i)
	}
	return keys
}

// boardKey is a sorted set: the participants of one leaderboard, the first one
// lowest, and "" → the sentinel, behind all.
func (s Space) boardKey(partition int32, generation, leaderboard string) string {
	return s.tag(partition) + ":" + generation + ":leaderboard:" + leaderboard
}

func (s Space) bucketOf(participant string) int {
	return int(xxh3.HashString(participant) % uint64(s.Buckets))
}

// slotKey is a string: the lease of a processor slot.
func slotKey(prefix string, slot int) string { return prefix + ".slot." + strconv.Itoa(slot) }

// ownerKey is a string: the life of the events topic whose processors are at work.
func ownerKey(prefix string) string { return prefix + ".owner" }

// fencesKey is a list: who lost a slot to another, the newest first.
func fencesKey(prefix string) string { return prefix + ".fences" }
