package apns

import (
	"crypto/ecdsa"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Apple refuses provider tokens older than an hour, and more than one new token
// within 20 minutes.
const (
	tokenLife = 40 * time.Minute
	tokenRest = 20 * time.Minute
)

// signer makes provider tokens and keeps the current one.
type signer struct {
	key       *ecdsa.PrivateKey
	id, team  string
	now       func() time.Time
	mu        sync.Mutex
	token     string
	made      time.Time
	discarded bool
}

// get returns the current token, a new one where the last is too old or the
// clock went back behind it.
func (s *signer) get() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Round(0) // the wall clock: a machine that slept has an old token
	if age := now.Sub(s.made); s.token != "" && !s.discarded && age >= 0 && age < tokenLife {
		return s.token, nil
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": s.team, "iat": now.Unix()})
	t.Header["kid"] = s.id
	signed, err := t.SignedString(s.key)
	if err != nil {
		return "", err
	}
	s.token, s.made, s.discarded = signed, now, false
	return signed, nil
}

// expired notes that Apple calls a token expired, and says whether the next
// attempt will have a new one. A young token is not renewed: then the clocks
// differ, which no token mends.
func (s *signer) expired(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token != s.token {
		return true // renewed meanwhile
	}
	s.discarded = s.now().Sub(s.made) >= tokenRest
	return s.discarded
}
