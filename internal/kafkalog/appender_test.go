package kafkalog_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/wire"
)

const eventPartitions = 3

func eventsTopic(t *testing.T, cfg kafkalog.Config) {
	t.Helper()
	adm := kadm.NewClient(newClient(t, cfg))
	resp, err := adm.CreateTopic(withTimeout(t), eventPartitions, 1, nil, cfg.Topic("events"))
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
}

func appender(t *testing.T, cfg kafkalog.Config) *kafkalog.Appender {
	t.Helper()
	a, err := kafkalog.NewAppender(cfg, eventPartitions, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = a.Close(ctx)
	})
	return a
}

func eventRecord(participant, id string) wire.Record {
	var r wire.Record
	r.Key, r.Value, r.Headers = wire.EventRecord(&wire.CloudEvent{ID: id, Source: "/s", Type: "t", Participant: participant, Data: []byte(`{"n":1}`)})
	return r
}

// readAll returns the ids in each partition, in order, by offset.
func readAll(t *testing.T, cfg kafkalog.Config, n int) map[int32][]string {
	t.Helper()
	cl := newClient(t, cfg, kgo.ConsumeTopics(cfg.Topic("events")), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	found := map[int32][]string{}
	ctx := withTimeout(t)
	for got := 0; got < n; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			for _, h := range r.Headers {
				if h.Key == "ce_id" {
					found[r.Partition] = append(found[r.Partition], string(h.Value))
				}
			}
		})
	}
	return found
}

func TestAppenderKeepsOrderAndTellsPositions(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		eventsTopic(t, cfg)
		a := appender(t, cfg)
		var records []wire.Record
		for i := range 300 {
			records = append(records, eventRecord(fmt.Sprint("player-", i%7), fmt.Sprint(i)))
		}
		var positions []ingest.Position
		for part := range 3 {
			at, err := a.Append(withTimeout(t), records[part*100:part*100+100])
			if err != nil {
				t.Fatal(err)
			}
			positions = append(positions, at...)
		}
		found := readAll(t, cfg, len(records))
		for i, at := range positions {
			if want := wire.PartitionFor(records[i].Key, eventPartitions); at.Partition != want {
				t.Fatalf("record %d is on partition %d, want %d", i, at.Partition, want)
			}
			if got := found[at.Partition][at.Offset]; got != fmt.Sprint(i) {
				t.Fatalf("at %v is event %s, the answer said %d", at, got, i)
			}
		}
		if at, err := a.Append(withTimeout(t), nil); err != nil || len(at) != 0 {
			t.Error(at, err)
		}
		if err := a.Ping(withTimeout(t)); err != nil {
			t.Error(err)
		}
	})
}

// TestAppenderTooLarge: a record beyond the brokers' limit is told apart from
// brokers that do not answer.
func TestAppenderTooLarge(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		eventsTopic(t, cfg)
		r := eventRecord("ada", "1")
		r.Value = []byte(`"` + strings.Repeat("x", 4<<20) + `"`)
		if _, err := appender(t, cfg).Append(withTimeout(t), []wire.Record{r}); !errors.Is(err, ingest.ErrTooLarge) {
			t.Error(err)
		}
	})
}

func TestAppenderWithoutBrokersGivesUpInTime(t *testing.T) {
	a := appender(t, kafkalog.Config{Brokers: []string{"127.0.0.1:1"}, Prefix: "x"})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := a.Append(ctx, []wire.Record{eventRecord("ada", "1")}); err == nil || time.Since(start) > 5*time.Second {
		t.Error(err, time.Since(start))
	}
	if _, err := kafkalog.NewAppender(kafkalog.Config{}, 0, 1); err == nil {
		t.Error("a topic without partitions was accepted")
	}
}

// gateway serves on the appender, with a short time-out.
func gateway(a ingest.Appender) http.Handler {
	return ingest.New(ingest.Options{
		Appender: a, Limits: ingest.Limits{RequestBytesMax: 1 << 20, BatchEventsMax: 1000}, InflightBytesMax: 8 << 20, Timeout: 2 * time.Second,
	})
}

func post(g http.Handler, ids ...string) int {
	var body strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&body, `{"specversion":"1.0","id":%q,"source":"/s","type":"t","time":"2026-05-01T12:00:00Z","partitionkey":%q}`+"\n", id, "player-"+id)
	}
	r := httptest.NewRequest("POST", "/v1/events", strings.NewReader(body.String()))
	r.Header.Set("Content-Type", "application/x-ndjson")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Code
}

// TestNo202WithoutAllAcknowledgements lets the broker fail one partition of a
// request in three ways. None may be answered 202; and when the broker works
// again, the same request is.
func TestNo202WithoutAllAcknowledgements(t *testing.T) {
	for name, reply := range map[string]func(*kmsg.ProduceRequest) (kmsg.Response, error, bool){
		// Written, and the connection breaks before the answer.
		"connection lost": func(*kmsg.ProduceRequest) (kmsg.Response, error, bool) {
			return nil, errors.New("the connection breaks"), true
		},
		"too few replicas": refusing(kerr.NotEnoughReplicas),
		"not authorized":   refusing(kerr.TopicAuthorizationFailed),
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(eventPartitions, "x.events"))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			g := gateway(appender(t, kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: "x"}))
			if code := post(g, "0"); code != 202 {
				t.Fatalf("got %d from a working broker", code)
			}
			var mu sync.Mutex
			broken := true
			cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				if p := req.(*kmsg.ProduceRequest); p.Acks != -1 || p.TransactionID != nil {
					t.Errorf("a produce request has acks %d and the transactional ID %v", p.Acks, p.TransactionID)
				}
				mu.Lock()
				defer mu.Unlock()
				if !broken {
					return nil, nil, false
				}
				cluster.KeepControl()
				return reply(req.(*kmsg.ProduceRequest))
			})
			if code := post(g, "1", "2", "3", "4", "5", "6", "7"); code != 503 {
				t.Errorf("got %d although the broker acknowledged nothing", code)
			}
			mu.Lock()
			broken = false
			mu.Unlock()
			code := 0
			for range 20 {
				if code = post(g, "1", "2", "3", "4", "5", "6", "7"); code == 202 {
					break
				}
			}
			if code != 202 {
				t.Errorf("got %d after the broker had recovered", code)
			}
		})
	}
}

// refusing answers every partition of a request with an error.
func refusing(with *kerr.Error) func(*kmsg.ProduceRequest) (kmsg.Response, error, bool) {
	return func(req *kmsg.ProduceRequest) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, with.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	}
}

// TestBrokerKilledInMidRequest closes the broker while requests run: what was
// answered 202 before is in the log, and nothing is answered 202 after.
func TestBrokerKilledInMidRequest(t *testing.T) {
	dir := t.TempDir()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(eventPartitions, "x.events"), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	g := gateway(appender(t, kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: "x"}))
	var mu sync.Mutex
	answered := map[string]bool{}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 10_000 {
				id := fmt.Sprint(worker, ".", i)
				if post(g, id) != 202 {
					return
				}
				mu.Lock()
				answered[id] = true
				mu.Unlock()
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	cluster.Close()
	group.Wait()
	if code := post(g, "after"); code != 503 {
		t.Errorf("got %d without a broker", code)
	}
	again, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	inLog := map[string]bool{}
	for _, ids := range readAll(t, kafkalog.Config{Brokers: again.ListenAddrs(), Prefix: "x"}, len(answered)) {
		for _, id := range ids {
			inLog[id] = true
		}
	}
	for id := range answered {
		if !inLog[id] {
			t.Errorf("event %s was answered 202 and is lost", id)
		}
	}
	if len(answered) < 10 {
		t.Errorf("only %d requests were answered before the kill", len(answered))
	}
}
