package e2e

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/internal/wire"
	"github.com/veltrix/veltrix/test/broker"
)

// TestForeignPartitioner lets clients produce with their default partitioners.
// librdkafka hashes keys by CRC32 and sarama by FNV-1a: most records are on
// another partition than their participant's. Each must be moved and count once,
// and count no second time when a client with Kafka's own partitioner sends it
// too. franz-go hashes as Kafka does, and nothing is to be moved.
func TestForeignPartitioner(t *testing.T) {
	for _, client := range []struct {
		name    string
		foreign bool
		send    func(d *deployment, broker string, sent []string)
	}{
		{"librdkafka", true, func(d *deployment, broker string, sent []string) {
			kcat, err := exec.LookPath("kcat")
			if err != nil {
				d.t.Fatal("no kcat on PATH: run `make test`, which installs it (Debian and Ubuntu: apt-get install kcat)")
			}
			d.pipe(sent, exec.Command(kcat, "-P", "-b", broker, "-t", d.kafka.Topic("events"), "-K", "\t", "-H", "content-type="+structured))
		}},
		{"sarama", true, func(d *deployment, broker string, sent []string) {
			d.pipe(sent, exec.Command("go", "run", "-C", "../clients/sarama", ".", broker, d.kafka.Topic("events")))
		}},
		{"franz-go", false, func(d *deployment, broker string, sent []string) {
			cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(d.kafka.Topic("events")))
			d.must(err)
			defer cl.Close()
			d.must(d.send(d.t.Context(), cl, sent))
		}},
	} {
		t.Run(client.name, func(t *testing.T) {
			// Less than the day of grace: what comes again is surely known.
			source, sent := lines(t, "flights", 1_200)
			addrs := broker.Shared(t).Addrs
			d := deploy(t, place{brokers: addrs, redis: testredis.Start(t, nil).Addr}, 4, source)
			client.send(d, addrs[0], sent)
			d.moved(sent, client.foreign)
		})
	}
}

// pipe gives a command a participant and its event on each line.
func (d *deployment) pipe(sent []string, cmd *exec.Cmd) {
	d.t.Helper()
	var input bytes.Buffer
	for _, line := range sent {
		input.WriteString(keyOf(line) + "\t" + line + "\n")
	}
	cmd.Stdin = &input
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v: %s", cmd.Path, err, out)
	}
}

// moved waits until what stands on another partition than its participant's was
// moved, and holds it against what was sent.
func (d *deployment) moved(sent []string, foreign bool) {
	t := d.t
	t.Helper()
	misplaced := int64(0)
	for _, r := range d.read("events") {
		if r.Partition != wire.PartitionFor(r.Key, d.partitions) {
			misplaced++
		}
	}
	if foreign && misplaced < int64(len(sent)/2) || !foreign && misplaced > 0 {
		t.Fatalf("%d of %d records are on another partition than their participant's", misplaced, len(sent))
	}

	d.processor()
	d.notifier()
	d.delivered()
	want := map[string]int64{"applied": int64(len(sent)), "rerouted": misplaced}
	d.verified(want)
	d.sameStates(sent)
	d.inboxes()
	moved := int64(0)
	for _, r := range d.read("events") {
		if r.Header(wire.HeaderReroutedFrom) == nil {
			continue
		}
		moved++
		if r.Partition != wire.PartitionFor(r.Key, d.partitions) {
			t.Errorf("the record at %d/%d was moved, and not to its participant's partition", r.Partition, r.Offset)
		}
	}
	if moved != misplaced {
		t.Errorf("%d records were moved, %d had to be", moved, misplaced)
	}

	// The same again by murmur2, as a crash between moving a record and
	// committing its offset would leave it.
	d.must(d.send(t.Context(), d.client(), sent))
	d.delivered()
	want["duplicate"] = int64(len(sent))
	d.verified(want)
	d.sameStates(sent)
	d.inboxes()
}
