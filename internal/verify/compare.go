package verify

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/wire"
)

// comparison is the work on one partition.
type comparison struct {
	v         *Verifier
	report    *Report
	part      Partition
	meta      engine.Meta
	committed engine.Committed
	base      *Base // in force; nil: the log's start is the beginning
	compareAt int64 // the states in Redis are held against the fold up to here
	decided   int64 // outputs of offsets below this must be there
	expected  map[outputKey]*outputCount
	later     []laterOutput
}

func (c *comparison) run(ctx context.Context) error {
	if err := c.locate(ctx); err != nil {
		return err
	}
	if err := c.judge(); err != nil {
		return err
	}
	c.expected = make(map[outputKey]*outputCount)
	if err := c.foldLog(ctx); err != nil {
		return err
	}
	return c.compareTopics(ctx)
}

// locate reads the positions in the order R, K, end: while a pipeline moves,
// each of them is at most the next.
func (c *comparison) locate(ctx context.Context) error {
	p := &c.part
	var err error
	if c.meta, err = c.v.Store.Meta(ctx, p.Partition); err != nil {
		return err
	}
	if c.committed, err = c.v.Log.Committed(ctx, p.Partition); err != nil {
		return err
	}
	if p.Start, p.End, err = c.v.Log.Bounds(ctx, "events", p.Partition); err != nil {
		return err
	}
	c.locateBase()
	p.Applied, p.Committed = p.Start, p.Start
	if c.meta.Exists {
		p.Applied = c.meta.Applied
	}
	if !c.committed.Absent {
		p.Committed = c.committed.Offset
	}
	return nil
}

// locateBase looks whether a declared beginning is that of the life that is
// committed: a rebase may have ended before its commit.
func (c *comparison) locateBase() {
	b, ok := c.v.Bases[c.part.Partition]
	if !ok {
		return
	}
	at := b.Snapshot.Offset
	stamp, err := engine.ParseStamp(c.committed.Metadata)
	switch {
	case !c.committed.Absent && err == nil && stamp.Token == c.v.Token:
		ok = stamp.Start == at
	case c.meta.Exists:
		ok = c.meta.Start == at
	}
	if ok {
		c.base = &b
		c.part.Rebased = c.part.Start <= at
		c.part.Start = max(c.part.Start, at)
	}
}

// oracle returns the fold's beginning.
func (c *comparison) oracle(ctx context.Context) (*fold.Oracle, error) {
	if c.base == nil {
		return fold.NewOracle(c.v.Fold, c.part.Partition), nil
	}
	o := fold.NewOracleAt(c.v.Fold, c.part.Partition, c.part.Start)
	return o, c.v.Copies.Read(ctx, c.part.Partition, c.base.Snapshot, func(values []engine.KeyValue) error {
		for _, v := range values {
			if err := o.Seed(v.Key, v.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// foldLog folds all that was decided. The states are compared on the way.
func (c *comparison) foldLog(ctx context.Context) error {
	p := &c.part
	oracle, err := c.oracle(ctx)
	if err != nil {
		return err
	}
	step := func(records []wire.Record) error {
		for i := range records {
			outputs, err := oracle.Feed(&records[i])
			if err != nil {
				return err
			}
			for j := range outputs {
				c.expect(&outputs[j], records[i].Offset)
			}
		}
		p.Records += int64(len(records))
		if c.v.Progress != nil {
			c.v.Progress(p.Partition, p.Records)
		}
		return nil
	}
	if err := c.v.Log.Read(ctx, "events", p.Partition, p.Start, c.compareAt, step); err != nil {
		return err
	}
	if err := c.compareStates(ctx, oracle); err != nil {
		return err
	}
	if err := c.v.Log.Read(ctx, "events", p.Partition, c.compareAt, c.decided, step); err != nil {
		return err
	}
	p.Fates = oracle.Fates()
	return nil
}

// compareStates holds every participant in Redis against the oracle. It reports
// only once it knows that the view stood still.
func (c *comparison) compareStates(ctx context.Context, oracle *fold.Oracle) error {
	p := &c.part
	if !c.meta.Exists && p.Committed == p.Start && c.base == nil {
		return nil // nothing was processed yet
	}
	want := make(map[string][]byte)
	for who, state := range oracle.States() {
		want[who] = bytes.Clone(state)
	}
	p.States = int64(len(want))
	seen := make(map[string]bool, len(want))
	var uncalled, changed []string
	if c.meta.Exists {
		err := c.v.Store.All(ctx, p.Partition, c.meta.Generation, func(who string, value []byte) error {
			if seen[who] {
				return nil // a scan may return a field twice
			}
			seen[who] = true
			switch state, ok := want[who]; {
			case !ok:
				uncalled = append(uncalled, who)
			case !bytes.Equal(state, value):
				changed = append(changed, who)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	ranked, err := c.rankings(ctx)
	if err != nil {
		return err
	}
	after, err := c.v.Store.Meta(ctx, p.Partition)
	if err != nil {
		return err
	}
	if !after.Same(c.meta) {
		return ErrMoving
	}
	if !c.meta.Exists {
		c.viewLost(p.States)
		return nil
	}
	for _, who := range uncalled {
		c.find(&p.Wrong, "wrong", "Redis", "participant %q has a state and no accepted event", who)
	}
	for _, who := range changed {
		c.find(&p.Wrong, "wrong", "Redis", "the state of participant %q is not the fold of its events", who)
	}
	for _, who := range slices.Sorted(maps.Keys(want)) {
		if !seen[who] {
			c.find(&p.Lost, "lost", "Redis", "participant %q has accepted events and no state", who)
		}
	}
	// Whose state is not right is told above, and nowhere else.
	for _, who := range slices.Concat(uncalled, changed) {
		seen[who] = false
	}
	for board, found := range ranked {
		c.compareRanking(oracle, &c.v.Schema.Leaderboards[board], found, seen)
	}
	return nil
}

// viewLost reports a partition that was processed and of which Redis knows no
// position: whatever values are left cannot be found or trusted.
func (c *comparison) viewLost(participants int64) {
	p := &c.part
	if participants == 0 {
		c.find(&p.Wrong, "wrong", "Redis", "the partition was processed up to %d and its position is gone", p.Committed)
		return
	}
	p.Lost += participants - 1
	c.find(&p.Lost, "lost", "Redis", "the partition was processed up to %d and its position is gone, and with it the states of %d participants", p.Committed, participants)
}

// find counts one finding and keeps the first of them. Where nothing in
// particular is at fault, where is empty.
func (c *comparison) find(count *int64, kind, where, format string, args ...any) {
	*count++
	if len(c.report.Findings) < findingsMax {
		if where != "" {
			where += ", "
		}
		where = fmt.Sprintf("%spartition %d", where, c.part.Partition)
		c.report.Findings = append(c.report.Findings, Finding{kind, where, fmt.Sprintf(format, args...)})
	}
}
