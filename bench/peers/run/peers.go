package main

import (
	"os/exec"

	"github.com/veltrix/veltrix/internal/bench"
)

// streams begins the names of the peers that are in Java.
const streams = "streams"

// usual are the peers that are measured where none are named. Those with -decoder and
// -fold are experiments: the loop of one, with that of the product in it.
var usual = []string{
	"franz-eos", "franz-eos-decoder", "franz-eos-fold", "franz-alo", "naive", "sarama-eos", "confluent-eos", streams, streams + "-hand", streams + "-redis-hand",
}

// all returns the peers, most of which are one binary. Target is what the processor's
// rate should be as a part of theirs.
func all(binary, jar string) []bench.Peer {
	ours := func(name string) func([]string) *exec.Cmd {
		return func(args []string) *exec.Cmd { return exec.Command(binary, append([]string{name}, args...)...) }
	}
	java := func(more ...string) func([]string) *exec.Cmd {
		return func(args []string) *exec.Cmd {
			return exec.Command("java", append(append([]string{"-jar", jar}, args...), more...)...)
		}
	}
	return []bench.Peer{
		{Name: "franz-eos", Command: ours("franz-eos"), Target: 0.55},
		{Name: "franz-alo", Command: ours("franz-alo"), Redis: true, AtLeastOnce: true, Target: 0.8},
		{Name: "franz-eos-decoder", Command: ours("franz-eos-decoder")},
		{Name: "franz-eos-fold", Command: ours("franz-eos-fold"), InOrder: true},
		{Name: "franz-alo-decoder", Command: ours("franz-alo-decoder"), Redis: true, AtLeastOnce: true},
		{Name: "franz-alo-fold", Command: ours("franz-alo-fold"), Redis: true, AtLeastOnce: true, InOrder: true},
		{Name: "naive", Command: ours("naive"), Redis: true, AtLeastOnce: true, Target: 15},
		{Name: "sarama-eos", Command: ours("sarama-eos")},
		{Name: "confluent-eos", Command: ours("confluent-eos")},
		{Name: streams, Command: java()},
		{Name: streams + "-hand", Command: java("--parser", "hand"), Target: 2.5},
		{Name: streams + "-memory", Command: java("--parser", "hand", "--store", "memory")},
		{Name: streams + "-redis", Command: java(), Redis: true},
		{Name: streams + "-redis-hand", Command: java("--parser", "hand"), Redis: true, Target: 4},
	}
}

func names() (names []string) {
	for _, p := range all("", "") {
		names = append(names, p.Name)
	}
	return names
}
