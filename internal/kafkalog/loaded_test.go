package kafkalog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/wire"
)

// TestLoadedFindsTheLastLine loads a part of a file, buries it under other
// people's records, and asks how far the load was.
func TestLoadedFindsTheLastLine(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		eventsTopic(t, cfg)
		var file strings.Builder
		last := make([]int, eventPartitions)
		for i := range 200 {
			key := fmt.Sprint("player-", i%7)
			fmt.Fprintf(&file, `{"specversion":"1.0","id":"%d","source":"/s","type":"t","partitionkey":"%s","data":{"n":1}}`+"\n", i, key)
			last[wire.PartitionFor([]byte(key), eventPartitions)] = i + 1
		}
		if none, err := kafkalog.Loaded(withTimeout(t), cfg, "hunt"); err != nil || slices.Max(none) != 0 {
			t.Fatalf("an empty topic has line %v, %v", none, err)
		}
		a := appender(t, cfg)
		result, err := ingest.Load(withTimeout(t), strings.NewReader(file.String()), a, ingest.LoadOptions{Name: "hunt"})
		if err != nil || result.Loaded != 200 {
			t.Fatalf("%+v, %v", result, err)
		}
		var others []wire.Record
		for i := range 700 {
			r := eventRecord(fmt.Sprint("player-", i%7), fmt.Sprint("other-", i))
			switch i % 3 {
			case 0:
				r.Headers = append(r.Headers, wire.Header{Key: wire.HeaderLoaded, Value: []byte("hunt-2/9000")})
			case 1:
				r.Headers = append(r.Headers, wire.Header{Key: wire.HeaderLoaded, Value: []byte("hunt/9000")},
					wire.Header{Key: wire.HeaderReroutedFrom, Value: []byte("1/7")})
			}
			others = append(others, r)
		}
		if _, err := a.Append(withTimeout(t), others); err != nil {
			t.Fatal(err)
		}
		if got, err := kafkalog.Loaded(withTimeout(t), cfg, "hunt"); err != nil || !slices.Equal(got, last) {
			t.Errorf("lines %v are loaded, want %v: %v", got, last, err)
		}

		// What is continued leaves out exactly what is there.
		result, err = ingest.Load(withTimeout(t), strings.NewReader(file.String()), a, ingest.LoadOptions{
			Name: "hunt", Done: func(key []byte, line int) bool {
				return line <= min(100, last[wire.PartitionFor(key, eventPartitions)])
			},
		})
		if err != nil || result.Before != 100 || result.Loaded != 100 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}
