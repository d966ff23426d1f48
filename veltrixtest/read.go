package veltrixtest

import (
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Event is one arrival of an event in the log, and what became of it. An event
// that arrived twice is there twice.
type Event struct {
	Source, ID, Type, Participant string
	// Fate is applied, or one of the reasons of docs/ingest.md: duplicate, late,
	// future, conflict, rule-error, overflow and the rest.
	Fate string
	// Reason says in a sentence why it was not applied; empty where it was.
	Reason  string
	Arrived time.Time // by the virtual clock
}

// person is what is kept of a participant beside the state.
type person struct {
	asOf  int64                      // the offset after the last applied event
	inbox []*wire.NotificationRecord // what stands, by the arrival of its last revision
	lanes []*lane                    // of outside channels, by their first notification
}

func (v *Veltrix) person(who string) *person {
	if v.people[who] == nil {
		v.people[who] = &person{}
	}
	return v.people[who]
}

// catchUp folds what was accepted and is not folded yet.
func (v *Veltrix) catchUp() error {
	v.log.settle(v.random)
	for ; v.folded < len(v.log.records); v.folded++ {
		r := &v.log.records[v.folded]
		told, err := v.oracles[r.Partition].Tell(r)
		if err != nil {
			return err
		}
		who, arrived := string(r.Key), time.UnixMicro(r.Timestamp).UTC()
		v.fates = append(v.fates, Event{
			Source: string(r.Header("ce_source")), ID: string(r.Header("ce_id")), Type: string(r.Header("ce_type")),
			Participant: who, Fate: told.Fate.String(), Reason: told.Sentence, Arrived: arrived,
		})
		v.arrivals = append(v.arrivals, arrival{told.Fate, told.Sentence, told.Notifications})
		p := v.person(who)
		if told.Fate == participant.Applied {
			p.asOf = r.Offset + 1
		}
		for _, n := range told.Notifications {
			p.take(n, arrived)
		}
	}
	return nil
}

// read calls f with everything folded that was accepted.
func (v *Veltrix) read(f func()) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.catchUp(); err != nil {
		v.t.Fatalf("veltrixtest: %v", err)
	}
	f()
}

// State is a participant's state by the names of its slots, with everything
// accepted so far: an int is an int, a bool a bool, a string a string, a time
// RFC 3339 in UTC or nil where it was never set, a set a sorted []string, a map a
// map[string]int. It is nil for a participant of whom nothing was applied.
func (v *Veltrix) State(who string) map[string]any {
	v.t.Helper()
	var state map[string]any
	v.read(func() {
		if p := v.participant(who); p != nil {
			state = plain(p.State)
		}
	})
	return state
}

// plain has the numbers as a test writes them: 50 is an int and no int64.
func plain(state map[string]any) map[string]any {
	for name, value := range state {
		switch value := value.(type) {
		case int64:
			state[name] = int(value)
		case []string:
			state[name] = append([]string{}, value...) // the fold's own
		case map[string]int64:
			m := make(map[string]int, len(value))
			for key, n := range value {
				m[key] = int(n)
			}
			state[name] = m
		}
	}
	return state
}

// participant is what GET /v1/participants shows of one, or nil.
func (v *Veltrix) participant(who string) *ingest.Participant {
	partition := wire.PartitionFor([]byte(who), partitions)
	oracle := v.oracles[partition]
	h := oracle.State(who)
	if h == nil || h.Fresh() {
		return nil
	}
	return &ingest.Participant{
		State: wire.StateJSON(h.Head, v.rules.Schema()), Partition: partition,
		Applied: oracle.Next(), AsOf: v.person(who).asOf, Floor: wire.FloorJSON(h),
	}
}

// Fates lists every arrival so far, in the order of the log. What the gateway
// refused never arrived.
func (v *Veltrix) Fates() []Event {
	v.t.Helper()
	var fates []Event
	v.read(func() { fates = append(fates, v.fates...) })
	return fates
}

// Rejected lists the arrivals of a participant's events that were not applied,
// in the order of the log: the rejected topic, for one.
func (v *Veltrix) Rejected(who string) []Event {
	v.t.Helper()
	var rejected []Event
	for _, e := range v.Fates() {
		if e.Participant == who && e.Fate != participant.Applied.String() {
			rejected = append(rejected, e)
		}
	}
	return rejected
}
