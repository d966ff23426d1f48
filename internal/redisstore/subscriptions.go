package redisstore

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/preflight"
)

// The bounds of a look at the devices: it must be harmless on a Redis in full use.
const (
	devicesScanRounds = 50    // SCANs of each primary
	devicesScanCount  = 1_000 // keys that a round looks at, about
	devicesSampleMax  = 1_000 // participants whose devices are read
	// sameOriginMax is how many devices of one participant may be at one push
	// service: a phone, a tablet and a computer with the same browser are.
	sameOriginMax = 3
	namedMax      = 3 // participants who are named in a finding
)

// sample is what a look at the devices saw.
type sample struct {
	participants, devices int
	suspects              []string // participants with too many at one place, as they lie there
	crowded               []string // of these, the ones that are written to
	part                  bool     // there was more than the bounds allow
}

// subscriptions warns of participants whose devices pile up at one push service.
// An app that registers under a new name at each start does that: each old name
// stays until the provider calls it gone, and rings meanwhile.
func subscriptions(ctx context.Context, cl redis.UniversalClient, prefix string) preflight.Finding {
	var s sample
	err := eachPrimary(ctx, cl, func(ctx context.Context, node *redis.Client) error { return s.look(ctx, node, prefix) })
	if err == nil {
		err = s.confirm(ctx, NewDevices(cl, prefix, 0, 0))
	}
	seen := fmt.Sprintf("%d devices of %d participants", s.devices, s.participants)
	if s.part {
		seen += ", a sample: the first ones that a bounded scan found"
	}
	switch {
	case len(s.crowded) > 0:
		named := strings.Join(s.crowded[:min(namedMax, len(s.crowded))], ", ")
		return preflight.Finding{
			State:    preflight.Warn,
			Observed: fmt.Sprintf("%d of the participants have more than %d at one push service: %s; seen: %s", len(s.crowded), sameOriginMax, named, seen),
			Expected: fmt.Sprintf("at most %d devices of a participant at one push service", sameOriginMax),
			Fix:      "register under a device name that survives a reinstall; see veltrix player devices",
		}
	case err != nil:
		return preflight.NotSeen(err, "allow this user SCAN and HVALS (ACL SETUSER … +scan +hvals)")
	case s.participants == 0 && s.part:
		return preflight.NotSeen(fmt.Errorf("no devices among the first %d keys or so", devicesScanRounds*devicesScanCount), "look at single participants with veltrix player devices")
	case s.participants == 0:
		return preflight.Skipped("no participant has registered a device")
	}
	return preflight.Passed(seen)
}

// look reads a bounded part of a primary's devices.
func (s *sample) look(ctx context.Context, node *redis.Client, prefix string) error {
	cursor := uint64(0)
	for range devicesScanRounds {
		keys, next, err := node.Scan(ctx, cursor, devicesPattern(prefix), devicesScanCount).Result()
		if err != nil {
			return fmt.Errorf("look for devices in %s: %w", node.Options().Addr, err)
		}
		if err := s.read(ctx, node, prefix, keys); err != nil {
			return err
		}
		if next == 0 {
			return nil
		}
		if cursor = next; s.participants >= devicesSampleMax {
			break
		}
	}
	s.part = true
	return nil
}

func (s *sample) read(ctx context.Context, node *redis.Client, prefix string, keys []string) error {
	answers := make([]*redis.StringSliceCmd, len(keys))
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			answers[i] = p.HVals(ctx, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read devices in %s: %w", node.Options().Addr, err)
	}
	for i, key := range keys {
		s.participants++
		at := map[string]int{}
		for _, stored := range answers[i].Val() {
			s.devices++
			at[origin(decodeDevice("", stored))]++
		}
		if len(piles(at)) > 0 {
			s.suspects = append(s.suspects, devicesOwner(prefix, key))
		}
	}
	return nil
}

// confirm leaves out the devices whose token is somebody else's by now: nothing
// is sent to them.
func (s *sample) confirm(ctx context.Context, devices *Devices) error {
	for _, who := range s.suspects {
		all, err := devices.List(ctx, who)
		if err != nil {
			return err
		}
		at := map[string]int{}
		for _, d := range all {
			at[origin(d)]++
		}
		if found := piles(at); len(found) > 0 {
			s.crowded = append(s.crowded, who+" has "+strings.Join(found, " and "))
		}
	}
	slices.Sort(s.crowded)
	return nil
}

// piles says where there are too many.
func piles(at map[string]int) (found []string) {
	for _, place := range slices.Sorted(maps.Keys(at)) {
		if n := at[place]; n > sameOriginMax {
			found = append(found, fmt.Sprintf("%d at %s", n, place))
		}
	}
	return found
}

// origin is where a device is reached, with nothing of its secrets: the push
// service of a browser, else the channel.
func origin(d delivery.Device) string {
	if u, err := url.Parse(d.Token); err == nil && u.Host != "" {
		return d.Channel + " " + u.Scheme + "://" + u.Host
	}
	return d.Channel
}
