// Command peer does the work of the bench's rules without Veltrix, as it is written with
// one library or another:
//
//	peer NAME --brokers 127.0.0.1:9092 --events e --outputs o --group g --records 1000
//
// It says on its standard output when it begins and when it is done, and ends by itself.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/veltrix/veltrix/bench/peers/confluenteos"
	"github.com/veltrix/veltrix/bench/peers/franz"
	"github.com/veltrix/veltrix/bench/peers/naive"
	"github.com/veltrix/veltrix/bench/peers/same"
	"github.com/veltrix/veltrix/bench/peers/saramaeos"
	"github.com/veltrix/veltrix/bench/peers/task"
)

// peers do a task, and return when all of it is committed.
var peers = map[string]func(ctx context.Context, t *task.Task, c *task.Course, partitions int) error{
	"franz-eos":     franz.EOS,
	"franz-alo":     franz.ALO,
	"naive":         naive.Run,
	"sarama-eos":    saramaeos.Run,
	"confluent-eos": confluenteos.Run,
	// Experiments.
	"franz-eos-decoder": same.EOSDecoder,
	"franz-eos-fold":    same.EOSFold,
	"franz-alo-decoder": same.ALODecoder,
	"franz-alo-fold":    same.ALOFold,
}

// patience is how long a peer may take to end once it was told to.
const patience = 8 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		time.Sleep(patience)
		os.Exit(1)
	})
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	names := strings.Join(slices.Sorted(maps.Keys(peers)), ", ")
	if len(args) == 0 {
		return fmt.Errorf("name one of %s", names)
	}
	peer, ok := peers[args[0]]
	if !ok {
		return fmt.Errorf("there is no peer %q; there are %s", args[0], names)
	}
	t, err := task.Parse(args[1:])
	if err != nil {
		return err
	}
	partitions, err := t.Partitions(ctx)
	if err != nil {
		return err
	}
	if err := peer(ctx, t, task.NewCourse(t, partitions, os.Stdout), partitions); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}
