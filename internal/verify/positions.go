package verify

import (
	"fmt"

	"github.com/veltrix/veltrix/internal/engine"
)

// judge holds the positions against each other and the log, and settles how far
// to fold. Its error says why the fold cannot be repeated.
func (c *comparison) judge() error {
	p := &c.part
	if p.Committed > p.End {
		return fmt.Errorf("the committed offset %d is beyond the log's end %d: the log lost its newest records, or somebody set the offset", p.Committed, p.End)
	}
	c.judgeView()
	reset := c.judgeOffset()
	switch begin := c.judgeStamp(reset); {
	case begin < p.Start:
		return fmt.Errorf("the log starts at %d and the state at %d: the fold cannot be repeated from the log alone", p.Start, begin)
	case begin > p.Start:
		c.find(&p.Wrong, "wrong", "Redis", "the state starts at %d and the log at %d: the records between were never folded", begin, p.Start)
	}
	c.compareAt, c.decided = p.Applied, max(p.Applied, p.Committed)
	switch {
	case !c.meta.Exists:
		c.compareAt = p.Committed
	case p.Applied < p.Start || p.Applied > p.End:
		c.find(&p.Wrong, "wrong", "Redis", "the view claims to be at %d and the log holds %d to %d: it is compared at %d", p.Applied, p.Start, p.End, p.Committed)
		c.compareAt, c.decided = p.Committed, p.Committed
	}
	if c.compareAt < p.Start {
		return fmt.Errorf("the committed offset %d is before the log's start %d: records were removed before they were processed", p.Committed, p.Start)
	}
	return nil
}

// judgeView looks at what Redis says of the whole partition.
func (c *comparison) judgeView() {
	p := &c.part
	if !c.meta.Exists {
		return
	}
	if c.meta.Token != c.v.Token {
		c.find(&p.Wrong, "wrong", "Redis", "the view belongs to %q and this deployment is %q: another cluster, topic, rules version or processor.buckets, or a changed token", c.meta.Token, c.v.Token)
	}
	if !c.meta.Intact {
		c.find(&p.Wrong, "wrong", "Redis", "a bucket or a leaderboard has lost its sentinel: Redis lost or evicted it")
	}
}

// judgeOffset compares K with R, and reports whether it found that K went back.
func (c *comparison) judgeOffset() (reset bool) {
	p := &c.part
	ahead := c.meta.Exists && p.Applied > p.Committed && p.Applied <= p.End
	switch {
	case c.committed.Absent && (ahead || c.committed.Initialized):
		c.find(&p.Wrong, "wrong", "group", "nothing is committed, and the partition was processed before, in Redis up to %d: the group was deleted or its offsets expired", p.Applied)
	case ahead:
		c.find(&p.Wrong, "wrong", "group", "the group's offset was reset from %d to %d", p.Applied, p.Committed)
		return true
	}
	return false
}

// judgeStamp holds the commit's stamp against this deployment and the view, and
// returns the offset at which the state's fold began. A reset erases the stamp,
// and is not reported twice.
func (c *comparison) judgeStamp(reset bool) (begin int64) {
	p := &c.part
	begin = p.Start
	if c.meta.Exists {
		begin = c.meta.Start
	}
	if c.committed.Absent {
		return begin
	}
	stamp, err := engine.ParseStamp(c.committed.Metadata)
	switch {
	case err != nil && reset:
		return begin
	case err != nil:
		c.find(&p.Wrong, "wrong", "group", "at %d, %v: it was not committed by a processor", p.Committed, err)
		return begin
	case stamp.Token != c.v.Token:
		c.find(&p.Wrong, "wrong", "group", "the commit at %d belongs to %q and this deployment is %q: another cluster, topic, rules version or processor.buckets", p.Committed, stamp.Token, c.v.Token)
		return begin
	case !c.meta.Exists:
		return stamp.Start
	}
	if stamp.Start != c.meta.Start {
		c.find(&p.Wrong, "wrong", "Redis", "the view starts at %d and the commit at %d says %d", c.meta.Start, p.Committed, stamp.Start)
		begin = p.Start
	}
	if p.Applied != p.Committed {
		return begin // the stamp is of another position
	}
	if stamp.Chain != c.meta.Chain {
		c.find(&p.Wrong, "wrong", "Redis", "the view's chain at %d is %016x and the commit says %016x", p.Applied, c.meta.Chain, stamp.Chain)
	}
	if stamp.Digest != c.meta.Digest {
		c.find(&p.Wrong, "wrong", "Redis", "the view's digest at %d is %016x and the commit says %016x", p.Applied, c.meta.Digest, stamp.Digest)
	}
	return begin
}
