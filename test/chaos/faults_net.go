package chaos

import (
	"context"
	"time"

	"github.com/veltrix/veltrix/test/chaos/relay"
)

// Links of the net fault.
const (
	processorBroker = "processor-broker"
	processorRedis  = "processor-redis"
	notifierBroker  = "notifier-broker"
	notifierRedis   = "notifier-redis"
	brokerBroker    = "broker-broker"
)

func netFaults() []Fault {
	return []Fault{{
		Name: "net", Ends: endsClean,
		Does: "A network is slow (`delay`), takes everything and answers nothing (`silent`), loses the answers (`deaf`), ends connections and refuses new ones (`cut`), or resets them once (`reset`). What was kept is delivered when it is over.",
		Params: []Param{
			{Name: "between", Default: processorBroker, Words: []string{processorBroker, processorRedis, notifierBroker, notifierRedis, brokerBroker}, Does: "whose connections"},
			{Name: "which", Default: 0, Min: -1, Max: processesMax - 1, Does: "which processor or notifier; -1 is all"},
			{Name: "broker", Default: 0, Max: brokers, Does: "to which broker, from 1; 0 is all. With broker-broker, that which the others do not reach"},
			{Name: "how", Default: "silent", Words: []string{"delay", "silent", "deaf", "cut", "reset"}, Does: "what happens to them"},
			lasting("by", 100*time.Millisecond, "with delay: how late, each way"),
			lasting("for", 3*time.Second, "how long; a reset has no length"),
		},
		row: func(p Params) string { return "net " + p.word("between") + " " + p.word("how") },
		do:  netFault,
	}}
}

func netFault(ctx context.Context, r *run, f *Fault, p Params) error {
	links := r.links(p.word("between"), p.number("which"), p.number("broker"))
	defer r.lock("net " + p.word("between"))()
	how := relay.How(p.word("how"))
	for _, l := range links {
		l.Set(relay.State{How: how, Delay: p.duration("by")})
	}
	i := r.inject(f, p)
	if how == relay.Reset {
		i.over()
		return nil
	}
	err := sleep(ctx, p.duration("for"))
	for _, l := range links {
		l.Set(relay.State{How: relay.Open})
	}
	i.over()
	return err
}

// links finds the relays that a fault is about.
func (r *run) links(between string, which, broker int) (all []*relay.Relay) {
	if between == brokerBroker {
		return r.env.lane(0, broker)
	}
	members := r.members("processor")
	if between == notifierBroker || between == notifierRedis {
		members = r.members("notifier")
	}
	for _, m := range members {
		switch {
		case which >= 0 && m.index != which:
		case between == processorRedis || between == notifierRedis:
			all = append(all, m.redis)
		default:
			all = append(all, r.env.lane(m.lane, broker)...)
		}
	}
	return all
}

// touchesBrokers says that a step hits what other schedules use, too.
func (p *Step) touchesBrokers() bool {
	return p.fault.shared || p.Do == "net" && p.params.word("between") == brokerBroker
}
