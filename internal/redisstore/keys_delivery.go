package redisstore

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// keyEscaper keeps a name from closing a hash tag or from reaching into the
// next part of a key.
var keyEscaper = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", ":", "%3A")

// keyUnescaper takes back what keyEscaper did.
var keyUnescaper = strings.NewReplacer("%25", "%", "%7B", "{", "%7D", "}", "%3A", ":")

// ledgerKey holds what became of one notification at one target. The hash tag
// is the participant, so that a participant's entries share a slot.
func ledgerKey(prefix, participant, notification, channel, target string) string {
	return prefix + ":ledger:{" + keyEscaper.Replace(participant) + "}:" + notification + ":" +
		keyEscaper.Replace(channel) + ":" + keyEscaper.Replace(target)
}

// inboxKeys are the keys of one participant's inbox, all in one slot, in the
// order in which the scripts take them:
//
//	meta   hash: epoch, next (the newest offset), acked, gone (the highest offset
//	       dropped for room or age), floor (ms: older arrivals are no longer told apart)
//	log    sorted set: notification ID by inbox offset
//	body   hash: notification ID → the entry as JSON, without its offset
//	seen   sorted set: notification ID by arrival in ms
//	revs   hash: notification ID → highest revision taken
func inboxKeys(prefix, participant string) []string {
	tag := inboxTag(prefix, participant)
	return []string{tag + ":meta", tag + ":log", tag + ":body", tag + ":seen", tag + ":revs"}
}

// inboxTag puts what belongs to a participant's inbox into one slot.
func inboxTag(prefix, participant string) string {
	return "{" + prefix + ":inbox:" + keyEscaper.Replace(participant) + "}"
}

// The keys of the gate are in the slot of the inbox, so that one script compares
// them with what was seen.

// preferencesKey is a string: a participant's preferences as JSON, for good.
func preferencesKey(prefix, participant string) string {
	return inboxTag(prefix, participant) + ":preferences"
}

// presenceKey is a string that is there while the participant looks.
func presenceKey(prefix, participant string) string {
	return inboxTag(prefix, participant) + ":present"
}

// windowKey is a hash, the participant's window of pushes: start and ends (ms),
// count (revisions admitted), a:<revision> for each of these, and o:<target> →
// the notification that opens the target's digest.
func windowKey(prefix, participant string) string {
	return inboxTag(prefix, participant) + ":window"
}

// digestsKey is a sorted set: notification ID by the start of the window whose
// digest counts it.
func digestsKey(prefix, participant string) string {
	return inboxTag(prefix, participant) + ":digests"
}

// pushTarget names a channel's target within a window.
func pushTarget(channel, target string) string {
	return keyEscaper.Replace(channel) + ":" + keyEscaper.Replace(target)
}

// lookKeys, admitKeys and unseenKeys are those of one call each.
func lookKeys(prefix, participant string) []string {
	return append(inboxKeys(prefix, participant)[:2:2], preferencesKey(prefix, participant), presenceKey(prefix, participant))
}

func admitKeys(prefix, participant string) []string {
	return []string{windowKey(prefix, participant), digestsKey(prefix, participant)}
}

func unseenKeys(prefix, participant string) []string {
	return append(inboxKeys(prefix, participant)[:3:3], digestsKey(prefix, participant), windowKey(prefix, participant))
}

// wakeChannel carries the participants whose inbox changed.
func wakeChannel(prefix string) string { return prefix + ":inbox:wake" }

// tokenSecretKey holds the secret that signs players' tokens.
func tokenSecretKey(prefix string) string { return prefix + ":token-secret" }

// devicesKey is a hash: device ID → the device as JSON. The hash tag is the
// participant, as the ledger's is.
func devicesKey(prefix, participant string) string {
	return prefix + ":devices:{" + keyEscaper.Replace(participant) + "}"
}

// devicesPattern matches each devicesKey in a scan: a prefix has nothing that a
// pattern reads as its own.
func devicesPattern(prefix string) string { return prefix + ":devices:*" }

// devicesOwner is the participant of a devicesKey.
func devicesOwner(prefix, key string) string {
	tag := strings.TrimSuffix(strings.TrimPrefix(key, prefix+":devices:{"), "}")
	return keyUnescaper.Replace(tag)
}

// tokenOwnerKey is a string: the device that a token belongs to, as
// tokenOwner writes it. The key has the token's SHA-256 in hex and is in a
// slot of its own: a token is of nobody before it is of somebody.
func tokenOwnerKey(prefix, token string) string {
	sum := sha256.Sum256([]byte(token))
	return prefix + ":device-token:{" + hex.EncodeToString(sum[:]) + "}"
}

// tokenOwner names a participant's device.
func tokenOwner(participant, id string) string {
	return keyEscaper.Replace(participant) + ":" + keyEscaper.Replace(id)
}
