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
	return fmt.Sprintf("%d/%s/%s/%d/%d-%s/%d", Layout, t.ClusterID, t.TopicID, t.Partitions, t.RulesVersion, t.RulesDigest, t.Buckets)
}

// ParseToken is the inverse of String, for readers of the view. A topic's ID is
// base64, and may hold slashes.
func ParseToken(text string) (Token, error) {
	part := strings.Split(text, "/")
	n := len(part)
	if n < 6 || part[0] != strconv.Itoa(Layout) {
		return Token{}, fmt.Errorf("the token %q is not of layout %d", text, Layout)
	}
	part = []string{part[0], part[1], strings.Join(part[2:n-3], "/"), part[n-3], part[n-2], part[n-1]}
	version, digest, found := strings.Cut(part[4], "-")
	partitions, err1 := strconv.ParseInt(part[3], 10, 32)
	rules, err2 := strconv.Atoi(version)
	buckets, err3 := strconv.Atoi(part[5])
	if !found || err1 != nil || err2 != nil || err3 != nil {
		return Token{}, fmt.Errorf("the token %q cannot be read", text)
	}
	return Token{
		ClusterID: part[1], TopicID: part[2], Partitions: int32(partitions),
		RulesVersion: rules, RulesDigest: digest, Buckets: buckets,
	}, nil
}

// Stamp is the metadata of a committed offset. An administrator's reset of
// offsets erases it, and is thereby found.
type Stamp struct {
	Token  string
	Start  int64
	Chain  uint64
	Digest uint64
}

// String returns the stamp as committed: ASCII, about 190 bytes.
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
func chain(c uint64, r *Record) uint64 { return link(c, recordHash(r)) }

func recordHash(r *Record) uint64 {
	h := xxh3.HashSeed(r.Value, uint64(r.Offset)) ^ xxh3.Hash(r.Key)
	for i := range r.Headers {
		h = h*0x9E3779B185EBCA87 ^ xxh3.Hash(r.Headers[i].Value)
	}
	return h
}

func link(c, h uint64) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], c)
	binary.LittleEndian.PutUint64(b[8:], h)
	return xxh3.Hash(b[:])
}

// Chain extends a partition's chain hash by one record, for those who fold a log
// without a machine.
func Chain(c uint64, r *Record) uint64 { return chain(c, r) }

// ValueDigest is one participant's share of a state's digest, for those who
// read all values.
func ValueDigest(key string, value []byte) uint64 { return valueDigest(key, value) }

// valueDigest is one participant's share of the state's digest, which is the
// wrapping sum of all shares and so does not depend on their order.
func valueDigest(key string, value []byte) uint64 {
	return xxh3.HashSeed(value, xxh3.HashString(key))
}
