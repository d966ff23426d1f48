package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// coordinatorWait is how long a group's coordinator may take to begin: it is there
// a moment after a cluster's first group, and after the broker that was it is gone.
const coordinatorWait = 3 * time.Second

// byTopicName has offsets asked for by their topics' names; from the next version on
// they go only by ID.
func byTopicName() kgo.Opt {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.OffsetFetch.Int16(), 9)
	return kgo.MaxVersions(versions)
}

// GroupOffsets returns what a group has committed of the first partitions of a topic
// (its full name), by partition; one without a commit is left out. What a
// transaction is about to commit is not committed: nothing waits for its end, which
// may not come.
func (r *Reader) GroupOffsets(ctx context.Context, group, topic string, partitions int32) (map[int32]int64, error) {
	asked := make([]int32, partitions)
	for p := range asked {
		asked[p] = int32(p)
	}
	commits, err := fetchCommits(ctx, r.cl, group, topic, asked)
	maps.DeleteFunc(commits, func(_ int32, offset int64) bool { return offset < 0 })
	return commits, err
}

// fetchCommits asks a coordinator that is about to begin again for a while.
func fetchCommits(ctx context.Context, cl *kgo.Client, group, topic string, partitions []int32) (map[int32]int64, error) {
	for began := time.Now(); ; time.Sleep(readRetry) {
		commits, err := askCommits(ctx, cl, group, topic, partitions)
		if err == nil || !kerr.IsRetriable(err) || ctx.Err() != nil || time.Since(began) > coordinatorWait {
			return commits, err
		}
	}
}

// askCommits returns what a group has committed, by partition; −1 is no commit. It
// asks for each partition by its number: brokers leave out, without an error, what
// is not asked for and has only a pending commit; and asked for all of a group, they
// look at topics that the asker may have no right to.
func askCommits(ctx context.Context, cl *kgo.Client, group, topic string, partitions []int32) (map[int32]int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = group
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, t.Partitions = topic, partitions
	commits := map[int32]int64{}
	for _, p := range partitions {
		commits[p] = -1
	}
	asked.Topics = append(asked.Topics, t)
	req.Groups = append(req.Groups, asked)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("fetch the offsets of group %s: %w", group, err)
	}
	for _, g := range resp.Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		if errors.Is(err, kerr.GroupIDNotFound) { // some brokers know no group before its first member
			return commits, nil
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err == nil {
					err = kerr.ErrorForCode(p.ErrorCode)
				}
				commits[p.Partition] = p.Offset
			}
		}
		if err != nil {
			return nil, fmt.Errorf("fetch the offsets of group %s: %w", group, err)
		}
	}
	return commits, nil
}

// Retention returns for how long a topic (its full name) keeps a record; zero
// where it keeps everything.
func (r *Reader) Retention(ctx context.Context, topic string) (time.Duration, error) {
	const name = "retention.ms"
	described, err := kadm.NewClient(r.cl).DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("read %s of %s: %w", name, topic, err)
	}
	settings, err := described.On(topic, nil)
	if err == nil {
		err = settings.Err
	}
	if err != nil {
		return 0, fmt.Errorf("read %s of %s: %w", name, topic, err)
	}
	for _, c := range settings.Configs {
		if c.Key == name {
			ms, err := strconv.ParseInt(c.MaybeValue(), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s of %s: %w", name, topic, err)
			}
			if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
				return 0, nil
			}
			return time.Duration(ms) * time.Millisecond, nil
		}
	}
	return 0, fmt.Errorf("%s of %s is hidden", name, topic)
}
