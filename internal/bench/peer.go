package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/participant"
)

// Peer is a program that does a workload's work without Veltrix, in the order of
// arrival. How it is told what to do and says what it did is at the method args.
type Peer struct {
	Name string
	// Redis says that its states are there, to be compared. One without keeps
	// them to itself.
	Redis bool
	// AtLeastOnce: an output more than once is counted, and no error.
	AtLeastOnce bool
	// InOrder: it folds as the product does, and writes what the processor writes. That
	// is the fold in the order of arrival only where events come in order, and once.
	InOrder bool
	// Target is what the processor's rate should be, as a part of the peer's; 0: no matter.
	Target float64
	// Command makes the program, which is started once a round, with these arguments
	// behind its own.
	Command func(args []string) *exec.Cmd
}

// PeerOptions say what to measure beside which peers.
type PeerOptions struct {
	Options
	Peers   []Peer
	Clients []int // of each peer, and slots of the processor: one run for each
}

// rulesNames are the peers' names of the workloads' rules.
var rulesNames = map[string][]byte{"core": coreRules, "ten": tenRules}

// Rules compiles the workloads' rules of that name.
func Rules(name string) (participant.Program, error) {
	return (&Workload{shape: shape{rules: rulesNames[name]}}).Program()
}

// rulesName is the peers' name of the workload's rules.
func (w *Workload) rulesName() string {
	for name, text := range rulesNames {
		if bytes.Equal(text, w.rules) {
			return name
		}
	}
	panic("a workload's rules have no name")
}

// Peers interleaves rounds of the bare loop, the processor and the peers, and compares
// what each did before it returns a figure.
func Peers(ctx context.Context, rt app.Runtime, opts PeerOptions) (*PeerReport, error) {
	switch cfg := rt.Config; {
	case opts.Workload.Encoding != Structured:
		return nil, errors.New("a peer reads structured events: give no other encoding")
	case len(opts.Peers) == 0:
		return nil, errors.New("name a peer to be measured beside")
	case cfg.Kafka.TLS.Enabled || cfg.Kafka.SASL.Mechanism != "none" || cfg.Redis.TLS.Enabled || cfg.Redis.Password.Reveal() != "":
		return nil, errors.New("a peer has no certificates and no accounts: give servers on loopback without")
	case !opts.Workload.InOrder() && slices.ContainsFunc(opts.Peers, func(p Peer) bool { return p.InOrder }):
		return nil, fmt.Errorf("the events of %s come twice and out of order: leave out the peers that fold as the processor does", opts.Workload.Name)
	case len(cfg.Redis.Addrs) != 1:
		return nil, errors.New("a peer knows one Redis: give one address")
	}
	report := &PeerReport{Peers: opts.Peers}
	for _, clients := range opts.Clients {
		if clients < 1 || clients > int(opts.Partitions) {
			return nil, fmt.Errorf("measure with 1 to %d clients, as many as there are partitions, not %d", opts.Partitions, clients)
		}
		cfg := *rt.Config
		cfg.Processor.Slots = clients
		rt.Config = &cfg
		opts.Options.peers = opts.Peers
		run, err := Run(ctx, rt, opts.Options)
		if err != nil {
			return nil, err
		}
		report.Runs = append(report.Runs, run)
	}
	return report, nil
}

// beside is a peer as a variant.
type beside struct {
	Peer
	workload *Workload
}

// Name implements Variant.
func (b *beside) Name() string { return b.Peer.Name }

// Verified implements Variant: what it leaves is compared by itself, and removed.
func (*beside) Verified() bool { return false }

// args are a peer's arguments:
//
//	--brokers       addresses, by commas
//	--events        the topic, filled beforehand with structured events
//	--outputs       a topic of as many partitions, empty
//	--group         the consumer group; whatever the peer creates begins with it and a dash or a point
//	--redis         host:port or unix:///path; empty: it uses none
//	--prefix        a participant's state is at the key PREFIX:s:PARTICIPANT, and there are no others
//	--clients       clients, or threads, of the process
//	--commit-records, --commit-interval   a commit after so many, or so long
//	--records       in the topic; the peer ends by itself once they are committed
//	--rules         core or ten
//
// It writes {"event":"ready"} to its standard output once every partition has an owner
// and the first record is about to be read, and {"event":"done","records":N} after its
// last commit and its last write. It exits with 0, or with 1 and a sentence.
func (b *beside) args(p *place, records int64) []string {
	cfg, redis := p.rt.Config, ""
	if b.Redis {
		redis = cfg.Redis.Addrs[0]
	}
	return []string{
		"--brokers", strings.Join(p.kafka.Brokers, ","), "--events", p.kafka.Topic("events"), "--outputs", b.outputs(p),
		"--group", b.group(p), "--redis", redis, "--prefix", b.group(p), "--clients", strconv.Itoa(cfg.Processor.Slots),
		"--commit-records", strconv.Itoa(cfg.Processor.CommitRecords), "--commit-interval", cfg.Processor.CommitInterval.String(),
		"--records", strconv.FormatInt(records, 10), "--rules", b.workload.rulesName(),
	}
}

func (b *beside) group(p *place) string   { return p.kafka.Prefix + ".peer-" + b.Peer.Name }
func (b *beside) outputs(p *place) string { return b.group(p) + ".outputs" }

// peerPatience is how long a peer may take for one round.
const peerPatience = 30 * time.Minute

// Run implements Variant. The window is from the peer's "ready" to its "done". What it
// did is compared before the window is returned.
func (b *beside) Run(ctx context.Context, p *place, ends []int64, m *Meter) (Window, error) {
	ctx, cancel := context.WithTimeout(ctx, peerPatience)
	defer cancel()
	if err := p.createTopic(ctx, b.outputs(p)); err != nil {
		return Window{}, err
	}
	p.groups = append(p.groups, b.group(p))
	total := int64(0)
	for _, end := range ends {
		total += end
	}
	w, err := watch(ctx, b.Command(b.args(p, total)), m, total)
	if err != nil {
		return Window{}, err
	}
	w.Repeated, err = b.compare(ctx, p)
	return w, err
}

// createTopic creates one with as many partitions as the events have.
func (p *place) createTopic(ctx context.Context, name string) error {
	cl, err := kgo.NewClient(p.kafka.Options()...)
	if err != nil {
		return fmt.Errorf("create the client that creates %s: %w", name, err)
	}
	defer cl.Close()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, p.partitions, -1 // the brokers' default
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.Topics = 30_000, append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	return nil
}

// peerNames returns the peers' names, in their order.
func peerNames(peers []Peer) (names []string) {
	for _, p := range peers {
		names = append(names, p.Name)
	}
	return names
}

// ChoosePeers returns those of the names, in their order.
func ChoosePeers(all []Peer, names []string) (chosen []Peer, err error) {
	for _, name := range names {
		i := slices.IndexFunc(all, func(p Peer) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no peer %q; there are %s", name, strings.Join(peerNames(all), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
