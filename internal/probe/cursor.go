package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/veltrix/veltrix/internal/preflight"
)

// cursorFix is what to do about what comes between.
const cursorFix = "no cache before the inbox (its answers say Cache-Control: no-store), Authorization and Last-Event-ID passed on, and no rewriting of queries"

// Cursors tries cursors that are none, and tokens where they open nothing: each is
// to be seen through, or a player would miss messages without a word, or see
// another's.
func (i Inbox) Cursors(ctx context.Context, run string) preflight.Finding {
	transport := &http.Transport{ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	c := client(transport)
	mine, err := i.Token(ctx, Participant)
	if err != nil {
		return preflight.NotSeen(err, tokenFix)
	}
	other, err := i.Token(ctx, stranger)
	if err != nil {
		return preflight.NotSeen(err, tokenFix)
	}
	t := &trial{inbox: i, client: c, mine: mine, other: other, cursor: "gone" + run + "-7"}
	for _, step := range []func(context.Context) error{t.cursors, t.streams, t.tokens, t.strangers} {
		if err := step(ctx); err != nil {
			t.unknown = append(t.unknown, err.Error())
			break // an inbox that is away would look as if it accepted things
		}
	}
	const expected = "resync for a cursor that is none, 403 for another participant's devices, 401 without a token, and each token its own inbox"
	switch {
	case len(t.accepted) > 0:
		return preflight.Failed(strings.Join(append(t.accepted, t.unknown...), "; "), expected, cursorFix)
	case len(t.unknown) > 0:
		return preflight.NotSeen(errors.New(strings.Join(t.unknown, "; ")), inboxFix)
	}
	return preflight.Passed(strings.Join(t.seen, "; "))
}

// trial gathers what was accepted that should not be.
type trial struct {
	inbox                   Inbox
	client                  *http.Client
	mine, other, cursor     string
	accepted, seen, unknown []string
}

// cursors asks for a page behind a cursor whose inbox is gone.
func (t *trial) cursors(ctx context.Context) error {
	status, text, err := t.inbox.get(ctx, t.client, "/v1/inbox?after="+t.cursor, t.mine)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("a page behind a cursor was answered %d", status)
	}
	if p, _ := parsePage(text); !p.Resync { // what is no page says no resync either
		t.accepted = append(t.accepted, "a page behind a cursor that is none was given without resync")
		return nil
	}
	t.seen = append(t.seen, "a page behind a cursor that is none says resync")
	return nil
}

// streams does the same with streams, in both ways that clients name a cursor.
func (t *trial) streams(ctx context.Context) error {
	for _, way := range []struct{ name, query, lastID string }{
		{"?after=", "?after=" + t.cursor, ""},
		{"Last-Event-ID", "", t.cursor},
	} {
		s, err := t.inbox.open(ctx, t.client, way.query, t.mine, way.lastID)
		if errors.Is(err, errHeld) {
			return errors.New("streams are held back: see N03")
		}
		if err != nil {
			return err
		}
		begun := s.wait(": connected", prompt)
		told := begun && s.wait("event: resync", prompt)
		s.close()
		switch {
		case !begun && !s.ended():
			return errors.New("streams are held back: see N03")
		case !told:
			t.accepted = append(t.accepted, "a stream behind a cursor that is none (by "+way.name+") went on without resync")
		default:
			t.seen = append(t.seen, "a stream does, by "+way.name)
		}
	}
	return nil
}

// tokens looks whether each opens its own inbox, one after the other by the same
// URL, and none opens none.
func (t *trial) tokens(ctx context.Context) error {
	for _, who := range []struct{ participant, token string }{{Participant, t.mine}, {stranger, t.other}} {
		p, err := t.inbox.page(ctx, t.client, "/v1/inbox", who.token)
		if err != nil {
			return err
		}
		if p.Participant != who.participant {
			t.accepted = append(t.accepted, fmt.Sprintf("the token of %s was given the inbox of another participant: something caches answers", who.participant))
			return nil
		}
	}
	status, _, err := t.inbox.get(ctx, t.client, "/v1/inbox", "")
	switch {
	case err != nil:
		return err
	case status == http.StatusUnauthorized:
		t.seen = append(t.seen, "each token opens its own inbox, and none opens none")
	case status < 300:
		t.accepted = append(t.accepted, "an inbox was given without a token")
	default:
		return fmt.Errorf("an inbox without a token was answered %d, and not 401", status)
	}
	return nil
}

// strangers asks for what is another participant's.
func (t *trial) strangers(ctx context.Context) error {
	status, _, err := t.inbox.get(ctx, t.client, devicesPath(stranger), t.mine)
	switch {
	case err != nil:
		return err
	case status == http.StatusForbidden:
		t.seen = append(t.seen, "another participant's devices are 403")
	case status < 300:
		t.accepted = append(t.accepted, "another participant's devices were given")
	default:
		return fmt.Errorf("another participant's devices were answered %d, and not 403: is /v1/participants passed on?", status)
	}
	return nil
}
