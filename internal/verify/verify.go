// Package verify is the oracle as a tool: it folds the source topic from its
// start, or from the beginning that an operator has declared, in a plain loop and compares what it finds with what was committed and
// with what Redis holds. It shares the fold with the engine and nothing else.
//
// The invariant: it counts as right only what it has compared byte for byte.
// What it could not compare is a finding, never silence.
package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Log reads topics by their short names. Implementations read committed
// records only, and stop by position.
type Log interface {
	// Bounds returns the first offset and the one after the last decided record.
	Bounds(ctx context.Context, topic string, partition int32) (start, stable int64, err error)
	Read(ctx context.Context, topic string, partition int32, from, to int64, fn func([]wire.Record) error) error
	// Committed returns the processors' offset with its metadata; the log's
	// bounds in it are not used.
	Committed(ctx context.Context, partition int32) (engine.Committed, error)
}

// Store reads the view.
type Store interface {
	Meta(ctx context.Context, partition int32) (engine.Meta, error)
	All(ctx context.Context, partition int32, generation string, fn func(participant string, value []byte) error) error
	// Ranking returns all numbers on a leaderboard, by its place in the schema.
	Ranking(ctx context.Context, partition int32, generation string, leaderboard int) (map[string]int64, error)
}

// Base is a beginning that an operator has declared, instead of the log's start.
type Base struct {
	Snapshot engine.Snapshot
	// Notifications and Rejected are where these topics ended then.
	Notifications, Rejected int64
}

// Copies reads the states of a Base.
type Copies interface {
	Read(ctx context.Context, partition int32, s engine.Snapshot, fn func([]engine.KeyValue) error) error
}

// Finding is one difference, for a person.
type Finding struct {
	Kind     string `json:"kind"` // lost, duplicated, wrong or unverifiable
	Where    string `json:"where"`
	Sentence string `json:"sentence"`
}

// Partition is what was compared of one partition.
type Partition struct {
	Partition    int32                        `json:"partition"`
	Start        int64                        `json:"start"`
	Rebased      bool                         `json:"rebased,omitempty"` // Start is a declared beginning
	Applied      int64                        `json:"applied"`           // R
	Committed    int64                        `json:"committed"`         // K
	End          int64                        `json:"end"`
	Records      int64                        `json:"records"`
	Outputs      int64                        `json:"outputs"` // expected notifications and rejects
	States       int64                        `json:"states"`  // expected participants in Redis
	Lost         int64                        `json:"lost"`
	Duplicated   int64                        `json:"duplicated"`
	Wrong        int64                        `json:"wrong"`
	Unverifiable int64                        `json:"unverifiable"` // what could not be compared
	Fates        [participant.FateCount]int64 `json:"-"`
	Ops          map[string]int64             `json:"ops"` // notifications by operation
}

// Report is the whole comparison.
type Report struct {
	Partitions   []Partition      `json:"partitions"`
	Records      int64            `json:"records"`
	Outputs      int64            `json:"outputs"`
	States       int64            `json:"states"`
	Lost         int64            `json:"lost"`
	Duplicated   int64            `json:"duplicated"`
	Wrong        int64            `json:"wrong"`
	Unverifiable int64            `json:"unverifiable"`
	Behind       int64            `json:"behind"` // records not yet decided, or not yet in Redis
	Fates        map[string]int64 `json:"fates"`
	Ops          map[string]int64 `json:"ops"`
	Findings     []Finding        `json:"findings,omitempty"` // the first of them
}

// Clean reports that everything was compared and nothing is lost, duplicated or
// wrong.
func (r *Report) Clean() bool {
	return r.Lost == 0 && r.Duplicated == 0 && r.Wrong == 0 && r.Unverifiable == 0
}

// findingsMax bounds the findings kept; the counts are of all.
const findingsMax = 20

// ErrMoving says that the view moved while it was compared.
var ErrMoving = errors.New("the pipeline is moving: stop the producers, or try again")

// Verifier compares one pipeline.
type Verifier struct {
	Log        Log
	Store      Store
	Fold       *fold.Fold
	Schema     *participant.Schema
	Partitions int32
	Token      string                               // of this deployment: what metas and stamps must carry
	Bases      map[int32]Base                       // by partition
	Copies     Copies                               // of the bases
	Progress   func(partition int32, records int64) // may be nil
}

// Run compares all partitions, one after the other. A partition that cannot be
// compared is a finding; Run fails only where ctx ends.
func (v *Verifier) Run(ctx context.Context) (*Report, error) {
	report := &Report{Fates: map[string]int64{}, Ops: map[string]int64{}}
	for p := range v.Partitions {
		c := &comparison{v: v, report: report, part: Partition{Partition: p, Ops: map[string]int64{}}}
		if err := c.run(ctx); err != nil {
			if ctx.Err() != nil {
				return report, fmt.Errorf("partition %d: %w", p, err)
			}
			c.find(&c.part.Unverifiable, "unverifiable", "", "%v", err)
		}
		report.add(&c.part)
	}
	return report, nil
}

func (r *Report) add(p *Partition) {
	r.Partitions = append(r.Partitions, *p)
	r.Records += p.Records
	r.Outputs += p.Outputs
	r.States += p.States
	r.Lost += p.Lost
	r.Duplicated += p.Duplicated
	r.Wrong += p.Wrong
	r.Unverifiable += p.Unverifiable
	r.Behind += max(0, p.End-min(p.Applied, p.Committed))
	for fate, n := range p.Fates {
		if n > 0 {
			r.Fates[participant.Fate(fate).String()] += n
		}
	}
	for op, n := range p.Ops {
		r.Ops[op] += n
	}
}
