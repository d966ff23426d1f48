package redisstore

import (
	"strings"
	"testing"
)

// All keys of one call have one hash tag, whatever a participant is called, and
// no other participant's.
func TestTheGatesKeysShareTheInboxsSlot(t *testing.T) {
	t.Parallel()
	tags := map[string]string{}
	for _, who := range []string{"ada", "a{d}a", "{ada}", "a}:meta", "a:da", "a%7Dda", "}", "日本"} {
		keys := inboxKeys("v", who)
		for _, of := range [][]string{lookKeys("v", who), admitKeys("v", who), unseenKeys("v", who)} {
			keys = append(keys, of...)
		}
		want := hashTag(keys[0])
		if of, taken := tags[want]; taken || want == "" {
			t.Errorf("%q has the tag %q, which is %q's", who, want, of)
		}
		tags[want] = who
		for _, key := range keys {
			if got := hashTag(key); got != want {
				t.Errorf("%s has the tag %q, want %q", key, got, want)
			}
		}
	}
	if a, b := pushTarget("a:b", "c"), pushTarget("a", "b:c"); a == b {
		t.Errorf("two targets have the name %s", a)
	}
}

// hashTag returns what a cluster hashes of a key: between the first { and the
// next }.
func hashTag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, _ := strings.Cut(rest, "}")
	return tag
}
