package chaos

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/wire"
)

// dumped are the topics that tell who wrote what in which transaction, and how it
// ended there: the outputs, the offsets that went with them, and what the
// coordinators decided.
func (r *run) dumped() []string {
	return []string{r.kafka.Topic("notifications"), r.kafka.Topic("rejected"), "__consumer_offsets", "__transaction_state"}
}

// dump writes down what those topics hold, markers and aborted records too, a line
// each: after a verification that failed, the brokers are soon gone.
func (r *run) dump(ctx context.Context) error {
	for _, topic := range r.dumped() {
		if err := r.dumpTopic(ctx, topic); err != nil {
			return fmt.Errorf("dump %s: %w", topic, err)
		}
	}
	return nil
}

func (r *run) dumpTopic(ctx context.Context, topic string) (err error) {
	cl, err := kgo.NewClient(r.kafka.Options(kgo.KeepControlRecords(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	file, err := os.Create(filepath.Join(r.dir, topic+".txt"))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	for len(left) > 0 && err == nil {
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		fetches := cl.PollFetches(bounded)
		cancel()
		err = fetches.Err()
		fetches.EachRecord(func(x *kgo.Record) {
			fmt.Fprintln(out, lineOf(x))
			if x.Offset+1 >= left[x.Partition] {
				delete(left, x.Partition)
			}
		})
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// lineOf shows a record: where and when, its producer, and what it says. A marker's
// key is its version and 0 for an abort or 1 for a commit, two bytes each.
func lineOf(x *kgo.Record) string {
	kind := "record"
	if x.Attrs.IsControl() {
		kind = "marker"
	}
	cause := ""
	for _, h := range x.Headers {
		if h.Key == wire.HeaderSourceOffset {
			cause = " cause " + string(h.Value)
		}
	}
	const longest = 120
	return fmt.Sprintf("%d/%d %s producer %d epoch %d leader-epoch %d %s %q%s %.*q", x.Partition, x.Offset, x.Timestamp.UTC().Format("15:04:05.000"),
		x.ProducerID, x.ProducerEpoch, x.LeaderEpoch, kind, x.Key, cause, longest, x.Value)
}
