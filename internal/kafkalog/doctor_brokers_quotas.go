package kafkalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/preflight"
)

// throttled notes the longest time that a broker asked this look to hold back.
type throttled struct{ longest atomic.Int64 }

var _ kgo.HookBrokerThrottle = &throttled{}

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (t *throttled) OnBrokerThrottle(_ kgo.BrokerMetadata, interval time.Duration, _ bool) {
	for {
		old := t.longest.Load()
		if int64(interval) <= old || t.longest.CompareAndSwap(old, int64(interval)) {
			return
		}
	}
}

// Anonymous is the user of a connection that names none, as brokers call it.
const Anonymous = "ANONYMOUS"

// quotas is K14. A quota that applies is a warning, since what the pipeline needs
// depends on how many play; one that holds back even this look fails.
func (d *brokerDoctor) quotas(ctx context.Context) (preflight.Finding, error) {
	cl, err := d.client()
	if err != nil {
		return preflight.Finding{}, err
	}
	defer cl.Close()
	described, err := kadm.NewClient(cl).DescribeClientQuotas(ctx, false, nil)
	if err == nil {
		_, _, err = d.lookAtBrokers(ctx) // its answers tell of throttling too
	}
	if err != nil {
		return preflight.Finding{}, fmt.Errorf("read the quotas: %w", err)
	}
	var apply []string
	for _, q := range described {
		if d.ours(q.Entity) {
			apply = append(apply, quotaText(q))
		}
	}
	slices.Sort(apply)
	expected := fmt.Sprintf("no quota on the user %q and the client IDs %s.*", d.opts.User, d.cfg.Prefix)
	const fix = "kafka-configs --alter --delete-config … on the entity named here, or raise it well above what the pipeline writes and reads"
	seen := "quotas: " + strings.Join(apply, "; ")
	if held := time.Duration(d.throttled.longest.Load()); held > 0 {
		return preflight.Failed(fmt.Sprintf("a broker held this look back for %v; %s", held, seen), expected, fix), nil
	}
	if len(apply) > 0 {
		return preflight.Finding{State: preflight.Warn, Observed: seen + "; this look was not held back", Expected: expected, Fix: fix}, nil
	}
	return preflight.Passed(fmt.Sprintf("none of %d quotas applies to us, and no answer was held back", len(described))), nil
}

// ours says that a quota applies to the pipeline's clients, as far as can be told:
// to its user, or a user that is not known; to its client IDs; to an address, which
// the brokers alone know.
func (d *brokerDoctor) ours(entity kadm.ClientQuotaEntity) bool {
	for _, c := range entity {
		if c.Name == nil {
			continue // the default, which is everybody's
		}
		switch c.Type {
		case "user":
			if d.opts.User != "" && *c.Name != d.opts.User {
				return false
			}
		case "client-id":
			if !strings.HasPrefix(*c.Name, d.cfg.Prefix+".") {
				return false
			}
		}
	}
	return true
}

func quotaText(q kadm.DescribedClientQuota) string {
	var who, what []string
	for _, c := range q.Entity {
		name := "(default)"
		if c.Name != nil {
			name = *c.Name
		}
		who = append(who, c.Type+" "+name)
	}
	for _, v := range q.Values {
		what = append(what, fmt.Sprintf("%s=%g", v.Key, v.Value))
	}
	slices.Sort(what)
	return strings.Join(who, ", ") + ": " + strings.Join(what, " ")
}
