package main

import (
	"bufio"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/child"
	"github.com/veltrix/veltrix/test/broker"
)

// TestPeersEndWhenTold: each that has more to do than there is ends at SIGTERM, with
// an exit code that says that it was not done. Those in Java are not ready before
// their first record.
func TestPeersEndWhenTold(t *testing.T) {
	rt, brokers := world(t), broker.Shared(t).Addrs
	for _, p := range present(t, "core") {
		if strings.HasPrefix(p.Name, streams) {
			continue
		}
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
