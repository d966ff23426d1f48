package engine

import "fmt"

// Refusal says why a partition is not processed, for an operator.
type Refusal struct {
	// Reason is a stable word: reset, stamp, token, no-commit, lost-log,
	// truncated, gap or diverged.
	Reason   string
	Sentence string // cause, evidence and consequence
	Fix      string // the next command or action
}

func (r Refusal) String() string { return r.Sentence + "; " + r.Fix }

const paused = "its events wait and nothing is lost"

// restore says how the lost commit is put back: the view remembers the stamp
// that belongs to its position. Where the commit was ahead of the view, its
// outputs beyond that position would be written again, hence the condition.
func restore(m Meta) string {
	if !m.Exists || !m.Intact {
		return "restore the group's offset and its metadata from a backup"
	}
	stamp := Stamp{Token: m.Token, Start: m.Start, Chain: m.Chain, Digest: m.Digest}
	return fmt.Sprintf("if no notification or reject has a veltrix-source-offset of %d or more: with all processors stopped, commit offset %d with the metadata %q for the group by an admin client, then run veltrix verify", m.Applied, m.Applied, stamp)
}

func refuseStamp(id int32, c Committed, m Meta, err error) Refusal {
	return Refusal{
		"stamp",
		fmt.Sprintf("partition %d: the committed offset %d was not written by Veltrix: %v; somebody reset the group's offsets, and going on would count events twice or skip them; %s", id, c.Offset, err, paused),
		restore(m),
	}
}

func refuseToken(id int32, c Committed, found, want string) Refusal {
	return Refusal{
		"token",
		fmt.Sprintf("partition %d: the commit at %d belongs to %q and this processor to %q: another cluster, topic, partition count or rules version; %s", id, c.Offset, found, want, paused),
		"start the processor with the rules and brokers that wrote the commit",
	}
}

func refuseReset(id int32, c Committed, m Meta) Refusal {
	return Refusal{
		"reset",
		fmt.Sprintf("partition %d: Redis has applied up to %d and the group's committed offset is %d: the offset went back, and going on would notify players twice; %s", id, m.Applied, c.Offset, paused),
		restore(m),
	}
}

func refuseNoCommit(id int32, c Committed, m Meta) Refusal {
	return Refusal{
		"no-commit",
		fmt.Sprintf("partition %d: nothing is committed, but it was processed before (manifest: %t, Redis: offset %d of token %q): the group was deleted or its offsets expired; %s", id, c.Initialized, m.Applied, m.Token, paused),
		restore(m),
	}
}

func refuseLost(id int32, c Committed, need int64) Refusal {
	return Refusal{
		"lost-log",
		fmt.Sprintf("partition %d: the log starts at %d and the records from %d are needed: retention or a deletion removed events that Redis does not have (committed offset %d), and no snapshot takes their place; %s", id, c.LogStart, need, c.Offset, "the rest waits"),
		"restore the records from a mirror, and lengthen retention.ms of the events topic",
	}
}

func refuseTruncated(id int32, c Committed) Refusal {
	return Refusal{
		"truncated",
		fmt.Sprintf("partition %d: the log ends at %d, before the committed offset %d: the broker lost acknowledged records; %s", id, c.LogEnd, c.Offset, paused),
		"bring back the replica that has them; check min.insync.replicas and unclean.leader.election.enable",
	}
}

func refuseEpoch(id int32, c Committed) Refusal {
	return Refusal{
		"diverged",
		fmt.Sprintf("partition %d: the committed offset %d follows a record of leader epoch %d, and in the log that epoch ends at %d: an unclean election gave the same offsets to other records; %s", id, c.Offset, c.Epoch, c.EpochEnd, paused),
		"bring back the replica that has the records of that epoch; check unclean.leader.election.enable and min.insync.replicas",
	}
}

func refuseGap(id int32, at, next int64) Refusal {
	return Refusal{
		"gap",
		fmt.Sprintf("partition %d: after offset %d comes %d: records are missing from the events topic, by compaction, a transactional producer or a fault; %s", id, at, next, paused),
		"check cleanup.policy and the producers of the events topic",
	}
}

func refuseDiverged(id int32, promised, found Stamp) Refusal {
	return Refusal{
		"diverged",
		fmt.Sprintf("partition %d: folding the log again gave %q and the commit promises %q: the log holds other records than those that were committed, or the rules are not the same; %s", id, found, promised, paused),
		"run: veltrix verify, and compare the topic with its mirror",
	}
}
