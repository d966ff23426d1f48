package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
)

// Processor runs a process's slots: each one is a session of the group with
// its own transactional ID, replaced when its outcome becomes uncertain.
type Processor struct {
	rt      Runtime
	program participant.Program

	kafka     kafkalog.Config
	client    redis.UniversalClient
	positions *kafkalog.Positions
	reroute   *kafkalog.Rerouter
	manifest  *kafkalog.Manifest
	fold      engine.Fold
	slots     atomic.Pointer[[]*slot]
	snapshots *kafkalog.Snapshots
	health    *health
	gate      *gate
	rights    *rights
	warned    map[int32]time.Time // by observe, of a log's start that comes near
	holdings  map[int32]holding   // by observe, of records that nobody sees
}

// NewProcessor prepares a processor; nothing is contacted before Run.
func NewProcessor(rt Runtime, program participant.Program) *Processor {
	return &Processor{rt: rt, program: program, warned: map[int32]time.Time{}, holdings: map[int32]holding{}, health: newHealth(2 * rt.Config.Processor.SessionTimeout), rights: newRights(rt)}
}

// Name implements service.Service.
func (p *Processor) Name() string { return "processor" }

// Run connects, passes the gates, and processes until ctx ends; then it lets
// what is under way finish.
func (p *Processor) Run(ctx context.Context) error {
	defer p.close()
	if err := p.connect(ctx); err != nil {
		return err
	}
	p.fold = fold.New(p.program, p.manifest.Partitions)
	slots := make([]*slot, p.rt.Config.Processor.Slots)
	var group sync.WaitGroup
	for i := range slots {
		slots[i] = newSlot(p.rt.Config.Processor.Instance, i)
	}
	p.slots.Store(&slots)
	for _, s := range slots {
		group.Go(func() { p.keep(ctx, s) })
	}
	watching, done := context.WithCancel(ctx)
	defer done()
	go p.observe(watching)
	go p.gate.keep(watching)
	go p.rights.keep(watching, p.kafka)
	group.Wait()
	return nil
}

// connect reaches what the processor needs and refuses what would break its
// promises, before anything is consumed.
func (p *Processor) connect(ctx context.Context) error {
	var err error
	if p.kafka, err = p.rt.Kafka("processor"); err != nil {
		return err
	}
	if p.manifest, err = p.rt.awaitManifest(ctx, p.kafka); err != nil {
		return err
	}
	if p.client, err = p.rt.awaitRedis(ctx); err != nil {
		return err
	}
	if p.gate, err = p.rt.gate(ctx, p.Name(), p.kafka, p.client); err != nil {
		return err
	}
	if p.manifest, err = pinRules(ctx, p.kafka, p.program.Schema()); err != nil {
		return err
	}
	if p.positions, err = kafkalog.NewPositions(p.kafka); err != nil {
		return err
	}
	if p.snapshots, err = kafkalog.NewSnapshots(p.kafka); err != nil {
		return err
	}
	p.reroute, err = kafkalog.NewRerouter(p.kafka, p.rt.Config.Processor.TransactionTimeout)
	return err
}

func (p *Processor) close() {
	if p.reroute != nil {
		p.reroute.Close()
	}
	if p.positions != nil {
		p.positions.Close()
	}
	if p.snapshots != nil {
		p.snapshots.Close()
	}
	if p.client != nil {
		_ = p.client.Close()
	}
}

// pinRules writes the rules into the manifest at the very first start, and
// refuses other rules ever after: a partition's state is the fold of one
// version, and a change goes live only by a promotion.
func pinRules(ctx context.Context, kafka kafkalog.Config, schema *participant.Schema) (*kafkalog.Manifest, error) {
	return kafkalog.UpdateManifest(ctx, kafka, func(old *kafkalog.Manifest) (*kafkalog.Manifest, error) {
		switch {
		case old == nil:
			return nil, errNoManifest
		case old.RulesDigest == schema.Digest:
			return old, nil
		case old.RulesDigest != "":
			return nil, fmt.Errorf("this deployment runs hunt %q, rules version %d (%.12s), and the rules file is hunt %q, version %d (%.12s): start with the rules that it runs, make the changed ones live with veltrix rules promote, or choose a new prefix",
				old.Hunt, old.RulesVersion, old.RulesDigest, schema.Hunt, schema.Version, schema.Digest)
		}
		next := *old
		next.Hunt, next.RulesVersion, next.RulesDigest = schema.Hunt, schema.Version, schema.Digest
		return &next, nil
	})
}

func (p *Processor) token() engine.Token {
	m := p.manifest
	return engine.Token{
		ClusterID: m.ClusterID, TopicID: m.TopicID, Partitions: m.Partitions,
		RulesVersion: m.RulesVersion, RulesDigest: m.RulesDigest, Buckets: p.rt.Config.Processor.Buckets,
	}
}

// Views returns what the slots' loops published last; slots between two
// sessions are nil.
func (p *Processor) Views() []*engine.View {
	slots := p.slots.Load()
	if slots == nil {
		return nil
	}
	views := make([]*engine.View, len(*slots))
	for i, s := range *slots {
		views[i] = s.view()
	}
	return views
}

// Ready reports why the processor does not make progress, or nil. A member
// without partitions is ready: its group has others who have them.
func (p *Processor) Ready() error {
	slots := p.slots.Load()
	if slots == nil {
		return errors.New("starting")
	}
	if err := p.rights.err(); err != nil {
		return err
	}
	for i, v := range p.Views() {
		if v == nil {
			if denied := (*slots)[i].denied.Load(); denied != nil {
				return *denied
			}
			return fmt.Errorf("slot %d is joining the group", i)
		}
		if v.Counts.Joined == 0 {
			return fmt.Errorf("slot %d has not been told its partitions yet", i)
		}
		for _, s := range v.Status {
			switch s.Phase {
			case "refused":
				return fmt.Errorf("partition %d is refused: %s", s.Partition, s.Refusal.Reason)
			case "ready":
			default:
				return fmt.Errorf("partition %d is %s, at %d of %d", s.Partition, s.Phase, s.Position, s.Target)
			}
		}
	}
	if err := p.health.reach(time.Now()); err != nil {
		return err
	}
	return p.health.progress(time.Now())
}
