package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// fencesMany is how often a slot is lost, within redisstore.FencesKept, before that
// is no takeover any more: a process that slept through its session is fenced once.
const fencesMany = 3

const prefixFix = "a prefix of its own (the key prefix) for each environment, with topics and manifest by veltrix topics apply"

// leaseChecks are about what processes share by their prefix: slots, transactional
// IDs, and the keys in Redis. They hold what the brokers show against the leases.
func (rt Runtime) leaseChecks(kafka kafkalog.Config, client redis.UniversalClient) []preflight.Check {
	denied := func(err error) preflight.Finding {
		return preflight.NotSeen(err, "allow this user to read keys that begin with "+kafka.Prefix+". in Redis, and to describe the manifest and the transactional IDs "+kafka.Prefix+".processor.* at the brokers")
	}
	return []preflight.Check{
		preflight.New("C09", func(ctx context.Context) preflight.Finding {
			fences, err := redisstore.Fences(ctx, client, kafka.Prefix, time.Now())
			if err != nil {
				return denied(err)
			}
			return sharedInstance(fences)
		}),
		preflight.New("C12", func(ctx context.Context) preflight.Finding {
			manifest, err := kafkalog.ReadManifest(ctx, kafka)
			if err != nil {
				return denied(err)
			}
			if manifest == nil {
				return preflight.Skipped("no manifest yet: see K10")
			}
			has, left, err := redisstore.Claimed(ctx, client, kafka.Prefix)
			if err != nil {
				return denied(err)
			}
			return namespace(has, left, life(manifest))
		}),
		preflight.New("C13", func(ctx context.Context) preflight.Finding {
			fences, err := redisstore.Fences(ctx, client, kafka.Prefix, time.Now())
			if err != nil {
				return denied(err)
			}
			if manifest, err := kafkalog.ReadManifest(ctx, kafka); err != nil {
				return denied(err)
			} else if manifest == nil {
				return preflight.Skipped("no manifest yet: see K10")
			}
			alive, left, err := unleased(ctx, kafka, client, rt.Config.Processor.SessionTimeout)
			if err != nil {
				return denied(err)
			}
			return sharedPrefix(fences, alive, left)
		}),
	}
}

// lostSlots returns for each slot that was lost again and again who lost it.
func lostSlots(fences []redisstore.Fence) map[int][]redisstore.Fence {
	lost := map[int][]redisstore.Fence{}
	for _, f := range fences {
		lost[f.Slot] = append(lost[f.Slot], f)
	}
	for slot, all := range lost {
		if len(all) < fencesMany {
			delete(lost, slot)
		}
	}
	return lost
}

// rivals are the sessions that lost a slot which each of them leased by one name.
// The brokers show one member of a static name, whoever has it just now; that it
// goes to and fro is only known to those who lose it.
func rivals(fences []redisstore.Fence) (sessions []string) {
	for _, f := range fences {
		if f.Owner == fences[0].Owner && strings.HasPrefix(f.Owner, instanceOwner) && !slices.Contains(sessions, f.Session) {
			sessions = append(sessions, f.Session)
		}
	}
	slices.Sort(sessions)
	return sessions
}

// sharedInstance is C09.
func sharedInstance(fences []redisstore.Fence) preflight.Finding {
	var bad []string
	for slot, lost := range lostSlots(fences) {
		if who := rivals(lost); len(who) > 1 {
			bad = append(bad, fmt.Sprintf("slot %d was lost %d times in %v, in turns by %s, which both are %s", slot, len(lost), redisstore.FencesKept, strings.Join(who, " and "), lost[0].Owner))
		}
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return preflight.Failed(strings.Join(bad, "; "), "one process for each processor.instance", "a processor.instance of its own for each process, or none")
	}
	return preflight.Passed(fmt.Sprintf("%d times in %v a slot went to another member of its name", len(fences), redisstore.FencesKept))
}

// namespace is C12.
func namespace(has string, left time.Duration, ours string) preflight.Finding {
	switch has {
	case "":
		return preflight.Skipped("no processor is at work on these keys")
	case ours:
		return preflight.Passed("the keys belong to " + ours)
	}
	return preflight.Failed(fmt.Sprintf("processors of %s are at work on these keys (their lease has %v left)", has, left.Round(time.Second)), ours,
		prefixFix+"; where the other was stopped for good, its lease ends by itself")
}

// aliveAfter is the wait between two looks at the transactional IDs of slots that
// nobody holds.
const aliveAfter = 300 * time.Millisecond

// unleased returns the transactional IDs whose slot nobody has leased in this Redis,
// or that are no slot's: those whose producer went on from one look to the next, and
// those that a process which has ended may have left open. A process leases its slot
// before it begins a transaction, and frees it after the last, so that a producer at
// work without a lease has another Redis; or this one lost all leases just now, and
// each holder brings its own back within a quarter of a lease's life, which is half a
// session timeout. So long, and a half more, it is looked at again: a Redis that lost
// its data must not keep anybody from starting who mends it.
func unleased(ctx context.Context, kafka kafkalog.Config, client redis.UniversalClient, session time.Duration) (alive, left []string, _ error) {
	patience := session * 3 / 4
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)*3/4)
	}
	before, err := unleasedNow(ctx, kafka, client)
	for began := time.Now(); err == nil && len(before) > 0; {
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(aliveAfter):
		}
		var after map[string]*kafkalog.SlotTransaction
		if after, err = unleasedNow(ctx, kafka, client); err != nil {
			break
		}
		alive, left = compareUnleased(before, after)
		if len(alive) == 0 || time.Since(began) > patience {
			return alive, left, nil
		}
		before = after
	}
	return nil, nil, err
}

// compareUnleased tells those that went on between two looks from those that stayed
// open.
func compareUnleased(before, after map[string]*kafkalog.SlotTransaction) (alive, left []string) {
	for id, was := range before {
		switch is := after[id]; {
		case is == nil:
		case was.WentOn(is):
			alive = append(alive, id)
		case was.Open && is.Open:
			left = append(left, id)
		}
	}
	slices.Sort(alive)
	slices.Sort(left)
	return alive, left
}

func unleasedNow(ctx context.Context, kafka kafkalog.Config, client redis.UniversalClient) (map[string]*kafkalog.SlotTransaction, error) {
	all, err := kafkalog.SlotTransactions(ctx, kafka)
	if err != nil {
		return nil, err
	}
	found := map[string]*kafkalog.SlotTransaction{}
	for i := range all {
		held := ""
		if all[i].Slot >= 0 {
			if held, err = redisstore.Holder(ctx, client, kafka.Prefix, all[i].Slot); err != nil {
				return nil, err
			}
		}
		if held == "" {
			found[all[i].ID] = &all[i]
		}
	}
	return found, nil
}

// sharedPrefix is C13.
func sharedPrefix(fences []redisstore.Fence, alive, left []string) preflight.Finding {
	var bad, lostAgain []string
	for slot, lost := range lostSlots(fences) {
		if len(rivals(lost)) < 2 {
			lostAgain = append(lostAgain, fmt.Sprintf("slot %d was lost %d times in %v by its holder in this Redis", slot, len(lost), redisstore.FencesKept))
		}
	}
	for _, id := range alive {
		bad = append(bad, id+" works, and nobody holds that slot in this Redis")
	}
	const expected = "transactions of slots alone that are held in this Redis"
	slices.Sort(lostAgain)
	switch {
	case len(bad) > 0:
		return preflight.Failed(strings.Join(slices.Concat(bad, lostAgain), "; "), expected, prefixFix)
	case len(lostAgain) > 0: // a process that is stopped again and again loses its slot as well, and must be let in again
		return preflight.Finding{
			State: preflight.Warn, Observed: strings.Join(lostAgain, "; "), Expected: expected,
			Fix: "see in the log of that process why its sessions end; where it was never stopped for long, " + prefixFix,
		}
	case len(left) > 0:
		return preflight.Finding{
			State: preflight.Warn, Observed: "a transaction is open of " + strings.Join(left, ", ") + ", and nobody holds that slot in this Redis", Expected: expected,
			Players: "nothing, where a process that ended left it open: it ends by its timeout",
			Fix:     "look again after processor.transaction_timeout; where it comes again, " + prefixFix,
		}
	}
	return preflight.Passed("every transactional ID at work is of a slot that is held in this Redis")
}
