package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/preflight"
)

// The brokers' settings that are held against something.
const (
	rackName               = "broker.rack"
	autoCreateName         = "auto.create.topics.enable"
	offsetsReplicationName = "offsets.topic.replication.factor"
	txnReplicationName     = "transaction.state.log.replication.factor"
	idExpirationName       = "transactional.id.expiration.ms"
	txnMaxName             = "transaction.max.timeout.ms"
	cleanupName            = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
	metadataMaxName        = "offset.metadata.max.bytes"
)

// What is asked of them.
const (
	// idExpirationMin is a night without an event: a transactional ID that is idle
	// for longer than the brokers' expiration is forgotten, and its fence with it.
	idExpirationMin     = 24 * time.Hour
	idExpirationDefault = 7 * 24 * time.Hour
	cleanupDefault      = 10 * time.Second
)

// values are a setting's values, each with the brokers that have it. A broker that
// is away has none; one that hides it is an error.
func (a *answers) values(c *cluster, name string) (map[string][]int32, error) {
	byValue := map[string][]int32{}
	for _, node := range slices.Sorted(maps.Keys(c.nodes)) {
		settings, answered := a.settings[node]
		value, shown := settings[name]
		switch {
		case answered && shown:
			byValue[value] = append(byValue[value], node)
		case answered:
			return nil, fmt.Errorf("broker %d hides %s: %w", node, name, errDenied)
		case a.denied == nil && len(a.served[c.nodes[node]]) > 0:
			return nil, fmt.Errorf("broker %d was reached on no connection: %s leads to others (see K01)", node, c.nodes[node])
		}
	}
	return byValue, nil
}

// settled holds a setting of every broker against a judgement, which is "" where
// the value is right.
func (d *brokerDoctor) settled(c *cluster, a *answers, name string, judge func(int64) string) (seen, wrong []string, err error) {
	byValue, err := a.values(c, name)
	if err != nil {
		return nil, nil, err
	}
	for _, value := range slices.Sorted(maps.Keys(byValue)) {
		text := fmt.Sprintf("%s=%s at brokers %s", name, value, nodeList(byValue[value]))
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", text, err)
		}
		seen = append(seen, text)
		if why := judge(n); why != "" {
			wrong = append(wrong, text+": "+why)
		}
	}
	return seen, wrong, nil
}

// internalTopics is K03.
func (d *brokerDoctor) internalTopics(ctx context.Context) (preflight.Finding, error) {
	c, err := d.lookAtCluster(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	var few, seen []string
	least := replicationMin
	for _, topic := range []struct{ name, setting string }{{offsetsTopic, offsetsReplicationName}, {transactionTopic, txnReplicationName}} {
		replicas, text, err := d.copies(ctx, c, topic.name, topic.setting)
		if err != nil {
			return preflight.Finding{}, err
		}
		seen, least = append(seen, text), min(least, replicas)
		if replicas < replicationMin {
			few = append(few, text)
		}
	}
	f := preflight.Passed(strings.Join(seen, "; "))
	switch {
	case len(few) == 0:
	case d.opts.Profile == "prod":
		f = preflight.Failed(strings.Join(few, "; "), "3 replicas of "+offsetsTopic+" and "+transactionTopic,
			"kafka-reassign-partitions to three replicas, of the topics that exist; "+offsetsReplicationName+"=3 and "+txnReplicationName+"=3 on every broker before they are made")
	default:
		f.Observed = "profile " + d.opts.Profile + " asks for no replication; " + f.Observed
		f.Production = fmt.Sprintf("3 replicas of %s and %s; here %d: the broker that dies takes commits and fences with it", offsetsTopic, transactionTopic, least)
	}
	return f, nil
}

// copies returns the replicas of the partition that has fewest, or those that the
// brokers would make the topic with.
func (d *brokerDoctor) copies(ctx context.Context, c *cluster, topic, setting string) (int, string, error) {
	t := c.topics[topic]
	switch {
	case c.exists(topic):
		replicas := math.MaxInt
		for i := range t.partitions {
			replicas = min(replicas, len(t.partitions[i].Replicas))
		}
		return replicas, fmt.Sprintf("%s: %d replicas", topic, replicas), nil
	case t.err != nil && !errors.Is(t.err, kerr.UnknownTopicOrPartition):
		return 0, "", fmt.Errorf("read %s: %w", topic, t.err)
	}
	_, a, err := d.lookAtBrokers(ctx)
	if err != nil {
		return 0, "", err
	}
	if a.denied != nil {
		return 0, "", a.denied
	}
	replicas := math.MaxInt
	_, _, err = d.settled(c, a, setting, func(n int64) string {
		replicas = min(replicas, int(n))
		return ""
	})
	if err != nil {
		return 0, "", fmt.Errorf("%s does not exist yet, and %w", topic, err)
	}
	if replicas == math.MaxInt {
		return 0, "", fmt.Errorf("%s does not exist yet, and no broker says how it would be made", topic)
	}
	return replicas, fmt.Sprintf("%s: none yet, to be made with %d replicas (%s)", topic, replicas, setting), nil
}

// autoCreate is K04.
func (d *brokerDoctor) autoCreate(ctx context.Context) (preflight.Finding, error) {
	c, a, err := d.lookAtBrokers(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	byValue, err := a.values(c, autoCreateName)
	if err != nil {
		return preflight.Finding{}, err
	}
	var seen, wrong []string
	for _, value := range slices.Sorted(maps.Keys(byValue)) {
		text := fmt.Sprintf("%s=%s at brokers %s", autoCreateName, value, nodeList(byValue[value]))
		if seen = append(seen, text); value != "false" {
			wrong = append(wrong, text)
		}
	}
	if len(wrong) > 0 && d.opts.Profile != "prod" { // as Kafka comes: nobody who tries it out has to change that
		f := a.finding(seen, nil, "", "")
		f.Production = autoCreateName + "=false on every broker: a sender's typing error makes a topic that nobody reads"
		return f, nil
	}
	return a.finding(seen, wrong, autoCreateName+"=false on every broker", autoCreateName+"=false in every broker's server.properties, then restart them one by one"), nil
}

// transactionLimits is K13.
func (d *brokerDoctor) transactionLimits(ctx context.Context) (preflight.Finding, error) {
	c, a, err := d.lookAtBrokers(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	ours := max(d.opts.TransactionTimeout, manifestTxnTimeout)
	soon := false
	seen, wrong, err := d.settled(c, a, idExpirationName, func(ms int64) string {
		switch {
		case ms < idExpirationMin.Milliseconds():
			return "an ID that rests for a night is forgotten"
		case ms < idExpirationDefault.Milliseconds():
			soon = true
		}
		return ""
	})
	if err != nil {
		return preflight.Finding{}, err
	}
	more, short, err := d.settled(c, a, txnMaxName, func(ms int64) string {
		if ms < ours.Milliseconds() {
			return fmt.Sprintf("a transaction may last %v (processor.transaction_timeout, or the manifest's), and is refused", ours)
		}
		return ""
	})
	if err != nil {
		return preflight.Finding{}, err
	}
	f := a.finding(append(seen, more...), append(wrong, short...),
		fmt.Sprintf("%s of 7 days, and %s of at least %v", idExpirationName, txnMaxName, ours), "leave both at Kafka's defaults (7 days, 15 minutes)")
	if f.State == preflight.Pass && soon {
		f.State, f.Expected, f.Fix = preflight.Warn, idExpirationName+" of 7 days, longer than any rest of a hunt", "leave it at Kafka's default (7 days)"
	}
	return f, nil
}

// commitLimits is K16.
func (d *brokerDoctor) commitLimits(ctx context.Context) (preflight.Finding, error) {
	c, a, err := d.lookAtBrokers(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	rarely := max(cleanupDefault, d.opts.TransactionTimeout)
	seen, wrong, err := d.settled(c, a, cleanupName, func(ms int64) string {
		if ms > rarely.Milliseconds() {
			return fmt.Sprintf("after a crash, clues wait for as long beyond processor.transaction_timeout (%v)", d.opts.TransactionTimeout)
		}
		return ""
	})
	if err != nil {
		return preflight.Finding{}, err
	}
	longest := stampMax()
	more, small, err := d.settled(c, a, metadataMaxName, func(bytes int64) string {
		if bytes < int64(longest) {
			return fmt.Sprintf("a commit's stamp has up to %d bytes", longest)
		}
		return ""
	})
	if err != nil {
		return preflight.Finding{}, err
	}
	return a.finding(append(seen, more...), append(wrong, small...),
		fmt.Sprintf("%s of at most %v, and %s of at least %d", cleanupName, rarely, metadataMaxName, longest), "leave both at Kafka's defaults (10 s, 4,096 bytes)"), nil
}

// stampMax is how many bytes the longest stamp has that a commit can carry.
func stampMax() int {
	id := strings.Repeat("x", 22) // a UUID as Kafka writes it
	token := engine.Token{
		ClusterID: id, TopicID: id, Partitions: math.MaxInt32, RulesVersion: math.MaxInt32,
		RulesDigest: strings.Repeat("f", 64), Buckets: math.MaxInt32,
	}
	return len(engine.Stamp{Token: token.String(), Start: math.MaxInt64, Chain: math.MaxUint64, Digest: math.MaxUint64}.String())
}
