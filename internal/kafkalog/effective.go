package kafkalog

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/preflight"
)

// committedOnly is how both groups read their input: what is committed, from the
// oldest record on, and never by a jump of the client's own.
func committedOnly() []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Without a commit the group begins with the oldest record; with one it
		// never jumps by itself: the default would skip what is out of range.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	}
}

// ownCommits has the notifier commit what is finished, and the client nothing. The
// processor's commits are in its transactions, where the library insists on it.
func ownCommits() []kgo.Opt { return []kgo.Opt{kgo.DisableAutoCommit()} }

// EffectiveChecks say what is in force at the clients that read the input of the
// processor and the notifier. No setting changes it, so that they fail only where
// the program was changed. Nothing is contacted: a group without topics never joins.
func EffectiveChecks(cfg Config) []preflight.Check {
	return effectiveChecks(cfg, append(committedOnly(), ownCommits()...))
}

// effectiveChecks reads each value back from a client that was made with opts.
func effectiveChecks(cfg Config, opts []kgo.Opt) []preflight.Check {
	read := func(id string, option, want any, words string) preflight.Check {
		return preflight.New(id, func(context.Context) preflight.Finding {
			quiet := cfg
			quiet.Logger, quiet.Hooks = nil, nil
			cl, err := kgo.NewClient(quiet.Options(append([]kgo.Opt{kgo.ConsumerGroup(cfg.Prefix + ".doctor")}, opts...)...)...)
			if err != nil {
				return preflight.NotSeen(err, "run a released version")
			}
			defer cl.Close()
			if value := cl.OptValue(option); value != want {
				return preflight.Failed(fmt.Sprintf("not %s: the clients have %v", words, value), words, "run a released version")
			}
			return preflight.Passed(words + ", read back from a client; no setting changes it")
		})
	}
	return []preflight.Check{
		read("C01", kgo.FetchIsolationLevel, int8(1), "isolation.level=read_committed"), // as the protocol numbers it
		read("C02", kgo.ConsumeStartOffset, kgo.NewOffset().AtStart(), "without a commit, from the oldest record"),
		read("C03", kgo.ConsumeResetOffset, kgo.NoResetOffset(), "no jump from a position that is lost"),
		read("C06", kgo.DisableAutoCommit, true, "enable.auto.commit=false"),
	}
}

// Forever is how long a record stays where nothing deletes it.
const Forever = time.Duration(math.MaxInt64)

// Lingers returns how long a record of one of the pipeline's topics can be read:
// its retention, and the segment that it stands in, which is deleted as a whole.
func Lingers(ctx context.Context, cfg Config, name string) (time.Duration, error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return 0, fmt.Errorf("create the client that looks at the cluster: %w", err)
	}
	defer cl.Close()
	topic := cfg.Topic(name)
	o, err := observe(ctx, cl, cfg, []string{topic})
	if err != nil {
		return 0, cfg.Denied(ctx, err)
	}
	if _, ok := o.topics[topic]; !ok {
		return 0, fmt.Errorf("%s: %w", topic, ErrNoTopic)
	}
	total := time.Duration(0)
	for _, setting := range []string{"retention.ms", "segment.ms"} {
		ms, err := strconv.ParseInt(o.settings[topic][setting], 10, 64)
		switch {
		case err != nil:
			return 0, fmt.Errorf("%s: %s is hidden", topic, setting)
		case ms < 0, ms >= int64((Forever-total)/time.Millisecond):
			return Forever, nil
		}
		total += time.Duration(ms) * time.Millisecond
	}
	return total, nil
}
