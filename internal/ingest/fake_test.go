package ingest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/trail"
	"github.com/veltrix/veltrix/internal/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; review the diff")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -rewrite", err)
	}
	if string(want) != got {
		t.Errorf("%s differs; if that is meant, run the test with -rewrite and review the diff. Got:\n%s", path, got)
	}
}

// log is a log in memory.
type log struct {
	mu      sync.Mutex
	records []wire.Record
	calls   int
	fail    error         // if set, what Append returns, having written nothing
	block   chan struct{} // if set, Append waits for it
}

const partitions = 4

func (l *log) Append(ctx context.Context, records []wire.Record) ([]ingest.Position, error) {
	l.mu.Lock()
	block, fail := l.block, l.fail
	l.calls++
	l.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		return nil, fail
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var at []ingest.Position
	for _, r := range records {
		r.Partition = wire.PartitionFor(r.Key, partitions)
		r.Offset = int64(len(l.records))
		r.Value = append([]byte(nil), r.Value...)
		l.records = append(l.records, r)
		at = append(at, ingest.Position{Partition: r.Partition, Offset: r.Offset})
	}
	return at, nil
}

// ids lists the events' ids in the order of the log.
func (l *log) ids() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for i := range l.records {
		ids = append(ids, string(l.records[i].Header("ce_id")))
	}
	return strings.Join(ids, " ")
}

// view is what Redis would hold.
type view map[string]*ingest.Participant

var errAway = errors.New("connection refused")

func (v view) Participant(_ context.Context, id string) (*ingest.Participant, error) {
	if id == "away" {
		return nil, errAway
	}
	return v[id], nil
}

func harbour() *participant.Schema {
	return participant.NewSchema(participant.Schema{
		Hunt: "harbour", RejectUnknown: true, EventBytesMax: 512,
		Types: []participant.EventType{{Name: "clue.found", Fields: []participant.Field{
			{Name: "clue", Kind: participant.KindString, BytesMax: 16},
			{Name: "points", Kind: participant.KindInt, Optional: true},
		}}},
		Slots:        []participant.Slot{{Name: "score", Kind: participant.KindInt}, {Name: "finished", Kind: participant.KindTime}},
		Leaderboards: []participant.Leaderboard{{Name: "score", Slot: 0}, {Name: "first", Slot: 1, Ascending: true}},
	})
}

// rankings are the gateways' leaderboards, by their place in the schema.
type rankings []*board

func (r rankings) Part(ctx context.Context, leaderboard int, at *ingest.Place, near int) ([]ingest.BoardPart, error) {
	if at != nil && at.Participant == "away" {
		return nil, errAway
	}
	return r[leaderboard].Part(ctx, leaderboard, at, near)
}

func (r rankings) Number(ctx context.Context, leaderboard int, who string) (*ingest.Place, error) {
	if who == "away" {
		return &ingest.Place{Participant: who}, nil
	}
	return r[leaderboard].Number(ctx, leaderboard, who)
}

// trails is what became of the events in the tests' logs: at offset 7 one that was
// applied, at 8 one whose outcome nobody knows, at 9 one that was rejected.
type trails struct{}

func (trails) entry(offset int64) *trail.Entry {
	e := &trail.Entry{
		Partition: 3, Offset: offset, Arrived: noon, Status: trail.Applied,
		Event: trail.Event{Source: "/phone", ID: fmt.Sprint(offset), Type: "clue.found", Participant: "ada", Time: noon.Add(-time.Second)},
	}
	switch offset {
	case 7, 8:
		e.Notifications = []trail.Notification{{
			ID: "0a", Revision: 1, Op: "send", Class: "clue", Rule: "found", Name: "next", Title: "50 points",
			Channels: []trail.Delivery{{Channel: "inbox", Outcome: "sent", Attempts: 1, At: &noon}, {Channel: "webhook", Outcome: trail.Pending}},
		}}
	case 9:
		e.Status, e.Reason, e.Sentence = trail.Rejected, "late", "its time is not after the floor"
	}
	return e
}

func (l trails) Find(_ context.Context, partition int32, offset int64) (*trail.Entry, int64, error) {
	switch {
	case offset == 6:
		return nil, 0, trail.ErrGone
	case partition != 3 || offset > 10:
		return nil, 0, trail.ErrUnknown
	case offset == 10:
		return nil, 0, errAway
	case offset == 8:
		return l.entry(offset), 0, errAway
	}
	return l.entry(offset), 10, nil
}

func (l trails) Trail(_ context.Context, who string, w trail.Window, _ func(int64)) (*trail.Trail, error) {
	if who == "away" {
		return nil, errAway
	}
	t := &trail.Trail{Participant: who, Partition: 3, Committed: 10, Start: 2, From: 5, Before: 10, Entries: []trail.Entry{*l.entry(7), *l.entry(9)}}
	if w.Before > 0 {
		t.From, t.Before, t.Entries = 2, w.Before, []trail.Entry{}
	}
	return t, nil
}

func harbourRankings() rankings {
	s := harbour()
	return rankings{
		{Leaderboard: s.Leaderboards[0], partitions: [][]ingest.Place{{{Participant: "ada", Number: 50}, {Participant: "dan", Number: -2}}, {{Participant: "grace", Number: 70}, {Participant: "bob", Number: 50}}}},
		{Leaderboard: s.Leaderboards[1], partitions: [][]ingest.Place{{}, {{Participant: "grace", Number: noon.UnixMicro()}}}},
	}
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// options are those of the tests' gateways, with narrow limits.
func options(l *log) ingest.Options {
	return ingest.Options{
		Appender: l, Schema: harbour(), Limits: ingest.Limits{RequestBytesMax: 4096, BatchEventsMax: 5}, InflightBytesMax: 16384,
		Timeout: 5 * time.Second, Now: func() time.Time { return noon },
		States: view{"ada": {
			State: map[string]any{"score": 50, "found": []string{"anchor"}}, Partition: 3, Applied: 42, AsOf: 40, Floor: "2026-05-01T11:59:30Z",
		}},
		Boards: harbourRankings(), Trail: trails{},
	}
}
