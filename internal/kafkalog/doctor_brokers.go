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
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/preflight"
)

// BrokerOptions says what the brokers are held against.
type BrokerOptions struct {
	Profile            string        // prod or dev; dev asks for no replication
	TransactionTimeout time.Duration // the processor's
	SnapshotInterval   time.Duration // the processor's; 0: it takes none
	User               string        // as the brokers call these clients; empty: not known
	// Clocks reads the clocks of the servers beside the brokers; nil: there are none.
	Clocks func(context.Context) ([]Clock, error)
}

// BrokerChecks returns the checks of the brokers themselves. Together they look
// once at the metadata, once at every broker and once at the times of events, and
// only read. They need DescribeConfigs and Describe on the cluster and the events
// topic; what is denied is unknown.
func BrokerChecks(cfg Config, opts BrokerOptions) []preflight.Check {
	d := &brokerDoctor{cfg: cfg, opts: opts}
	check := func(id, embedded string, run func(context.Context) (preflight.Finding, error)) preflight.Check {
		return preflight.New(id, func(ctx context.Context) preflight.Finding {
			if embedded != "" && d.embedded(ctx) {
				return preflight.Skipped("the embedded broker " + embedded)
			}
			f, err := run(ctx)
			if err != nil {
				return preflight.NotSeen(err, brokersFix(err))
			}
			return f
		})
	}
	return []preflight.Check{
		check("K01", "is alone", d.addresses),
		check("K03", "keeps no topics of its own", d.internalTopics),
		check("K04", "has no such setting", d.autoCreate),
		check("K06", "", d.retention),
		check("K07", "", d.oldTimes),
		check("K08", "", d.clocks),
		check("K13", "has no such settings", d.transactionLimits),
		check("K14", "throttles nobody", d.quotas),
		check("K16", "has no such settings", d.commitLimits),
	}
}

// grantBrokers names the rights that these checks need.
const grantBrokers = "grant this user Describe and DescribeConfigs on the cluster, and both on the events topic (kafka-acls --add --allow-principal … --operation DescribeConfigs --cluster)"

func brokersFix(err error) string {
	for _, denied := range []error{errDenied, kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed} {
		if errors.Is(err, denied) {
			return grantBrokers
		}
	}
	return "see that the brokers can be reached from here, and that this user may describe them"
}

// errDenied is wrapped where a broker hides a setting.
var errDenied = errors.New("denied")

// Bounds of a look at the brokers.
const (
	askTimeout       = 5 * time.Second // of one question to one broker
	silence          = 2 * time.Second // after which another broker is asked, where any will do
	connectionsEach  = 4               // to an advertised address: more than a balancer sends to the right broker by chance
	connectionsMax   = 32              // at a time
	offsetsTopic     = "__consumer_offsets"
	transactionTopic = "__transaction_state"
)

// brokerSettings are what the checks want to know of each broker; the first three
// only say which one answered.
var brokerSettings = []string{
	"node.id", "broker.id", rackName, autoCreateName, offsetsReplicationName, txnReplicationName,
	idExpirationName, txnMaxName, cleanupName, metadataMaxName,
}

// brokerDoctor shares its looks among the checks.
type brokerDoctor struct {
	cfg  Config
	opts BrokerOptions

	cluster   shared[cluster]
	answers   shared[answers]
	recorded  shared[recorded]
	throttled throttled
}

// shared is a look that several checks share. One that failed is made again by
// the next check, whose deadline is its own.
type shared[T any] struct {
	mu   sync.Mutex
	seen *T
}

func (s *shared[T]) look(ctx context.Context, take func(context.Context) (*T, error)) (*T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen != nil {
		return s.seen, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	seen, err := take(ctx)
	if err == nil {
		s.seen = seen
	}
	return seen, err
}

// client is one that gives up soon, and notes how the brokers hold it back.
func (d *brokerDoctor) client(opts ...kgo.Opt) (*kgo.Client, error) {
	noted := d.cfg
	noted.Hooks = append(slices.Clone(d.cfg.Hooks), &d.throttled)
	cl, err := kgo.NewClient(noted.Options(append([]kgo.Opt{
		kgo.DialTimeout(silence), kgo.RequestTimeoutOverhead(silence), kgo.RequestRetries(2),
	}, opts...)...)...)
	if err != nil {
		return nil, fmt.Errorf("create the client that looks at the brokers: %w", err)
	}
	return cl, nil
}

// cluster is what the brokers say of themselves, and of three topics.
type cluster struct {
	id       string           // empty where the brokers tell none
	nodes    map[int32]string // the advertised address of each broker
	gone     []int32          // brokers that have replicas, and are not in the metadata
	topics   map[string]clusterTopic
	settings map[string]string // of events; nil where it does not exist
	hidden   error             // why they could not be read
}

type clusterTopic struct {
	err        error
	partitions []kmsg.MetadataResponseTopicPartition // in the order of their numbers
}

// ids are the partitions' numbers.
func (t clusterTopic) ids() (ids []int32) {
	for i := range t.partitions {
		ids = append(ids, t.partitions[i].Partition)
	}
	return ids
}

// embedded reports whether these are no brokers that anybody runs, but the one of
// veltrix up, which has fewer settings.
func (d *brokerDoctor) embedded(ctx context.Context) bool {
	if d.cfg.BootID != "" {
		return true
	}
	_, a, err := d.lookAtBrokers(ctx)
	if err != nil {
		return false
	}
	for _, settings := range a.settings {
		if settings[rackName] == kafka.EmbeddedRack {
			return true
		}
	}
	return false
}

func (d *brokerDoctor) lookAtCluster(ctx context.Context) (*cluster, error) {
	return d.cluster.look(ctx, func(ctx context.Context) (*cluster, error) {
		cl, err := d.client()
		if err != nil {
			return nil, err
		}
		defer cl.Close()
		events := d.cfg.Topic("events")
		c, err := newCluster(ctx, cl, events, offsetsTopic, transactionTopic)
		if err != nil || !c.exists(events) {
			return c, err
		}
		described, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, events)
		if err == nil {
			_, err = described.On(events, func(r *kadm.ResourceConfig) error { return r.Err })
		}
		if err != nil { // others are not about events
			c.hidden = fmt.Errorf("read the settings of %s: %w", events, err)
			return c, ctx.Err()
		}
		c.settings = map[string]string{}
		for _, s := range described[0].Configs {
			c.settings[s.Key] = s.MaybeValue()
		}
		return c, nil
	})
}

func idOf(meta *kmsg.MetadataResponse) string {
	if meta.ClusterID == nil {
		return ""
	}
	return *meta.ClusterID
}

// newCluster reads the metadata. kadm would give nothing where one of the topics is
// denied.
func newCluster(ctx context.Context, cl *kgo.Client, topics ...string) (*cluster, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
	}
	meta, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("read the brokers: %w", err)
	}
	c := &cluster{id: idOf(meta), nodes: map[int32]string{}, topics: map[string]clusterTopic{}}
	for _, b := range meta.Brokers {
		c.nodes[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	for _, t := range meta.Topics {
		if t.Topic == nil {
			continue
		}
		slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return int(a.Partition - b.Partition) })
		c.topics[*t.Topic] = clusterTopic{kerr.ErrorForCode(t.ErrorCode), t.Partitions}
		for i := range t.Partitions {
			for _, node := range t.Partitions[i].Replicas {
				if _, there := c.nodes[node]; !there && !slices.Contains(c.gone, node) {
					c.gone = append(c.gone, node)
				}
			}
		}
	}
	slices.Sort(c.gone)
	return c, nil
}

func (c *cluster) exists(topic string) bool {
	t := c.topics[topic]
	return t.err == nil && len(t.partitions) > 0
}

// events says whether the topic is there; it is an error where that is hidden.
func (d *brokerDoctor) events(c *cluster) (exists bool, err error) {
	topic := d.cfg.Topic("events")
	if err := c.topics[topic].err; err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return false, fmt.Errorf("read %s: %w", topic, err)
	}
	return c.exists(topic), c.hidden
}

// answers are what brokers said on new connections of their own.
type answers struct {
	served   map[string][]int32          // by advertised address: which broker each connection led to
	failed   map[string][]error          // by advertised address
	settings map[int32]map[string]string // by broker
	denied   error
	away     []preflight.Unreachable
}

// strange stands for a broker that is none of those in the metadata.
const strange int32 = -1

// lookAtBrokers opens several new connections to each advertised address, and has
// each say which broker is at its other end, and how that is set.
func (d *brokerDoctor) lookAtBrokers(ctx context.Context) (*cluster, *answers, error) {
	c, err := d.lookAtCluster(ctx)
	if err != nil {
		return nil, nil, err
	}
	a, err := d.answers.look(ctx, func(ctx context.Context) (*answers, error) {
		a := &answers{served: map[string][]int32{}, failed: map[string][]error{}, settings: map[int32]map[string]string{}}
		nodes, each := slices.Sorted(maps.Keys(c.nodes)), connectionsEach
		if len(nodes) == 1 {
			each = 1
		}
		var mu sync.Mutex
		var g errgroup.Group
		g.SetLimit(connectionsMax)
		for range each {
			for _, node := range nodes {
				g.Go(func() error {
					by, settings, err := d.ask(ctx, c, c.nodes[node], nodes)
					mu.Lock()
					defer mu.Unlock()
					a.note(c.nodes[node], by, settings, err)
					return nil
				})
			}
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		a.miss(c)
		return a, nil
	})
	return c, a, err
}

func (a *answers) note(addr string, by int32, settings map[string]string, err error) {
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		a.denied = err
	case err != nil:
		a.failed[addr] = append(a.failed[addr], err)
	default:
		a.served[addr] = append(a.served[addr], by)
		if by != strange {
			a.settings[by] = settings
		}
	}
}

// miss names the brokers that answered on no connection.
func (a *answers) miss(c *cluster) {
	for _, node := range slices.Sorted(maps.Keys(c.nodes)) {
		addr := c.nodes[node]
		if _, answered := a.settings[node]; answered || len(a.served[addr]) > 0 || len(a.failed[addr]) == 0 {
			continue
		}
		a.away = append(a.away, brokerAway(node, addr, a.failed[addr][0]))
	}
	for _, node := range c.gone {
		a.away = append(a.away, brokerAway(node, "", errors.New("it has replicas, and the other brokers do not know where it is")))
	}
}

// brokerAway is a broker that does not answer, under one name for all checks.
func brokerAway(node int32, addr string, err error) preflight.Unreachable {
	u := preflight.Unreachable{
		Server: fmt.Sprintf("kafka broker %d", node), Error: err.Error(),
		Fix: fmt.Sprintf("start the broker with node.id %d, or see that its advertised address can be reached from here", node),
	}
	if u.Where = u.Server; addr != "" {
		u.Where += " at " + addr
	}
	return u
}

// share is half of the time that is left: a broker that says nothing must not take
// all of it, since the others tell more.
func share(ctx context.Context) (context.Context, context.CancelFunc) {
	bound := askTimeout
	if end, ok := ctx.Deadline(); ok {
		bound = min(bound, time.Until(end)/2)
	}
	return context.WithTimeout(ctx, bound)
}

// ask makes a connection to an address and asks for the settings of all brokers:
// a broker answers for itself alone, and so says which one it is. Another cluster
// has brokers of the same numbers: it is told by its ID, over the same connection.
func (d *brokerDoctor) ask(ctx context.Context, c *cluster, addr string, nodes []int32) (by int32, settings map[string]string, err error) {
	ctx, cancel := share(ctx)
	defer cancel()
	cl, err := d.client(kgo.SeedBrokers(addr), kgo.DialTimeout(askTimeout), kgo.RequestTimeoutOverhead(askTimeout))
	if err != nil {
		return 0, nil, err
	}
	defer cl.Close()
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, node := range nodes {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(node)), brokerSettings
		req.Resources = append(req.Resources, r)
	}
	broker := cl.SeedBrokers()[0]
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the broker at %s: %w", addr, err)
	}
	whose := kmsg.NewPtrMetadataRequest()
	whose.Topics = []kmsg.MetadataRequestTopic{} // of none
	meta, err := broker.Request(ctx, whose)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the broker at %s for its cluster: %w", addr, err)
	}
	by = strange
	if id := idOf(meta.(*kmsg.MetadataResponse)); id != c.id {
		return by, nil, nil
	}
	for _, r := range answer.(*kmsg.DescribeConfigsResponse).Resources {
		switch err := kerr.ErrorForCode(r.ErrorCode); {
		case errors.Is(err, kerr.InvalidRequest): // another's
		case err != nil:
			return 0, nil, fmt.Errorf("ask the broker at %s for its settings: %w", addr, err)
		default:
			node, err := strconv.ParseInt(r.ResourceName, 10, 32)
			if err != nil {
				return 0, nil, fmt.Errorf("the broker at %s calls itself %q", addr, r.ResourceName)
			}
			by, settings = int32(node), map[string]string{}
			for _, s := range r.Configs {
				if s.Value != nil {
					settings[s.Name] = *s.Value
				}
			}
		}
	}
	return by, settings, nil
}

// addresses is K01.
func (d *brokerDoctor) addresses(ctx context.Context) (preflight.Finding, error) {
	c, a, err := d.lookAtBrokers(ctx)
	if err != nil {
		return preflight.Finding{}, err
	}
	if len(c.nodes) == 1 {
		f := preflight.Skipped("one broker")
		f.Away = a.away
		return f, nil
	}
	at := map[string][]int32{} // by address
	for node, addr := range c.nodes {
		at[addr] = append(at[addr], node)
	}
	var wrong, right []string
	for _, addr := range slices.Sorted(maps.Keys(at)) {
		slices.Sort(at[addr])
		served := slices.Compact(slices.Sorted(slices.Values(a.served[addr])))
		text := fmt.Sprintf("%s served nodes %s over %d connections", addr, nodeList(served), len(a.served[addr]))
		foreign := slices.ContainsFunc(served, func(node int32) bool { return node != at[addr][0] })
		switch {
		case len(at[addr]) > 1 && len(served) > 0:
			wrong = append(wrong, fmt.Sprintf("brokers %s all advertise one address: %s", nodeList(at[addr]), text))
		case len(at[addr]) > 1:
			wrong = append(wrong, fmt.Sprintf("brokers %s all advertise %s", nodeList(at[addr]), addr))
		case foreign:
			wrong = append(wrong, text+fmt.Sprintf(", and is broker %d's", at[addr][0]))
		case len(served) > 0:
			right = append(right, fmt.Sprintf("%s is broker %d (%d connections)", addr, at[addr][0], len(a.served[addr])))
		}
	}
	if len(wrong) > 0 {
		f := preflight.Failed(strings.Join(wrong, "; "), "each advertised address leads to its own broker, and to no other",
			"one advertised address per broker (advertised.listeners); keep the load balancer for bootstrap alone (kafka.brokers)")
		f.Away = a.away
		return f, nil
	}
	for _, addr := range slices.Sorted(maps.Keys(at)) {
		if tries := a.failed[addr]; len(tries) > 0 && len(a.served[addr]) > 0 {
			return preflight.Finding{}, fmt.Errorf("%d of %d connections to %s failed: %w", len(tries), len(tries)+len(a.served[addr]), addr, tries[0])
		}
	}
	return a.finding(right, nil, "", ""), nil
}

// finding is what a check of every broker says: what is wrong at one is wrong, and
// what could not be seen at another is not right.
func (a *answers) finding(seen, wrong []string, expected, fix string) preflight.Finding {
	f := preflight.Passed(strings.Join(seen, "; "))
	switch {
	case len(wrong) > 0:
		f = preflight.Failed(strings.Join(wrong, "; "), expected, fix)
	case a.denied != nil:
		f = preflight.NotSeen(a.denied, grantBrokers)
	case len(a.away) > 0:
		f = preflight.NotSeen(errors.New(a.away[0].Where+" did not answer"), a.away[0].Fix)
	}
	f.Away = a.away
	return f
}

// nodeList writes brokers as "0,1,2".
func nodeList(nodes []int32) string {
	var parts []string
	for _, node := range nodes {
		if node == strange {
			parts = append(parts, "none of these")
			continue
		}
		parts = append(parts, strconv.Itoa(int(node)))
	}
	return strings.Join(parts, ",")
}
