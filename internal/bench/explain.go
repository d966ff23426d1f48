package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/google/pprof/profile"
)

// Cost is where some of the processor's CPU goes.
type Cost struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`             // of all samples
	Nanos float64 `json:"ns_per_event"`      // of CPU
	Of    string  `json:"of,omitempty"`      // what it covers, in words
	Top   string  `json:"largest,omitempty"` // the function with most of it by itself
}

// costCentre says which functions belong to a cost. A sample belongs to the first
// function of its stack, from the leaf on, that any of them names.
type costCentre struct {
	name, of string
	prefixes []string
}

const ours = "github.com/veltrix/veltrix/internal/"

// costCentres are in the order in which an event meets them. What nothing names is the rest.
var costCentres = []costCentre{
	{"fetch", "the client reads the log, and its records are handed on", []string{
		"github.com/twmb/franz-go/pkg/kgo.(*source)", "github.com/twmb/franz-go/pkg/kgo.ProcessFetchPartition", "github.com/twmb/franz-go/pkg/kgo.(*cursor",
		"github.com/twmb/franz-go/pkg/kgo.(*Client).PollRecords", ours + "kafkalog.(*Session).Poll", ours + "kafkalog.Records",
	}},
	{"decode", "envelope, JSON, typed fields, identity", []string{ours + "fold.(*Fold).Key", ours + "wire.CheckEvent"}},
	{"copy", "the touched states, so that an abort leaves them as they were", []string{ours + "fold.(*Fold).Clone", ours + "participant.(*History).Become"}},
	{"order", "admission, place in the tail, floor", []string{
		ours + "participant.(*Fold)", ours + "participant.(*Outcome)", ours + "participant.(*Sequences).Note", ours + "participant.NotificationID",
		ours + "participant.(*History).place",
	}},
	{"rules", "conditions, changes, texts", []string{ours + "rules."}},
	{"outputs", "notifications and rejects as records", []string{ours + "wire.Notification", ours + "wire.Rejected"}},
	{encoding, "the touched states, once for each batch", []string{ours + "fold.(*Fold).Encode", ours + "wire.Append"}},
	{"hash", "of the log and of the states", []string{ours + "engine.recordHash", ours + "engine.link", ours + "engine.valueDigest"}},
	{"engine", "batches, cache, the order of effects", []string{ours + "engine.", ours + "fold."}},
	{"produce and commit", "outputs, offsets, transactions", []string{
		ours + "kafkalog.(*Session)", "github.com/twmb/franz-go/pkg/kgo.(*sink)", "github.com/twmb/franz-go/pkg/kgo.(*GroupTransactSession)",
		"github.com/twmb/franz-go/pkg/kgo.(*Client)", "github.com/twmb/franz-go/pkg/kgo.(*recBuf)", "github.com/twmb/franz-go/pkg/kgo.(*producer)",
	}},
	{"connections", "requests and answers of the brokers, whichever", []string{"github.com/twmb/franz-go/"}},
	{"Redis", "moves and loads", []string{ours + "redisstore.", "github.com/redis/go-redis/"}},
	{"collector", "marking and sweeping what is garbage", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcAssist", "runtime.gcStart"}},
}

// elsewhereSpent is what no cost centre names.
const elsewhereSpent = "rest"

// encoding is the cost of states as bytes.
const encoding = "encode"

// Explain reads a CPU profile of a processor that folded so many events.
func Explain(path string, events int64) ([]Cost, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	defer func() { _ = file.Close() }()
	p, err := profile.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("read the profile %s: %w", path, err)
	}
	return explain(p, events), nil
}

// explain adds up the samples.
func explain(p *profile.Profile, events int64) []Cost {
	value := len(p.SampleType) - 1 // ns of CPU; before it, samples
	total, sums, leaves := int64(0), map[string]int64{}, map[string]map[string]int64{}
	for _, s := range p.Sample {
		name, leaf := classify(s)
		total += s.Value[value]
		sums[name] += s.Value[value]
		if leaves[name] == nil {
			leaves[name] = map[string]int64{}
		}
		leaves[name][leaf] += s.Value[value]
	}
	var all []Cost
	for _, of := range append(costCentres[:len(costCentres):len(costCentres)], costCentre{name: elsewhereSpent, of: "the scheduler, timers, metrics"}) {
		if sums[of.name] == 0 {
			continue
		}
		all = append(all, Cost{
			Name: of.name, Of: of.of, Share: float64(sums[of.name]) / float64(total),
			Nanos: float64(sums[of.name]) / float64(max(events, 1)), Top: largest(leaves[of.name]),
		})
	}
	return all
}

// classify returns what a sample belongs to, and the function that it was taken in.
func classify(s *profile.Sample) (name, leaf string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function == nil {
				continue
			}
			function := line.Function.Name
			if leaf == "" {
				leaf = function
			}
			for i := range costCentres {
				for _, prefix := range costCentres[i].prefixes {
					if strings.HasPrefix(function, prefix) {
						return costCentres[i].name, leaf
					}
				}
			}
		}
	}
	return elsewhereSpent, leaf
}

func largest(of map[string]int64) (name string) {
	for n, v := range of {
		if name == "" || v > of[name] || v == of[name] && n < name {
			name = n
		}
	}
	return name[strings.LastIndexByte(name, '/')+1:]
}

// writeCosts writes the table for people.
func writeCosts(w io.Writer, all []Cost) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	sum := 0.0
	fmt.Fprintln(t, "where the CPU goes\tns an event\tshare\twhat it is\tmost of it in")
	for _, p := range all {
		sum += p.Nanos
		fmt.Fprintf(t, "%s\t%.0f\t%.0f %%\t%s\t%s\n", p.Name, p.Nanos, p.Share*100, p.Of, p.Top)
	}
	fmt.Fprintf(t, "all\t%.0f\t\t\t\n", sum)
	return t.Flush()
}

// floor says what an event costs that nobody can leave out who keeps such states in
// Redis, beside what it does cost, in ns of CPU of all processes: to consume it, to
// encode its share of the states, and what Redis takes to store them.
func (r *Report) floor() string {
	encode := 0.0
	for _, c := range r.Profile {
		if c.Name == encoding {
			encode = c.Nanos
		}
	}
	var loop, processor *Figures
	figures := r.Figures()
	for i := range figures {
		switch f := &figures[i]; f.Name {
		case r.Reference:
			loop = f
		case (*pipeline)(nil).Name():
			processor = f
		}
	}
	if loop == nil || processor == nil || loop.BrokerNanos == nil || processor.BrokerNanos == nil || processor.RedisNanos == nil {
		return ""
	}
	consume, redis := loop.OwnNanos+*loop.BrokerNanos, *processor.RedisNanos
	whole := processor.OwnNanos + *processor.BrokerNanos + redis
	least := consume + encode + redis
	return fmt.Sprintf("\nno less than %.0f ns an event of all processes: %.0f to consume it, %.0f to encode, %.0f of Redis; it is %.0f, %.1f times that\n",
		least, consume, encode, redis, whole, whole/least)
}
