package kafkalog

import (
	"bytes"
	"context"
	"strconv"

	"github.com/veltrix/veltrix/internal/wire"
)

// loadedWindow is how many of the newest records are looked through first.
const loadedWindow = 64

// Loaded returns for each partition of the events topic the last line of the
// file name that is in its log; 0 where there is none.
//
// The log itself is the only place that cannot be ahead of or behind what it
// holds. One load's records are in a partition in the order of their lines and
// without a hole, because the producer is idempotent; so all up to the line are
// there, whatever interrupted the load, and what stands between and after them
// does not matter. It is found from the end backward, in growing steps.
func Loaded(ctx context.Context, cfg Config, name string) ([]int, error) {
	r, err := NewReader(cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	topic := cfg.Topic("events")
	all, err := r.Bounds(ctx, topic)
	if err != nil {
		return nil, err
	}
	lines := make([]int, len(all))
	for i, b := range all {
		for to, size := b.End, int64(loadedWindow); to > b.Start && lines[i] == 0; size *= 4 {
			from := max(to-size, b.Start)
			err := r.Read(ctx, topic, b.Partition, from, to, false, func(records []wire.Record) error {
				for k := range records {
					lines[i] = max(lines[i], loadedLine(&records[k], name))
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			to = from
		}
	}
	return lines, nil
}

// loadedLine returns the line of the file that a record was loaded from; 0 for
// others, and for a copy that was rerouted: its line is another partition's.
func loadedLine(r *wire.Record, name string) int {
	if r.Header(wire.HeaderReroutedFrom) != nil {
		return 0
	}
	text, found := bytes.CutPrefix(r.Header(wire.HeaderLoaded), []byte(name+"/"))
	line, err := strconv.Atoi(string(text))
	if !found || err != nil {
		return 0
	}
	return line
}
