package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// This file is the pipeline of the incident, as it was built: what each part does is
// what tutorials do, and none of it is a mistake by itself.

// balancer is a TCP load balancer: each connection goes to the next target, and
// lives for a time at most.
type balancer struct {
	address string
	targets atomic.Pointer[[]string]
	life    time.Duration // of a connection; 0: as long as it likes
	turn    atomic.Int64
}

func balance(t *testing.T, life time.Duration, targets ...string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{address: listener.Addr().String(), life: life}
	b.lead(targets...)
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		listener.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { b.serve(ctx, from) })
		}
	})
	return b
}

// lead sends new connections to other targets.
func (b *balancer) lead(targets ...string) { b.targets.Store(&targets) }

func (b *balancer) serve(ctx context.Context, from net.Conn) {
	defer from.Close()
	targets := *b.targets.Load()
	if len(targets) == 0 {
		return
	}
	to, err := net.Dial("tcp", targets[int(b.turn.Add(1))%len(targets)])
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
	if b.life > 0 {
		defer time.AfterFunc(b.life, func() { from.Close(); to.Close() }).Stop()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, to)
	from.Close()
	<-done
}

// hasty waits as long as Kafka's own client does by default before it tries again.
func hasty(int) time.Duration { return 100 * time.Millisecond }

// naiveGateway takes an event and writes it to the topic without a key, by a client
// that may repeat itself, and answers when the leader has it.
func naiveGateway(t *testing.T, brokers, topic string) string {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.MaxProduceRequestsInflightPerBroker(5),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(0), kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(hasty),
	)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		// A sender that gives up does not take back what it sent.
		if err := cl.ProduceSync(context.WithoutCancel(r.Context()), &kgo.Record{Value: body}).FirstErr(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		cl.Close()
	})
	return listener.Addr().String()
}

// naiveConsumer tells players what it reads, in the order in which it comes, and
// commits every few seconds. It dies once, and is started again.
type naiveConsumer struct {
	brokers, topic string
	tell           func(player string, clue int)
}

// run consumes until ctx ends; at each word on die the consumer is another one.
func (c *naiveConsumer) run(ctx context.Context, t *testing.T, die <-chan struct{}) {
	for ctx.Err() == nil {
		life, end := context.WithCancel(ctx)
		go func() {
			select {
			case <-die:
			case <-life.Done():
			}
			end()
		}()
		c.live(life, t)
		end()
	}
}

func (c *naiveConsumer) live(ctx context.Context, t *testing.T) {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.brokers), kgo.ConsumerGroup(c.topic+".players"), kgo.ConsumeTopics(c.topic),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(sessionTimeout/4), kgo.FetchMaxWait(200*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryBackoffFn(hasty),
	)
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.CloseAllowingRebalance()
	committed := time.Now()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var e incidentEvent
			if json.Unmarshal(r.Value, &e) == nil {
				c.tell(e.Player, e.Data.Clue)
			}
		})
		if time.Since(committed) > 3*time.Second {
			bounded, cancel := context.WithTimeout(ctx, time.Second)
			_ = cl.CommitUncommittedOffsets(bounded)
			cancel()
			committed = time.Now()
		}
	}
}
