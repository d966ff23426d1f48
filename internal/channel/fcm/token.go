package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/veltrix/veltrix/internal/channel/dial"
	"github.com/veltrix/veltrix/internal/channel/push"
	"github.com/veltrix/veltrix/internal/delivery"
)

const (
	scope = "https://www.googleapis.com/auth/firebase.messaging"
	// expiryMargin is how long before its end an access token is not used any more.
	expiryMargin = time.Minute
	// renewAfter is how young a token that never worked is left in use: a project
	// that refuses us must not cost an exchange for each message.
	renewAfter = time.Minute
)

// access is one access token.
type access struct {
	token   string
	made    time.Time
	expires time.Time
	proven  bool // FCM has taken it
}

// tokens exchanges the service account's signature for access tokens.
type tokens struct {
	config jwt.Config
	client *dial.Client
	turn   chan struct{} // held by whoever looks at what is below
	held   *access
}

// get returns the current access token, or how the attempt ends without one.
// Nothing was sent then, so every failure is definite.
func (t *tokens) get(ctx context.Context) (*access, delivery.Result) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return nil, delivery.Result{Verdict: delivery.Failed, Reason: "no access token: another attempt still asks for one", Unreachable: true}
	}
	if t.held != nil && time.Until(t.held.expires) > expiryMargin {
		return t.held, delivery.Result{}
	}
	trip := &roundTrip{ctx: ctx, client: t.client}
	made, err := t.config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: trip})).Token()
	if err != nil {
		return nil, refused(err, trip.err)
	}
	t.held = &access{token: made.AccessToken, made: time.Now(), expires: made.Expiry}
	if made.Expiry.IsZero() {
		t.held.expires = t.held.made.Add(30 * time.Minute)
	}
	return t.held, delivery.Result{}
}

// took notes that FCM took a token.
func (t *tokens) took(a *access) {
	t.turn <- struct{}{}
	a.proven = true
	<-t.turn
}

// rejected notes that FCM did not, and says whether a new one may help: so it
// may where the token had worked. The next attempt asks for it, this one is over.
func (t *tokens) rejected(a *access) bool {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	if t.held == a && (a.proven || time.Since(a.made) > renewAfter) {
		t.held = nil
	}
	return a.proven
}

// refused classifies an exchange that gave no token. The answer's body is not
// repeated, apart from the one word that OAuth has for it.
func refused(err, unanswered error) delivery.Result {
	if unanswered != nil {
		res := dial.Failure(unanswered)
		res.Verdict, res.Reason = delivery.Failed, "no access token: "+res.Reason
		res.Alarm = errors.Is(unanswered, dial.ErrBlocked)
		res.Unreachable = !res.Alarm
		return res
	}
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return delivery.Result{Verdict: delivery.Failed, Reason: "no access token: the answer to the exchange holds none"}
	}
	var said struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(answer.Body, &said) // another form has no word for us
	code := answer.Response.StatusCode
	return delivery.Result{
		Verdict: delivery.Failed, Alarm: code >= 400 && code < 500 && code != http.StatusTooManyRequests,
		Reason:     fmt.Sprintf("no access token: the exchange answered %d %s", code, push.Word(said.Error)),
		RetryAfter: dial.RetryAfter(answer.Response.Header),
	}
}

// roundTrip lends a dial.Client to a library that takes an http.Client and no
// context, and keeps why there was no answer.
type roundTrip struct {
	ctx    context.Context
	client *dial.Client
	err    error
}

// RoundTrip implements http.RoundTripper.
func (t *roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.client.Do(req.Clone(t.ctx))
	t.err = err
	return resp, err
}
