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

// rebase names the command that puts the commit where it belongs.
func rebase(id int32) string {
	return fmt.Sprintf("stop all processors and run veltrix rebase --partition %d: it finds the offset behind the last outcome, and produces nothing", id)
}

// giveUp names the command that goes on without what is gone, after what would
// bring it back.
func giveUp(first string, id int32) string {
	return fmt.Sprintf("%s; where they cannot be had any more, stop all processors and run veltrix rebase --partition %d --accept-loss: it says in numbers what is given up before it does anything", first, id)
}

// inRedis is what the view says, as evidence.
func inRedis(m Meta) string {
	if !m.Exists {
		return "Redis has no position of it"
	}
	return fmt.Sprintf("Redis has applied up to %d under %q", m.Applied, m.Token)
}

func refuseStamp(id int32, c Committed, m Meta, err error) Refusal {
	return Refusal{
		"stamp",
		fmt.Sprintf("partition %d: the committed offset %d was not written by Veltrix: %v; %s; somebody reset the group's offsets, and going on would count events twice or skip them; %s", id, c.Offset, err, inRedis(m), paused),
		rebase(id),
	}
}

func refuseToken(id int32, c Committed, found, want string) Refusal {
	return Refusal{
		"token",
		fmt.Sprintf("partition %d: the commit at %d belongs to %q and this processor to %q: another cluster, topic, partition count, rules version or number of buckets; its states cannot be read with these rules; %s", id, c.Offset, found, want, paused),
		"start the processor with the configuration that wrote the commit, and compare the two with veltrix verify; changed rules go live by veltrix rules promote",
	}
}

func refuseReset(id int32, c Committed, m Meta) Refusal {
	return Refusal{
		"reset",
		fmt.Sprintf("partition %d: %s and the group's committed offset is %d with the stamp %q: the offset went back, and going on would notify players twice; %s", id, inRedis(m), c.Offset, c.Metadata, paused),
		rebase(id),
	}
}

func refuseNoCommit(id int32, c Committed, m Meta) Refusal {
	return Refusal{
		"no-commit",
		fmt.Sprintf("partition %d: nothing is committed, but it was processed before (manifest: %t; %s): the group was deleted or its offsets expired, and going on would notify players twice; %s", id, c.Initialized, inRedis(m), paused),
		rebase(id),
	}
}

func refuseLost(id int32, c Committed, need int64) Refusal {
	return Refusal{
		"lost-log",
		fmt.Sprintf("partition %d: the log starts at %d and the records from %d are needed: retention or a deletion removed events that Redis does not have (committed offset %d), and no snapshot takes their place; the rest waits", id, c.LogStart, need, c.Offset),
		giveUp("restore the records from a mirror, and lengthen retention.ms of the events topic", id),
	}
}

func refuseTruncated(id int32, c Committed) Refusal {
	return Refusal{
		"truncated",
		fmt.Sprintf("partition %d: the log ends at %d, before the committed offset %d: the brokers lost acknowledged records, and other events would take their offsets; %s", id, c.LogEnd, c.Offset, paused),
		giveUp("bring back the replica that has the records, and check min.insync.replicas and unclean.leader.election.enable", id),
	}
}

func refuseEpoch(id int32, c Committed) Refusal {
	return Refusal{
		"diverged",
		fmt.Sprintf("partition %d: the committed offset %d follows a record of leader epoch %d, and in the log that epoch ends at %d: an unclean election gave the same offsets to other records, and going on would mix two histories; %s", id, c.Offset, c.Epoch, c.EpochEnd, paused),
		giveUp("bring back the replica that has the records of that epoch, and check unclean.leader.election.enable and min.insync.replicas", id),
	}
}

func refuseGap(id int32, at, next int64) Refusal {
	return Refusal{
		"gap",
		fmt.Sprintf("partition %d: offset %d is expected and %d comes: records are missing from the events topic, by compaction, a transactional producer or a fault; going on would skip them in silence; %s", id, at, next, paused),
		giveUp("check cleanup.policy and the producers of the events topic, and restore the records from a mirror", id),
	}
}

func refuseDiverged(id int32, promised, found Stamp) Refusal {
	return Refusal{
		"diverged",
		fmt.Sprintf("partition %d: the log gives %q and the commit promises %q: the log holds other records than those that were committed, or the committed offset was moved; going on would mix two histories; %s", id, found, promised, paused),
		giveUp(fmt.Sprintf("run veltrix rebase --partition %d, which finds an offset that was moved, or bring back the replica or the mirror that has the records", id), id),
	}
}
