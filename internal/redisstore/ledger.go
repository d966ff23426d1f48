package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
)

var (
	//go:embed ledger_claim.lua
	ledgerClaimSource string
	//go:embed ledger_mark.lua
	ledgerMarkSource string

	ledgerClaim = redis.NewScript(ledgerClaimSource)
	ledgerMark  = redis.NewScript(ledgerMarkSource)
)

// Ledger remembers delivery attempts in Redis. Its clock is Redis's own, so
// that the notifiers' clocks need not agree.
type Ledger struct {
	client    redis.UniversalClient
	prefix    string
	retention time.Duration
}

var _ delivery.Ledger = (*Ledger)(nil)

// NewLedger returns a ledger that keeps each entry for retention after its
// last change.
func NewLedger(client redis.UniversalClient, prefix string, retention time.Duration) *Ledger {
	return &Ledger{client: client, prefix: prefix, retention: retention}
}

func (l *Ledger) key(k delivery.Key) []string {
	return []string{ledgerKey(l.prefix, k.Participant, k.Notification, k.Channel, k.Target)}
}

// Claim implements delivery.Ledger.
func (l *Ledger) Claim(ctx context.Context, k delivery.Key, r delivery.ClaimRequest) (delivery.Claim, error) {
	reply, err := ledgerClaim.Run(ctx, l.client, l.key(k), r.Owner, r.Lease.Milliseconds(), r.Revision,
		flag(r.Retract), flag(r.Expired), l.retention.Milliseconds()).StringSlice()
	if err != nil {
		return delivery.Claim{}, fmt.Errorf("claim an attempt: %w", err)
	}
	if len(reply) != 6 {
		return delivery.Claim{}, fmt.Errorf("claim an attempt: %d fields in the answer, want 6", len(reply))
	}
	c := delivery.Claim{
		State: delivery.ClaimState(reply[0]), Unknown: reply[3] == "1", Seen: reply[4] == "1", Reason: reply[5],
	}
	if c.Attempt, err = strconv.Atoi(reply[1]); err != nil {
		return c, fmt.Errorf("claim an attempt: %w", err)
	}
	wait, err := strconv.ParseInt(reply[2], 10, 64)
	if err != nil {
		return c, fmt.Errorf("claim an attempt: %w", err)
	}
	c.Wait = time.Duration(wait) * time.Millisecond
	return c, nil
}

// Mark implements delivery.Ledger.
func (l *Ledger) Mark(ctx context.Context, k delivery.Key, owner string, attempt int, m delivery.Mark) (bool, error) {
	ours, err := ledgerMark.Run(ctx, l.client, l.key(k), owner, attempt, string(m.State), m.Provider, m.Reason,
		max(m.Wait.Milliseconds(), 0), flag(m.Seen), l.retention.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("mark an attempt: %w", err)
	}
	return ours == 1, nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
