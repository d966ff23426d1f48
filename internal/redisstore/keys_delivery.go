package redisstore

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// keyEscaper keeps a name from closing a hash tag or from reaching into the
// next part of a key.
var keyEscaper = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", ":", "%3A")

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
	tag := "{" + prefix + ":inbox:" + keyEscaper.Replace(participant) + "}"
	return []string{tag + ":meta", tag + ":log", tag + ":body", tag + ":seen", tag + ":revs"}
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
