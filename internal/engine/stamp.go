package engine

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

// Layout is the version of everything that is hashed, stamped or stored here.
// A change of any of it is a new layout.
const Layout = 1

// Token names the life of a partition's state.
type Token struct {
	ClusterID, TopicID string
	Partitions         int32
	RulesVersion       int
	RulesDigest        string
	Buckets            int // per partition in Redis
}

// String returns the token as it is stored and stamped.
func (t Token) String() string {
	digest := t.RulesDigest
	if len(digest) > 12 {
		digest = digest[:12]
	}
	return fmt.Sprintf("%d/%s/%s/%d/%d-%s/%d", Layout, t.ClusterID, t.TopicID, t.Partitions, t.RulesVersion, digest, t.Buckets)
}

// Stamp is the metadata of a committed offset. An administrator's reset of
// offsets erases it, and is thereby found.
type Stamp struct {
	Token  string
	Start  int64
	Chain  uint64
	Digest uint64
}

// String returns the stamp as committed: ASCII, about 120 bytes.
func (s Stamp) String() string {
	return fmt.Sprintf("veltrix;%s;%d;%016x;%016x", s.Token, s.Start, s.Chain, s.Digest)
}

// ParseStamp reads a stamp; its error says what stood there instead.
func ParseStamp(metadata string) (Stamp, error) {
	parts := strings.Split(metadata, ";")
	if len(parts) != 5 || parts[0] != "veltrix" {
		return Stamp{}, fmt.Errorf("the commit carries %q instead of a stamp", metadata)
	}
	start, err1 := strconv.ParseInt(parts[2], 10, 64)
	chain, err2 := strconv.ParseUint(parts[3], 16, 64)
	digest, err3 := strconv.ParseUint(parts[4], 16, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return Stamp{}, fmt.Errorf("the commit's stamp %q cannot be read", metadata)
	}
	return Stamp{Token: parts[1], Start: start, Chain: chain, Digest: digest}, nil
}

// chain extends a partition's chain hash by one record. Two logs with the same
// offsets and other records have different chains.
func chain(c uint64, r *Record) uint64 {
	h := xxh3.HashSeed(r.Value, uint64(r.Offset)) ^ xxh3.Hash(r.Key)
	for i := range r.Headers {
		h = h*0x9E3779B185EBCA87 ^ xxh3.Hash(r.Headers[i].Value)
	}
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], c)
	binary.LittleEndian.PutUint64(b[8:], h)
	return xxh3.Hash(b[:])
}

// valueDigest is one participant's share of the state's digest, which is the
// wrapping sum of all shares and so does not depend on their order.
func valueDigest(key string, value []byte) uint64 {
	return xxh3.HashSeed(value, xxh3.HashString(key))
}
