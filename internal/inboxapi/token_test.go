package inboxapi

import (
	"bytes"
	"context"
	"testing"
	"time"
)

// A deployment whose store lost the secret has another one: who runs follows it,
// and is not kept busy by tokens that are of neither.
func TestNewSecretIsFollowed(t *testing.T) {
	now := bytes.Repeat([]byte("b"), 32)
	asked := 0
	v := newVerifier(bytes.Repeat([]byte("a"), 32), func(context.Context) ([]byte, error) { asked++; return now, nil })
	token := func(secret []byte) string {
		text, err := IssueToken(secret, "ada", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if who, _, err := v.participant(t.Context(), token(bytes.Repeat([]byte("a"), 32))); err != nil || who != "ada" || asked != 0 {
		t.Errorf("with the secret it began with: %q, %v, asked %d times", who, err, asked)
	}
	if who, _, err := v.participant(t.Context(), token(now)); err != nil || who != "ada" {
		t.Errorf("with the new secret: %q, %v", who, err)
	}
	for range 50 {
		if _, _, err := v.participant(t.Context(), token(bytes.Repeat([]byte("c"), 32))); err == nil {
			t.Error("a foreign token was taken")
		}
	}
	if asked != 1 {
		t.Errorf("it asked %d times", asked)
	}
}
