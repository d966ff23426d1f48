package ingest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/time/rate"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Key is what one application may do at the gateway. The key itself is kept
// nowhere: it has 256 bits of chance, so that its hash needs no salt and no work.
type Key struct {
	Name    string    `yaml:"name" json:"name"`
	Hash    string    `yaml:"hash" json:"-"` // SHA-256 of the key, in hexadecimal digits
	Created time.Time `yaml:"created" json:"created"`
	// Sources and Types are what its events may have: a word, or the beginning
	// of words with * behind it. None allows all.
	Sources []string `yaml:"sources,omitempty" json:"sources,omitempty"`
	Types   []string `yaml:"types,omitempty" json:"types,omitempty"`
	// Rate is in events a second, EventBytes bounds the data of one; 0: no bound.
	Rate       int  `yaml:"rate,omitempty" json:"rate,omitempty"`
	EventBytes int  `yaml:"event_bytes,omitempty" json:"event_bytes,omitempty"`
	Read       bool `yaml:"read,omitempty" json:"read"` // states of participants
}

// keyPrefix lets a key be recognised where it does not belong, by people and by
// scanners for secrets.
const keyPrefix = "vlx_"

var (
	keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	keyHash = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// NewKey makes a key of that name, and returns it with its secret, which is to
// be shown once.
func NewKey(name string, now time.Time) (secret string, k Key) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		panic(err) // documented never to fail
	}
	secret = keyPrefix + base64.RawURLEncoding.EncodeToString(random)
	return secret, Key{Name: name, Hash: hashOf(secret), Created: now.UTC().Truncate(time.Second)}
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// keyFile is the file's form.
type keyFile struct {
	Keys []Key `yaml:"keys"`
}

// ParseKeys reads a file of keys.
func ParseKeys(src []byte) ([]Key, error) {
	var f keyFile
	d := yaml.NewDecoder(bytes.NewReader(src))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && len(bytes.TrimSpace(src)) > 0 {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	for i := range f.Keys {
		k := &f.Keys[i]
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("read the keys: key %d: %w", i+1, err)
		}
		if slices.ContainsFunc(f.Keys[:i], func(other Key) bool { return other.Name == k.Name || other.Hash == k.Hash }) {
			return nil, fmt.Errorf("read the keys: %q stands there twice", k.Name)
		}
	}
	return f.Keys, nil
}

// FormatKeys writes a file of keys.
func FormatKeys(keys []Key) ([]byte, error) {
	b, err := yaml.Marshal(keyFile{keys})
	return append([]byte("# The gateway's API keys, hashed: written by veltrix keys.\n"), b...), err
}

func (k *Key) check() error {
	switch {
	case !keyName.MatchString(k.Name):
		return fmt.Errorf("the name %q must match %s", k.Name, keyName)
	case !keyHash.MatchString(k.Hash):
		return fmt.Errorf("the hash of %q is not 64 hexadecimal digits", k.Name)
	case k.Rate < 0 || k.EventBytes < 0:
		return fmt.Errorf("a limit of %q is below 0", k.Name)
	}
	for _, p := range slices.Concat(k.Sources, k.Types) {
		if star := strings.IndexByte(p, '*'); p == "" || star >= 0 && star < len(p)-1 {
			return fmt.Errorf("the pattern %q of %q may have a * at its end only", p, k.Name)
		}
	}
	return nil
}

// allows says why the key may not send an event; nil if it may.
func (k *Key) allows(ce *wire.CloudEvent) *wire.Problem {
	refuse := func(field, reason string) *wire.Problem {
		return &wire.Problem{Field: field, Rejection: participant.Rejection{Reason: "the key " + k.Name + " " + reason}}
	}
	switch {
	case !matches(k.Sources, ce.Source):
		return refuse("source", "may not send events of the source "+strconv.QuoteToGraphic(cut(ce.Source)))
	case !matches(k.Types, ce.Type):
		return refuse("type", "may not send events of the type "+strconv.QuoteToGraphic(cut(ce.Type)))
	case k.EventBytes > 0 && len(ce.Data) > k.EventBytes:
		return refuse("data", "may send events of at most "+strconv.Itoa(k.EventBytes)+" bytes, this one has "+strconv.Itoa(len(ce.Data)))
	}
	return nil
}

func matches(patterns []string, text string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		if begin, open := strings.CutSuffix(p, "*"); open {
			return strings.HasPrefix(text, begin)
		}
		return text == p
	})
}

// Keys are all that a gateway knows. It is immutable but for the limiters, and
// safe for concurrent use. A nil *Keys asks nobody.
type Keys struct {
	byHash   map[string]*Key
	limiters map[string]*rate.Limiter // by name
}

// NewKeys indexes keys. What before has counted goes on where a key's rate is
// the same, so that reading the file again gives nobody more.
func NewKeys(keys []Key, before *Keys) *Keys {
	k := &Keys{byHash: map[string]*Key{}, limiters: map[string]*rate.Limiter{}}
	for i := range keys {
		key := &keys[i]
		k.byHash[key.Hash] = key
		if key.Rate == 0 {
			continue
		}
		if before != nil && before.limiters[key.Name] != nil && before.limiters[key.Name].Limit() == rate.Limit(key.Rate) {
			k.limiters[key.Name] = before.limiters[key.Name]
			continue
		}
		k.limiters[key.Name] = rate.NewLimiter(rate.Limit(key.Rate), key.Rate)
	}
	return k
}

// errNoKey and errWrongKey are the reasons of a 401.
var (
	errNoKey    = errors.New("send the key as Authorization: Bearer vlx_…; veltrix keys add makes one")
	errWrongKey = errors.New("the key is not known here, or was revoked")
)

// find returns the key that a request's Authorization header names. The hash is
// looked up, not the key: how long that takes tells nothing of other keys.
func (k *Keys) find(authorization string) (*Key, error) {
	scheme, secret, _ := strings.Cut(authorization, " ")
	if secret = strings.TrimSpace(secret); !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return nil, errNoKey
	}
	if key := k.byHash[hashOf(secret)]; key != nil {
		return key, nil
	}
	return nil, errWrongKey
}

// take counts events against a key's rate. Where it is used up, it returns how
// many seconds to wait, from 1. More events than a second's are a debt that the
// next ones wait for.
func (k *Keys) take(key *Key, events int, now time.Time) (wait int) {
	limiter := k.limiters[key.Name]
	if limiter == nil || events == 0 {
		return 0
	}
	if tokens := limiter.TokensAt(now); tokens <= 0 {
		return int(math.Ceil((1 - tokens) / float64(key.Rate)))
	}
	for events > 0 {
		part := min(events, limiter.Burst())
		limiter.ReserveN(now, part)
		events -= part
	}
	return 0
}
