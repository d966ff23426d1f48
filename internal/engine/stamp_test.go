package engine_test

import (
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
)

func TestTokenAndStampAreReadBack(t *testing.T) {
	token := engine.Token{ClusterID: "c", TopicID: "AbC_-9", Partitions: 12, RulesVersion: 7, RulesDigest: strings.Repeat("f0", 32), Buckets: 4}
	slashed := token
	slashed.TopicID = "A/b/+=="
	if got, err := engine.ParseToken(slashed.String()); err != nil || got != slashed {
		t.Errorf("of a topic whose ID has slashes, %q is read as %+v, %v", slashed, got, err)
	}
	if got, err := engine.ParseToken(token.String()); err != nil || got != token {
		t.Errorf("read back %+v, %v", got, err)
	}
	stamp := engine.Stamp{Token: token.String(), Start: 5, Chain: 1 << 63, Digest: 7}
	if got, err := engine.ParseStamp(stamp.String()); err != nil || got != stamp {
		t.Errorf("read back %+v, %v", got, err)
	}
	if n := len(stamp.String()); n > 400 {
		t.Errorf("a stamp takes %d bytes; brokers take 4,096 by default and may be set lower", n)
	}
}

func TestForeignMetadataIsNoStamp(t *testing.T) {
	for _, metadata := range []string{"", "member-1", "veltrix;a;1;2", "veltrix;a;x;0;0", "veltrix;a;1;zz;0"} {
		if got, err := engine.ParseStamp(metadata); err == nil {
			t.Errorf("%q was read as the stamp %+v", metadata, got)
		}
	}
	for _, token := range []string{"", "2/c/t/1/1-a/4", "1/c/t/1/1a/4", "1/c/t/x/1-a/4"} {
		if got, err := engine.ParseToken(token); err == nil {
			t.Errorf("%q was read as the token %+v", token, got)
		}
	}
}
