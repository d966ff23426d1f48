package redisstore

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
)

var (
	//go:embed gate_look.lua
	gateLookSource string
	//go:embed gate_admit.lua
	gateAdmitSource string
	//go:embed gate_unseen.lua
	gateUnseenSource string

	gateLook   = redis.NewScript(gateLookSource)
	gateAdmit  = redis.NewScript(gateAdmitSource)
	gateUnseen = redis.NewScript(gateUnseenSource)
)

// Bounds of what is kept of one participant's pushes.
const (
	digestsKept = 48 * time.Hour // longer than a digest can be late
	digestsMax  = 1000           // notifications; a digest that counts more says this many
	targetsMax  = 256            // of a window; the digests of others are parked more than once
)

// Gate keeps in Redis what decides about pushes: preferences, presence, and the
// allowance. All of a participant is in the slot of their inbox, and its clock is
// Redis's own.
//
// Preferences have no life that ends: they are what a participant said, and an old
// no is still a no. All else ends by itself. A Redis that lost its data has lost
// the preferences with it, and then everything is wanted; one that lost only its
// last writes admits at most as many pushes again as it forgot.
type Gate struct {
	client redis.UniversalClient
	prefix string
}

var (
	_ delivery.Gate            = (*Gate)(nil)
	_ delivery.Presence        = (*Gate)(nil)
	_ delivery.PreferenceStore = (*Gate)(nil)
)

// NewGate returns the gate under prefix.
func NewGate(client redis.UniversalClient, prefix string) *Gate {
	return &Gate{client: client, prefix: prefix}
}

// Look implements delivery.Gate.
func (g *Gate) Look(ctx context.Context, participant, notification string) (delivery.Standing, error) {
	reply, err := gateLook.Run(ctx, g.client, lookKeys(g.prefix, participant), notification).StringSlice()
	if err != nil {
		return delivery.Standing{}, fmt.Errorf("look how a participant stands to a push: %w", err)
	}
	if len(reply) != 3 {
		return delivery.Standing{}, fmt.Errorf("look how a participant stands to a push: %d fields in the answer, want 3", len(reply))
	}
	return delivery.Standing{
		Preferences: decodePreferences(reply[0]), Present: reply[1] == "1", Seen: reply[2] == "1",
	}, nil
}

// Admit implements delivery.Gate.
func (g *Gate) Admit(ctx context.Context, participant string, r delivery.AdmitRequest) (delivery.Admission, error) {
	reply, err := gateAdmit.Run(ctx, g.client, admitKeys(g.prefix, participant), r.Notification, r.Revision,
		pushTarget(r.Channel, r.Target), r.Max, max(r.Window.Milliseconds(), 1),
		digestsKept.Milliseconds(), digestsMax, targetsMax).StringSlice()
	if err != nil {
		return delivery.Admission{}, fmt.Errorf("count a push: %w", err)
	}
	if len(reply) != 4 {
		return delivery.Admission{}, fmt.Errorf("count a push: %d fields in the answer, want 4", len(reply))
	}
	if reply[0] == "1" {
		return delivery.Admission{Admitted: true}, nil
	}
	a := delivery.Admission{Opens: reply[3] == "1"}
	if a.Window, err = strconv.ParseInt(reply[1], 10, 64); err != nil {
		return a, fmt.Errorf("count a push: %w", err)
	}
	left, err := strconv.ParseInt(reply[2], 10, 64)
	if err != nil {
		return a, fmt.Errorf("count a push: %w", err)
	}
	a.Left = time.Duration(left) * time.Millisecond
	return a, nil
}

// Withdraw implements delivery.Gate.
func (g *Gate) Withdraw(ctx context.Context, participant, notification string) error {
	if err := g.client.ZRem(ctx, digestsKey(g.prefix, participant), notification).Err(); err != nil {
		return fmt.Errorf("take a notification out of its digest: %w", err)
	}
	return nil
}

// Unseen implements delivery.Gate.
func (g *Gate) Unseen(ctx context.Context, participant string, window int64) (int, error) {
	n, err := gateUnseen.Run(ctx, g.client, unseenKeys(g.prefix, participant), window).Int()
	if err != nil {
		return 0, fmt.Errorf("count a digest: %w", err)
	}
	return n, nil
}

// Present implements delivery.Presence.
func (g *Gate) Present(ctx context.Context, participant string, life time.Duration) error {
	if err := g.client.Set(ctx, presenceKey(g.prefix, participant), "1", max(life, time.Millisecond)).Err(); err != nil {
		return fmt.Errorf("note that a participant looks: %w", err)
	}
	return nil
}

// Preferences implements delivery.PreferenceStore.
func (g *Gate) Preferences(ctx context.Context, participant string) (delivery.Preferences, error) {
	stored, err := g.client.Get(ctx, preferencesKey(g.prefix, participant)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return delivery.Preferences{}, fmt.Errorf("read preferences: %w", err)
	}
	return decodePreferences(stored), nil
}

// SetPreferences implements delivery.PreferenceStore.
func (g *Gate) SetPreferences(ctx context.Context, participant string, p delivery.Preferences) error {
	key := preferencesKey(g.prefix, participant)
	if p.IsZero() {
		if err := g.client.Del(ctx, key).Err(); err != nil {
			return fmt.Errorf("take out preferences: %w", err)
		}
		return nil
	}
	text, err := json.Marshal(&p)
	if err != nil {
		return fmt.Errorf("encode preferences: %w", err)
	}
	if err := g.client.Set(ctx, key, text, 0).Err(); err != nil {
		return fmt.Errorf("write preferences: %w", err)
	}
	return nil
}

// decodePreferences reads what is stored. What cannot be read is as lost: an error
// would hold up this participant's pushes for good.
func decodePreferences(stored string) delivery.Preferences {
	var p delivery.Preferences
	if stored == "" || json.Unmarshal([]byte(stored), &p) != nil {
		return delivery.Preferences{}
	}
	return p
}
