package webpush

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"strings"

	webpushgo "github.com/SherClockHolmes/webpush-go"
)

var errKey = errors.New("notifier.webpush.private_key is not a VAPID key, 32 bytes in base64url: make a pair with `veltrix keys vapid`")

// NewKeys makes a VAPID key pair (RFC 8292), both in base64url without padding:
// 32 bytes of the private key, 65 of the public one's uncompressed point.
func NewKeys() (private, public string, err error) { return webpushgo.GenerateVAPIDKeys() }

// PublicKey returns what belongs to a private key: the browser's
// applicationServerKey, in base64url without padding. Its error does not hold
// the key.
func PublicKey(private string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(private), "="))
	if err != nil {
		return "", errKey
	}
	key, err := ecdh.P256().NewPrivateKey(raw)
	if err != nil {
		return "", errKey
	}
	return base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()), nil
}
