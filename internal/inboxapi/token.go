package inboxapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Audience is what a token for the inbox must be made for.
const Audience = "veltrix-inbox"

// tokenLeeway forgives clocks that disagree a little.
const tokenLeeway = 5 * time.Second

// IssueToken signs a token that lets its bearer read and acknowledge one
// participant's inbox for ttl.
func IssueToken(secret []byte, participant string, ttl time.Duration) (string, error) {
	switch {
	case len(secret) < 32:
		return "", fmt.Errorf("the token secret has %d bytes; at least 32 are needed", len(secret))
	case participant == "":
		return "", errors.New("a token needs a participant")
	case ttl <= 0:
		return "", errors.New("a token needs a lifetime above zero")
	}
	now := time.Now()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: participant, Audience: jwt.ClaimStrings{Audience},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// verifier reads tokens: those signed with a shared secret, or those of an issuer
// with keys of its own, and never both. A token must not choose how it is checked.
type verifier struct {
	secret   atomic.Pointer[[]byte]
	keys     func(ctx context.Context) jwt.Keyfunc // of an issuer; nil: the secret
	audience string
	parser   *jwt.Parser
	refresh  func(ctx context.Context) ([]byte, error) // nil: the secret never changes
	asked    atomic.Int64                              // when, ns since the Unix epoch
}

func newVerifier(secret []byte, refresh func(ctx context.Context) ([]byte, error)) *verifier {
	v := &verifier{refresh: refresh, audience: Audience, parser: parser(jwt.SigningMethodHS256.Alg())}
	v.secret.Store(&secret)
	return v
}

// newIssued returns a verifier of an issuer's tokens.
func newIssued(ctx context.Context, i *Issuer) (*verifier, error) {
	keys, err := i.keys(ctx)
	if err != nil {
		return nil, err
	}
	v := &verifier{keys: keys.KeyfuncCtx, audience: i.Audience, parser: parser(issuerMethods...)}
	if v.audience == "" {
		v.audience = Audience
	}
	return v, nil
}

func parser(methods ...string) *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithLeeway(tokenLeeway))
}

// refreshEvery bounds how often strangers' tokens make us look for a new secret.
const refreshEvery = time.Second

// renewed looks whether the deployment has another secret by now, as it has
// after the store lost the one before.
func (v *verifier) renewed(ctx context.Context) bool {
	last, now := v.asked.Load(), time.Now().UnixNano()
	if v.refresh == nil || now-last < int64(refreshEvery) || !v.asked.CompareAndSwap(last, now) {
		return false
	}
	secret, err := v.refresh(ctx)
	if err != nil || len(secret) < 32 || bytes.Equal(secret, *v.secret.Load()) {
		return false
	}
	v.secret.Store(&secret)
	return true
}

// errForbidden is a valid token that is made for something else.
var errForbidden = errors.New("this token is not made for the inbox")

// participant returns whose inbox a token opens, and until when.
func (v *verifier) participant(ctx context.Context, token string) (string, time.Time, error) {
	var claims jwt.RegisteredClaims
	key := func(*jwt.Token) (any, error) { return *v.secret.Load(), nil }
	if v.keys != nil {
		key = v.keys(ctx)
	}
	_, err := v.parser.ParseWithClaims(token, &claims, key)
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) && v.renewed(ctx) {
		claims = jwt.RegisteredClaims{}
		_, err = v.parser.ParseWithClaims(token, &claims, key)
	}
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "", time.Time{}, errors.New("the token has expired: ask for a new one")
	case err != nil:
		return "", time.Time{}, errors.New("the token is not valid")
	}
	for _, a := range claims.Audience {
		if a == v.audience && claims.Subject != "" {
			return claims.Subject, claims.ExpiresAt.Time, nil
		}
	}
	return "", time.Time{}, errForbidden
}
