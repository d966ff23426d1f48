package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/preflight"
)

// GateOptions says what a deployment is held against.
type GateOptions struct {
	Profile string // prod or dev; dev asks for no replication
}

// What production asks of every topic.
const (
	replicationMin   = 3
	inSyncMin        = 2
	txnVersionMin    = 2 // KIP-890: below it, a delayed EndTxn can commit the next transaction
	transactionsName = "transaction.version"
)

// Gates returns the checks of the brokers and topics that a processor must
// pass before it starts. Together they look at the cluster once, and only
// read. They need Describe and DescribeConfigs on the topics, and Read on the
// manifest; what is denied is unknown, and says which right is missing.
func Gates(cfg Config, opts GateOptions) []preflight.Check {
	g := &gates{cfg: cfg, opts: opts, declared: kafka.Declared()}
	check := func(id string, run func(*observed) preflight.Finding) preflight.Check {
		return preflight.New(id, func(ctx context.Context) preflight.Finding {
			o, err := g.look(ctx)
			if err != nil {
				return preflight.NotSeen(g.cfg.Denied(ctx, err), "see that the brokers can be reached from here, and that this user may describe the topics and their configs")
			}
			return run(o)
		})
	}
	return []preflight.Check{
		check("K02", g.replication),
		check("K05", g.compaction),
		check("K09", g.appendTime),
		check("K10", g.partitions),
		check("K11", g.identity),
		preflight.New("K15", g.transactions),
	}
}

// gates shares one look at the cluster among the checks.
type gates struct {
	cfg      Config
	opts     GateOptions
	declared kafka.Spec

	seen shared[observed]
}

// look returns what the cluster has.
func (g *gates) look(ctx context.Context) (*observed, error) { return g.seen.look(ctx, g.observe) }

func (g *gates) observe(ctx context.Context) (*observed, error) {
	cl, err := kgo.NewClient(g.cfg.Options()...)
	if err != nil {
		return nil, fmt.Errorf("create the client that looks at the cluster: %w", err)
	}
	defer cl.Close()
	var names []string
	for name := range g.declared.Topics {
		names = append(names, g.cfg.Topic(name))
	}
	slices.Sort(names)
	return observe(ctx, cl, g.cfg, names)
}

const applyFix = "veltrix topics apply"

// durable are the topics whose loss players would notice.
func (g *gates) durable() []string {
	return []string{g.cfg.Topic("events"), g.cfg.Topic("notifications"), g.cfg.Topic("rejected"), g.cfg.Topic("manifest"), g.cfg.Topic("snapshots")}
}

func (g *gates) replication(o *observed) preflight.Finding {
	var unclean, few, soon, seen []string
	copies, acked := replicationMin, inSyncMin // the least of all topics
	for _, topic := range g.durable() {
		t, ok := o.topics[topic]
		if !ok {
			continue // K10 names it
		}
		settings, replicas := o.settings[topic], t.Partitions.NumReplicas()
		if settings["unclean.leader.election.enable"] == "true" {
			unclean = append(unclean, topic+": unclean.leader.election.enable=true")
		}
		inSync, err := strconv.Atoi(settings["min.insync.replicas"])
		if err != nil {
			return preflight.NotSeen(fmt.Errorf("%s: min.insync.replicas is hidden", topic), "grant DescribeConfigs on the topics")
		}
		if replicas < replicationMin {
			few = append(few, fmt.Sprintf("%s: %d", topic, replicas))
		}
		if inSync < inSyncMin {
			soon = append(soon, fmt.Sprintf("%s: %d", topic, inSync))
		}
		copies, acked = min(copies, replicas), min(acked, inSync)
		seen = append(seen, fmt.Sprintf("%s: %d replicas, min in sync %d", topic, replicas, inSync))
	}
	wrong := unclean
	if g.opts.Profile == "prod" && len(few) > 0 {
		wrong = append(wrong, fmt.Sprintf("only %d replicas (%s)", copies, strings.Join(few, ", ")))
	}
	if g.opts.Profile == "prod" && len(soon) > 0 {
		wrong = append(wrong, fmt.Sprintf("only min.insync.replicas=%d (%s)", acked, strings.Join(soon, ", ")))
	}
	f := preflight.Passed(strings.Join(seen, "; "))
	if len(wrong) > 0 {
		fix := applyFix + " --profile " + g.opts.Profile
		if g.opts.Profile == "prod" && copies < replicationMin {
			fix += "; replicas are added by kafka-reassign-partitions"
		}
		f = preflight.Failed(strings.Join(wrong, "; "), "3 replicas, min.insync.replicas 2 (profile prod), no unclean election", fix)
	}
	if g.opts.Profile != "prod" {
		if f.State == preflight.Pass {
			f.Observed = "profile " + g.opts.Profile + " asks for no replication; " + f.Observed
		}
		if len(few)+len(soon) > 0 {
			f.Production = fmt.Sprintf("three brokers, 3 replicas and min.insync.replicas 2 for every topic; here %d and %d: one broker that dies takes clues with it", copies, acked)
		}
	}
	return f
}

// setting reads a setting of events; ok is false with a finding where it
// cannot be read.
func (g *gates) setting(o *observed, name string) (value string, f preflight.Finding, ok bool) {
	events := g.cfg.Topic("events")
	if _, exists := o.topics[events]; !exists {
		return "", preflight.Skipped(events + " does not exist: see K10"), false
	}
	value = o.settings[events][name]
	if value == "" {
		return "", preflight.NotSeen(fmt.Errorf("%s: %s is hidden", events, name), "grant DescribeConfigs on "+events), false
	}
	return value, preflight.Finding{}, true
}

func (g *gates) compaction(o *observed) preflight.Finding {
	const name = "cleanup.policy"
	value, f, ok := g.setting(o, name)
	switch {
	case !ok:
		return f
	case value != "delete":
		return preflight.Failed(name+"="+value, "delete alone",
			fmt.Sprintf("kafka-configs --alter --entity-type topics --entity-name %s --add-config cleanup.policy=delete, then find who set it", g.cfg.Topic("events")))
	default:
		return preflight.Passed(name + "=" + value)
	}
}

func (g *gates) appendTime(o *observed) preflight.Finding {
	const name = "message.timestamp.type"
	value, f, ok := g.setting(o, name)
	switch {
	case !ok:
		return f
	case value != "LogAppendTime":
		return preflight.Failed(name+"="+value, "LogAppendTime", applyFix)
	default:
		return preflight.Passed(name + "=" + value)
	}
}

func (g *gates) partitions(o *observed) preflight.Finding {
	var missing, other []string
	for _, name := range slices.Sorted(maps.Keys(g.declared.Topics)) {
		topic := g.cfg.Topic(name)
		t, ok := o.topics[topic]
		if !ok {
			missing = append(missing, topic)
			continue
		}
		want := int32(1)
		if g.declared.Topics[name].Partitions == kafka.Pipeline {
			if o.manifest == nil {
				continue
			}
			want = o.manifest.Partitions
		}
		if n := int32(len(t.Partitions)); n != want {
			other = append(other, fmt.Sprintf("%s has %d instead of %d", topic, n, want))
		}
	}
	switch {
	case len(other) > 0:
		return preflight.Failed(strings.Join(other, "; "), "the count the manifest pins, on every topic of the pipeline",
			"take the processors out of service: events written since then may lie on the wrong partition; move to another prefix with the count you want and replay into it")
	case len(missing) > 0:
		return preflight.Failed("missing: "+strings.Join(missing, ", "), "every declared topic", applyFix)
	case o.manifest == nil:
		return preflight.Failed("no manifest", "a manifest that pins the partition count", applyFix)
	default:
		return preflight.Passed(fmt.Sprintf("%d partitions", o.manifest.Partitions))
	}
}

func (g *gates) identity(o *observed) preflight.Finding {
	if o.manifest == nil {
		return preflight.Skipped("no manifest yet: see K10")
	}
	changes := o.againstManifest(g.cfg.Topic("events"), o.manifest.Partitions)
	if len(changes) == 0 {
		return preflight.Passed("cluster " + o.cluster + ", topic ID " + o.manifest.TopicID)
	}
	c := changes[0]
	return preflight.Failed(c.Setting+" "+orNone(c.To), c.Setting+" "+orNone(c.From)+", which the manifest pins", c.Reason)
}

// transactions asks every broker for the level that is finalised; the levels
// it supports prove nothing.
func (g *gates) transactions(ctx context.Context) preflight.Finding {
	levels, away, err := finalizedLevels(ctx, g.cfg, transactionsName)
	if err != nil {
		return preflight.NotSeen(err, "see that every broker can be reached from here")
	}
	var low, seen []string
	for _, node := range slices.Sorted(maps.Keys(levels)) {
		text := fmt.Sprintf("broker %d: %s=%d", node, transactionsName, levels[node])
		seen = append(seen, text)
		if levels[node] < txnVersionMin {
			low = append(low, text)
		}
	}
	f := preflight.Passed(strings.Join(seen, ", "))
	switch {
	case len(low) > 0:
		f = preflight.Failed(strings.Join(low, ", ")+" (finalized)", fmt.Sprintf("%s ≥ %d on every broker", transactionsName, txnVersionMin),
			"Kafka 4.0 or newer on every broker, then kafka-features --bootstrap-server … upgrade --feature transaction.version=2")
	case len(away) > 0:
		f = preflight.NotSeen(errors.New(away[0].Where+" did not answer"), away[0].Fix)
	}
	f.Away = away
	return f
}

// finalizedLevels returns a feature's finalised level at each broker, 0 where the
// broker names none, and the brokers that do not answer.
func finalizedLevels(ctx context.Context, cfg Config, feature string) (levels map[int32]int16, away []preflight.Unreachable, err error) {
	cl, err := kgo.NewClient(cfg.Options(kgo.DialTimeout(askTimeout), kgo.RequestTimeoutOverhead(askTimeout))...)
	if err != nil {
		return nil, nil, fmt.Errorf("create the client that asks for features: %w", err)
	}
	defer cl.Close()
	brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list the brokers: %w", err)
	}
	levels = map[int32]int16{}
	for _, b := range brokers {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "veltrix", "1"
		asking, cancel := share(ctx)
		answer, err := cl.Broker(int(b.NodeID)).Request(asking, req)
		cancel()
		if err != nil { // not tried again: what is away is away
			away = append(away, brokerAway(b.NodeID, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), err))
			continue
		}
		resp := answer.(*kmsg.ApiVersionsResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return nil, nil, fmt.Errorf("ask broker %d for its features: %w", b.NodeID, err)
		}
		levels[b.NodeID] = 0
		for _, f := range resp.FinalizedFeatures {
			if f.Name == feature {
				levels[b.NodeID] = f.MaxVersionLevel
			}
		}
	}
	return levels, away, nil
}
