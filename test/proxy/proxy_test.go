package proxy_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/test/proxy"
)

// TestRules writes through the proxy while an answer is refused in the broker's
// place, one is lost and one is changed.
func TestRules(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := proxy.Start(t, c.ListenAddrs()[0])
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.Addr()), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	var seen, lost atomic.Int32
	p.On(kmsg.Produce, proxy.Rule{
		Before: func(req kmsg.Request) kmsg.Response {
			if seen.Add(1) > 1 {
				return nil
			}
			resp := req.ResponseKind().(*kmsg.ProduceResponse)
			for _, in := range req.(*kmsg.ProduceRequest).Topics {
				topic := kmsg.NewProduceResponseTopic()
				topic.Topic, topic.TopicID = in.Topic, in.TopicID
				part := kmsg.NewProduceResponseTopicPartition()
				part.ErrorCode = kerr.NotEnoughReplicas.Code
				topic.Partitions = append(topic.Partitions, part)
				resp.Topics = append(resp.Topics, topic)
			}
			return resp
		},
		After: func(kmsg.Request, kmsg.Response) bool { return lost.Add(1) > 1 },
	})
	for range 3 {
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("v")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if seen.Load() != 5 || lost.Load() != 4 {
		t.Errorf("%d requests and %d answers, want 5 and 4: one refused, one lost, three good", seen.Load(), lost.Load())
	}
	p.On(kmsg.ListOffsets, proxy.Rule{After: func(_ kmsg.Request, resp kmsg.Response) bool {
		resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset += 100
		return true
	}})
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "t")
	if err = errors.Join(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	if o, _ := ends.Lookup("t", 0); o.Offset != 103 {
		t.Errorf("the log ends at %d; want 3 records, as what was sent twice is idempotent, and the 100 that the proxy adds", o.Offset)
	}
}
