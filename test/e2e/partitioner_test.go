package e2e

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/internal/wire"
	"github.com/veltrix/veltrix/test/broker"
)

// TestForeignPartitioner lets a librdkafka client produce with its default
// partitioner, which hashes keys by CRC32: most records are on another
// partition than their participant's. Each must be moved and count once, and
// count no second time when a client with Kafka's own partitioner sends it too.
func TestForeignPartitioner(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatal("no kcat on PATH: run `make test`, which installs it (Debian and Ubuntu: apt-get install kcat)")
	}
	// Less than the day of grace: what comes again is surely known.
	source, sent := lines(t, "flights", 1_200)
	addrs := broker.Shared(t).Addrs
	d := deploy(t, place{brokers: addrs, redis: testredis.Start(t, nil).Addr}, 4, source)
	var input bytes.Buffer
	for _, line := range sent {
		input.WriteString(keyOf(line) + "\t" + line + "\n")
	}
	cmd := exec.CommandContext(t.Context(), kcat, "-P", "-b", addrs[0], "-t", d.kafka.Topic("events"), "-K", "\t", "-H", "content-type="+structured)
	cmd.Stdin = &input
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kcat: %v: %s", err, out)
	}
	misplaced := int64(0)
	for _, r := range d.read("events") {
		if r.Partition != wire.PartitionFor(r.Key, d.partitions) {
			misplaced++
		}
	}
	if misplaced < int64(len(sent)/2) {
		t.Fatalf("%d of %d records are on another partition than their participant's: this client hashes as Kafka does, and shows nothing", misplaced, len(sent))
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
