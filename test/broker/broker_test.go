package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/test/broker"
)

func client(t *testing.T, c *broker.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.Addrs...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// TestThreeNodesSurviveOne shows that the harness gives what the tests of
// failures need: records acknowledged by a majority outlive a killed node,
// transactions work, and the node comes back on its old port.
func TestThreeNodesSurviveOne(t *testing.T) {
	c := broker.Start(t, broker.Options{Nodes: 3})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl := client(t, c, kgo.TransactionalID("t"))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 1, 3, map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}, "t"); err != nil {
		t.Fatal(err)
	}
	send := func(value string) {
		t.Helper()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	send("before")
	c.Kill(1)
	send("during")
	if err := c.Restart(1); err != nil {
		t.Fatal(err)
	}
	send("after")

	reader := client(t, c, kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	var got []string
	for len(got) < 3 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if strings.Join(got, " ") != "before during after" {
		t.Fatalf("read %q", got)
	}
}

// TestNoBrokerOutlivesItsStarter kills the starting process the hard way.
func TestNoBrokerOutlivesItsStarter(t *testing.T) {
	if dir := os.Getenv("VELTRIX_BROKER_TEST_CHILD"); dir != "" {
		c, err := broker.StartDir(dir, broker.Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready", c.Addrs[0])
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoBrokerOutlivesItsStarter$")
	cmd.Env = append(os.Environ(), "VELTRIX_BROKER_TEST_CHILD="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := ""
	for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			addr = rest
		}
	}
	if addr == "" {
		t.Fatal("the child never had its broker")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // it was killed
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for deadline := time.Now().Add(10 * time.Second); cl.Ping(t.Context()) == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the broker on %s still answers after its starter was killed", addr)
		}
	}
}

func TestMissingJarsNameTheRemedy(t *testing.T) {
	t.Setenv("VELTRIX_KAFKA_LIBS", t.TempDir())
	_, err := broker.StartDir(t.TempDir(), broker.Options{})
	if err == nil || !strings.Contains(err.Error(), "make test") {
		t.Fatalf("error %v does not name `make test`", err)
	}
}
