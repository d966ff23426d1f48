package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/wire"
)

// score is a participant's state under rules.yaml, computed without them.
type score struct {
	Count int64 `json:"count"`
	Sum   int64 `json:"sum"`
	Chain int64 `json:"chain"`
}

// scores counts events in the order of their time; every third one is told.
func scores(events []event, counts func(number int) bool) (states map[string]score, told map[string]map[string]string) {
	states, told = map[string]score{}, map[string]map[string]string{}
	for i := range events {
		e := &events[i]
		if !counts(e.number) {
			continue
		}
		who := participantName(e.who)
		s := states[who]
		s = score{s.Count + 1, s.Sum + e.n, (s.Chain*31 + e.n) % 1000003}
		states[who] = s
		if s.Count%3 == 0 {
			if told[who] == nil {
				told[who] = map[string]string{}
			}
			told[who][fmt.Sprintf("event %d", s.Count)] = fmt.Sprintf("chain %d", s.Chain)
		}
	}
	return states, told
}

// count holds the states in Redis and the inboxes against what was sent and
// acknowledged, by arithmetic of its own.
func (r *run) count(ctx context.Context, result *Result) error {
	surviving, err := r.surviving(ctx)
	if err != nil {
		return err
	}
	want, told := scores(r.feeder.all, func(number int) bool { return surviving[number] })
	result.Events = int64(len(surviving))
	got, err := r.scoresInRedis(ctx)
	if err != nil {
		return err
	}
	differ := 0
	for _, who := range slices.Sorted(maps.Keys(want)) {
		if got[who] == want[who] {
			continue
		}
		if differ++; differ <= 3 {
			r.problem("%s: Redis has %+v, the events make %+v", who, got[who], want[who])
		}
		switch {
		case got[who].Count < want[who].Count:
			result.Lost++
		case got[who].Count > want[who].Count:
			result.Duplicated++
		default:
			result.Wrong++
		}
	}
	for who := range got {
		if _, known := want[who]; !known {
			r.problem("Redis has a state of %s, who did nothing", who)
			result.Wrong++
		}
	}
	return r.countInboxes(ctx, result, told)
}

// surviving returns the events that must have counted: those acknowledged, all
// of which the log must have, less what a fault deleted from it before it was
// processed.
func (r *run) surviving(ctx context.Context) (map[int]bool, error) {
	inLog := map[int]bool{}
	for p := range r.feeder.partitions.Load() {
		ids, err := r.ids(ctx, p)
		if err != nil {
			return nil, err
		}
		maps.Copy(inLog, ids)
	}
	for _, before := range r.processed {
		maps.Copy(inLog, before)
	}
	r.feeder.mu.Lock()
	defer r.feeder.mu.Unlock()
	missing := 0
	for number := range r.feeder.acked {
		if !inLog[number] {
			missing++
		}
	}
	if missing > 0 && len(r.processed) == 0 {
		r.problem("the brokers acknowledged %d events that are not in the log", missing)
	}
	return inLog, nil
}

func (r *run) ids(ctx context.Context, partition int32) (map[int]bool, error) {
	bounds, err := kafkalog.Bounds(ctx, r.kafka, r.kafka.Topic("events"))
	if err != nil {
		return nil, err
	}
	return r.idsOf(ctx, partition, bounds[partition].Start, bounds[partition].Stable)
}

// idsBelow returns the numbers of a partition's events before an offset.
func (r *run) idsBelow(ctx context.Context, partition int32, to int64) (map[int]bool, error) {
	return r.idsOf(ctx, partition, 0, to)
}

func (r *run) idsOf(ctx context.Context, partition int32, from, to int64) (map[int]bool, error) {
	found := map[int]bool{}
	if from >= to {
		return found, nil
	}
	err := kafkalog.ReadPartition(ctx, r.kafka, r.kafka.Topic("events"), partition, from, to, true, func(records []wire.Record) error {
		for i := range records {
			var e struct{ ID string }
			if json.Unmarshal(records[i].Value, &e) != nil {
				continue // one of a fault's own records
			}
			if n, err := strconv.Atoi(strings.TrimPrefix(e.ID, "e")); err == nil && strings.HasPrefix(e.ID, "e") {
				found[n] = true
			}
		}
		return nil
	})
	return found, err
}

func (r *run) scoresInRedis(ctx context.Context) (map[string]score, error) {
	states := map[string]score{}
	for p := range r.s.Topology.Partitions {
		meta, err := r.state.Meta(ctx, p)
		if err != nil {
			return nil, err
		}
		if !meta.Exists {
			continue
		}
		err = r.state.All(ctx, p, meta.Generation, func(who string, value []byte) error {
			_, history, err := wire.DecodeStored(value, r.program.Schema())
			if err != nil {
				return err
			}
			text, err := json.Marshal(wire.StateJSON(history.Head, r.program.Schema()))
			if err != nil {
				return err
			}
			var s score
			if err := json.Unmarshal(text, &s); err != nil {
				return err
			}
			if _, twice := states[who]; twice {
				r.problem("%s has a state on two partitions", who)
			}
			states[who] = s
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return states, nil
}

// countInboxes compares every inbox with what was to be told. What Redis forgot
// may be missing or old; nothing may ever be there twice.
func (r *run) countInboxes(ctx context.Context, result *Result, told map[string]map[string]string) error {
	cfg := r.rt.Config.Notifier
	inbox := redisstore.NewInbox(r.client, r.prefix, cfg.InboxMax, cfg.InboxRetention)
	shown := 0
	find := func(format string, args ...any) {
		if shown++; shown <= 5 {
			r.problem(format, args...)
		}
	}
	for i := range r.s.Load.Participants {
		who := participantName(i)
		page, err := inbox.Newest(ctx, who, 0, cfg.InboxMax)
		if err != nil {
			return fmt.Errorf("read the inbox of %s: %w", who, err)
		}
		seen, standing := map[string]bool{}, map[string]string{}
		for j := range page.Entries {
			e := &page.Entries[j]
			if seen[e.Notification] {
				result.Duplicated++
				find("%s's inbox has %s (%q) twice", who, e.Notification, e.Title)
			}
			seen[e.Notification] = true
			if e.Op == delivery.Retract {
				continue
			}
			if _, twice := standing[e.Title]; twice && !r.forgot.Load() {
				result.Duplicated++
				find("%s's inbox has %q twice", who, e.Title)
			}
			standing[e.Title] = e.Body
			result.InInboxes++
		}
		if r.forgot.Load() {
			continue
		}
		for title, body := range told[who] {
			if got, ok := standing[title]; !ok {
				result.Lost++
				find("%s's inbox has no %q", who, title)
			} else if got != body {
				result.Wrong++
				find("%s's inbox says %q: %q, want %q", who, title, got, body)
			}
		}
		if len(standing) > len(told[who]) {
			result.Wrong++
			find("%s's inbox has %d entries, want %d", who, len(standing), len(told[who]))
		}
	}
	return nil
}
