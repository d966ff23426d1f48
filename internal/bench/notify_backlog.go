package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// numbered is one notification of one player.
type numbered struct {
	player int
	number int64 // among the player's, from 1
}

// draw picks players in an order that is the same each time, each as often as
// the next, and numbers what each is sent.
type draw struct {
	random *rand.Rand
	order  []int
	at     int
	counts []int64 // by player: how many were drawn
}

func newDraw(players int) *draw {
	d := &draw{random: rand.New(rand.NewPCG(uint64(players), 11)), order: make([]int, players), counts: make([]int64, players)}
	for i := range d.order {
		d.order[i] = i
	}
	return d
}

func (d *draw) next() numbered {
	if d.at == 0 {
		d.random.Shuffle(len(d.order), func(i, j int) { d.order[i], d.order[j] = d.order[j], d.order[i] })
	}
	who := d.order[d.at]
	d.at = (d.at + 1) % len(d.order)
	d.counts[who]++
	return numbered{who, d.counts[who]}
}

// plan returns a number of records, a share of them copies of an earlier one.
// A copy follows after one record or after all that are left, each magnitude as
// likely: in the same transaction, in a later one, and behind what the notifier
// has committed by then.
func (d *draw) plan(records int, share float64) (all []numbered, copies int) {
	copies = int(math.Round(float64(records) * share))
	originals := records - copies
	type placed struct {
		at   float64
		what numbered
	}
	line := make([]placed, 0, records)
	for i := range originals {
		line = append(line, placed{float64(i), d.next()})
	}
	for range copies {
		of := line[d.random.IntN(originals)]
		behind := of.at + 0.5
		if rest := float64(originals) - behind; rest > 0 {
			behind += math.Exp(d.random.Float64()*math.Log(rest+1)) - 1
		}
		line = append(line, placed{behind, of.what})
	}
	slices.SortStableFunc(line, func(a, b placed) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	all = make([]numbered, len(line))
	for i := range line {
		all[i] = line[i].what
	}
	return all, copies
}

// playerName is also the record's key.
func playerName(i int) string { return fmt.Sprintf("player-%05d", i) }

// notifyTemplate is that of notify.yaml.
var notifyTemplate = &participant.Template{Rule: "found", Name: "next", Class: &participant.Class{
	Name: "clue", Channels: []string{"inbox"}, ExpiresMs: 2 * 60 * 60 * 1000, ResendUnknown: true,
}}

// record writes a notification as the processor does.
func (n numbered) record(topic string, partitions int32, now time.Time, offset int64) *kgo.Record {
	who := playerName(n.player)
	seed := binary.LittleEndian.AppendUint64([]byte(who), uint64(n.number))
	id := xxh3.Hash128(seed)
	note := participant.Notification{
		ID: participant.Identity{Hi: id.Hi, Lo: id.Lo}, Op: participant.Send, Revision: 1, Participant: who,
		Title:     "Clue " + strconv.FormatInt(n.number, 10) + " found",
		Body:      "Due 0: 100 points more, and on to the harbour.",
		EventTime: now.UnixMicro(), EventType: "clue.found",
	}
	partition := wire.PartitionFor([]byte(who), partitions)
	cause := &participant.Event{
		Source: "/bench/game", ID: strconv.FormatInt(1e11+offset, 10), Participant: who,
		Arrival: participant.Arrival{Partition: partition, Offset: offset, Time: now.UnixMicro()},
	}
	key, value, headers := wire.Notification("bench-notify", cause, &note, notifyTemplate)
	r := &kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// backlog is a stretch of the notifications topic behind a gate: a transaction
// that has one record in each partition and is open. Those behind it are
// committed, and nobody who reads committed records sees any of them before
// the gate opens, and then all at once.
type backlog struct{ gate, behind *kgo.Client }

// Bounds of a backlog's transactions.
const (
	gateTimeout       = 10 * time.Minute
	backlogCommit     = 2000 // records, near what a processor commits under load
	transactionalTail = ".bench."
)

func (p *place) newBacklog() (*backlog, error) {
	client := func(name string) (*kgo.Client, error) {
		cl, err := kgo.NewClient(p.kafka.Options(
			kgo.TransactionalID(p.kafka.Prefix+transactionalTail+name), kgo.TransactionTimeout(gateTimeout),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		)...)
		if err != nil {
			return nil, fmt.Errorf("create the client that writes notifications: %w", err)
		}
		return cl, nil
	}
	gate, err := client("gate")
	if err != nil {
		return nil, err
	}
	behind, err := client("backlog")
	if err != nil {
		gate.Close()
		return nil, err
	}
	return &backlog{gate, behind}, nil
}

func (b *backlog) close() {
	b.gate.Close()
	b.behind.Close()
}

// fill writes the plan behind a closed gate.
func (b *backlog) fill(ctx context.Context, p *place, plan []numbered) error {
	now, topic := time.Now(), p.kafka.Topic("notifications")
	seen := make([]bool, p.partitions)
	var gate, behind []*kgo.Record
	for i, n := range plan {
		r := n.record(topic, p.partitions, now, int64(i))
		if seen[r.Partition] {
			behind = append(behind, r)
			continue
		}
		seen[r.Partition] = true
		gate = append(gate, r)
	}
	if err := b.gate.BeginTransaction(); err != nil {
		return fmt.Errorf("begin the transaction that holds the backlog back: %w", err)
	}
	if err := b.gate.ProduceSync(ctx, gate...).FirstErr(); err != nil {
		return fmt.Errorf("hold the backlog back: %w", err)
	}
	for batch := range slices.Chunk(behind, backlogCommit) {
		err := b.behind.BeginTransaction()
		if err == nil {
			err = b.behind.ProduceSync(ctx, batch...).FirstErr()
		}
		if err == nil {
			err = b.behind.EndTransaction(ctx, kgo.TryCommit)
		}
		if err != nil {
			return fmt.Errorf("write the backlog: %w", err)
		}
	}
	return nil
}

// open lets everything be read.
func (b *backlog) open(ctx context.Context) error {
	if err := b.gate.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("let the backlog be read: %w", err)
	}
	return nil
}
