package inboxapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// Issuer is a server that signs players' tokens: it publishes its keys as a JSON
// Web Key Set (RFC 7517).
type Issuer struct {
	URL      string
	Audience string // that its tokens must be made for; empty: Audience
	// Refresh is how often the keys are read anew (an hour), and Unknown how often
	// at most because of a token with a key that is not known (5 s).
	Refresh, Unknown time.Duration
	Logger           *slog.Logger // nil: silent
}

// issuerMethods are the algorithms by which an issuer may sign: those with a
// public key, so that a token cannot be made with what everybody can read.
var issuerMethods = []string{jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg()}

// keys reads the issuer's keys, and follows them until ctx ends. While the issuer
// cannot be reached those hold that were read last.
func (i *Issuer) keys(ctx context.Context) (keyfunc.Keyfunc, error) {
	log := i.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	refresh, unknown := i.Refresh, i.Unknown
	if refresh <= 0 {
		refresh = time.Hour
	}
	if unknown <= 0 {
		unknown = 5 * time.Second
	}
	found, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{i.URL}, keyfunc.Override{
		Client:      &http.Client{Timeout: storeTimeout},
		HTTPTimeout: storeTimeout, RefreshInterval: refresh,
		// Strangers' tokens must not make us ask without end, nor wait for it.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknown), 1), RateLimitWaitMax: time.Millisecond,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(_ context.Context, err error) {
				log.Error("the keys of players' tokens cannot be read; those that were read last hold", "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("follow the keys at %s: %w", i.URL, err)
	}
	return found, nil
}
