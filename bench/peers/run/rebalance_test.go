package main

import (
	"bufio"
	"context"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/bench"
	"github.com/veltrix/veltrix/internal/child"
	"github.com/veltrix/veltrix/test/broker"
)

// meddled are peers with the balancer that their library has, and the intruder with it,
// and as many events and commits as keep the peer busy until it has come.
var meddled = map[string]struct {
	balancer kgo.GroupBalancer
	events   int64
	commit   string // after so many records
}{
	"franz-eos": {kgo.CooperativeStickyBalancer(), 150_000, "300"}, "franz-alo": {kgo.CooperativeStickyBalancer(), 200_000, "30"},
	"sarama-eos": {kgo.StickyBalancer(), 80_000, "300"}, "confluent-eos": {kgo.RangeBalancer(), 20_000, "300"},
}

// TestPeersLosePartitionsAndGetThemBack: a member comes into the group that takes
// partitions and does nothing, and goes, again and again. What a peer had open is
// aborted or committed, and all of it is still once.
func TestPeersLosePartitionsAndGetThemBack(t *testing.T) {
	rt := world(t)
	for _, p := range all(binary, "") {
		with, ok := meddled[p.Name]
		if !ok {
			continue
		}
		var taken atomic.Int64
		ended := make(chan struct{})
		meddling, stop := context.WithCancel(t.Context())
		right := p.Command
		p.Command = func(args []string) *exec.Cmd {
			at := func(name string) string { return args[1+slices.Index(args, name)] }
			go func() {
				defer close(ended)
				for meddling.Err() == nil {
					intrude(meddling, at("--brokers"), at("--group"), at("--events"), with.balancer, &taken)
				}
			}()
			return right(append(args, "--commit-interval", "2ms", "--commit-records", with.commit))
		}
		time.AfterFunc(6*time.Second, stop)
		opts := options(t, "core", with.events, []bench.Peer{p}, 2)
		_, err := bench.Peers(t.Context(), rt, opts)
		stop()
		<-ended
		t.Logf("%s: partitions were taken %d times", p.Name, taken.Load())
		if err != nil || taken.Load() == 0 {
			t.Errorf("%s, from which partitions were taken %d times: %v", p.Name, taken.Load(), err)
		}
	}
}

// intrude joins a group until it has a partition, and leaves it.
func intrude(ctx context.Context, brokers, group, topic string, balancer kgo.GroupBalancer, taken *atomic.Int64) {
	got := make(chan struct{}, 1)
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
		kgo.DisableAutoCommit(), kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if len(parts[topic]) > 0 {
				taken.Add(1)
				select {
				case got <- struct{}{}:
				default:
				}
			}
		}))
	if err != nil {
		return
	}
	defer cl.Close()
	cl.PauseFetchTopics(topic)
	select {
	case <-got:
	case <-ctx.Done():
	}
}

// TestPeersEndWhenTold: each that has more to do than there is ends at SIGTERM, with
// an exit code that says that it was not done.
func TestPeersEndWhenTold(t *testing.T) {
	rt, brokers := world(t), broker.Shared(t).Addrs
	for _, p := range present(t) {
		name := "ends-" + p.Name
		create(t, brokers, name, name+"-out")
		args := []string{
			"--brokers", strings.Join(brokers, ","), "--events", name, "--outputs", name + "-out", "--group", name,
			"--prefix", name, "--records", "1000", "--clients", "2",
		}
		if p.Redis {
			args = append(args, "--redis", rt.Config.Redis.Addrs[0])
		}
		cmd := p.Command(args)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		cmd.Stderr = &said
		process, err := child.Start(cmd, syscall.SIGKILL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(process.Kill)
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.Contains(lines.Text(), `"ready"`) {
		}
		if lines.Text() == "" {
			<-process.Done()
			t.Errorf("%s was never ready: %s", p.Name, &said)
			continue
		}
		if err := process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		told := time.Now()
		select {
		case <-process.Done():
			t.Logf("%s ended after %s", p.Name, time.Since(told).Round(time.Millisecond))
			if cmd.ProcessState.ExitCode() == 0 {
				t.Errorf("%s: exit code 0: %s", p.Name, &said)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s has not ended: %s", p.Name, &said)
			process.Kill()
		}
	}
}

// create makes topics of three partitions. They go with the broker.
func create(t *testing.T, brokers []string, names ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	for _, name := range names {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range resp.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			t.Fatal(err)
		}
	}
	for t.Context().Err() == nil { // a broker learns of them a little later
		meta, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		known := 0
		for _, topic := range meta.Topics {
			if slices.Contains(names, *topic.Topic) && len(topic.Partitions) == 3 {
				known++
			}
		}
		if known == len(names) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
