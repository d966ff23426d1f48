package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/lag"
	"github.com/veltrix/veltrix/internal/preflight"
)

// TransactionCheck looks for transactions that outlive their timeout and hold back
// what others wrote to the topics that the services read (K12). It needs Describe on
// the topics; where something is held back, also Read on them and Describe on the
// transactional IDs, and what is denied then is unknown.
func TransactionCheck(cfg Config) preflight.Check {
	return preflight.New("K12", func(ctx context.Context) preflight.Finding {
		const fix = "see that every broker can be reached from here, and that this user may read the topics and describe the transactional IDs"
		r, err := NewReader(cfg)
		if err != nil {
			return preflight.NotSeen(err, fix)
		}
		defer r.Close()
		var hung, running []string
		var unseen []error
		seen := 0
		for _, name := range []string{"events", "notifications", "rejected"} {
			held, partitions, err := r.heldBackOf(ctx, cfg.Topic(name))
			if errors.Is(err, ErrNoTopic) {
				continue // K10 names it
			}
			seen += partitions
			unseen = append(unseen, err)
			for _, h := range held {
				switch {
				case h.transaction.Hangs(time.Now()):
					hung = append(hung, h.String())
				case h.transaction.Timeout == 0:
					unseen = append(unseen, fmt.Errorf("%s; how long it may be open is not known", h))
				default:
					running = append(running, h.String())
				}
			}
		}
		err = errors.Join(unseen...)
		switch {
		case len(hung) > 0:
			return preflight.Failed(strings.Join(hung, "; "), "every transaction ends, at the latest by its timeout",
				"end it where it was begun, or with kafka-transactions.sh abort; veltrix lag shows what it holds back")
		case err != nil:
			return preflight.NotSeen(err, fix)
		case seen == 0:
			return preflight.Skipped("the topics do not exist: see K10")
		case len(running) > 0:
			return preflight.Passed("open, and within their timeout: " + strings.Join(running, "; "))
		}
		return preflight.Passed(fmt.Sprintf("%d partitions, and nothing is held back", seen))
	})
}

// holder is a transaction and what it holds back.
type holder struct {
	topic       string
	bounds      PartitionBounds
	transaction lag.Transaction
}

func (h holder) String() string {
	return fmt.Sprintf("%s/%d stands at %d of %d: %s", h.topic, h.bounds.Partition, h.bounds.Stable, h.bounds.End, h.transaction.String())
}

// heldBackOf returns what is open in a topic, with the number of its partitions.
func (r *Reader) heldBackOf(ctx context.Context, topic string) (held []holder, partitions int, _ error) {
	all, err := r.Bounds(ctx, topic)
	if err != nil {
		return nil, 0, err
	}
	var unseen []error
	for _, b := range all {
		if b.Stable >= b.End {
			continue
		}
		open, err := r.HeldBack(ctx, topic, b.Partition)
		if err == nil && len(open) == 0 {
			err = r.unexplained(ctx, topic, b)
		}
		unseen = append(unseen, err)
		for _, t := range open {
			held = append(held, holder{topic, b, t})
		}
	}
	return held, len(all), errors.Join(unseen...)
}

// unexplained is nil if what was held back is decided meanwhile, as it is where
// somebody's transactions come and go.
func (r *Reader) unexplained(ctx context.Context, topic string, was PartitionBounds) error {
	all, err := r.Bounds(ctx, topic)
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.Partition == was.Partition && b.Stable == was.Stable && b.Stable < b.End {
			return fmt.Errorf("%s/%d stands at %d of %d, and its leader names no open transaction", topic, b.Partition, b.Stable, b.End)
		}
	}
	return nil
}
