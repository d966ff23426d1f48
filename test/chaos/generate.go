package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Random makes a schedule from its seed: the same one each time. Most of them
// mix faults that must leave nothing behind; some break what brokers are shared
// by, and some have an operator's mistake, whose refusal and repair they name.
func Random(seed uint64) *Schedule {
	g := generator{rand.New(rand.NewPCG(seed, 0xC4A05))}
	s := Defaults()
	s.Seed, s.Name = seed, fmt.Sprintf("seed-%d", seed)
	s.Load.Events, s.Load.Participants = 2800+g.IntN(1600), 50+g.IntN(350)
	s.Load.Duplicates, s.Load.Disorder = Percent(g.IntN(11)), Percent(g.IntN(41))
	s.Topology.Partitions = int32(3 + g.IntN(3))
	s.Processes.Processors, s.Processes.Notifiers, s.Processes.Slots = 2+g.IntN(2), 1+g.IntN(2), 1+g.IntN(2)
	s.Processes.Instance = g.IntN(4) > 0
	switch g.IntN(6) {
	case 0:
		g.brokers(&s)
	case 1:
		g.mistake(&s)
	default:
		g.mixture(&s, 2+g.IntN(3))
	}
	if err := s.Validate(); err != nil {
		panic(fmt.Sprintf("seed %d makes a schedule that cannot be: %v\n%s", seed, err, &s))
	}
	return &s
}

type generator struct{ *rand.Rand }

func (g generator) of(words ...string) string { return words[g.IntN(len(words))] }

// between is a duration in milliseconds, a multiple of ten.
func (g generator) between(low, high int) string {
	return (time.Duration(low/10+g.IntN((high-low)/10+1)) * 10 * time.Millisecond).String()
}

// moments are times within the load, the earliest first. Before them the
// partitions have been shared out, and after them there is something to do.
func (g generator) moments(s *Schedule, n int) (all []time.Duration) {
	length := s.Load.Events * 1000 / s.Load.Rate
	for range n {
		all = append(all, time.Duration(1000+10*g.IntN((length-2500)/10))*time.Millisecond)
	}
	slices.Sort(all)
	return all
}

// mixture draws faults that end clean.
func (g generator) mixture(s *Schedule, n int) {
	s.Expect.Clean = true
	draws := []func(*Schedule) Step{g.process, g.process, g.process, g.redis, g.network, g.network, g.input}
	lost := false // Redis loses data once: what is gone cannot be deleted
	for _, at := range g.moments(s, n) {
		i := g.IntN(len(draws))
		if i == 3 && lost {
			i = 0
		}
		lost = lost || i == 3
		step := draws[i](s)
		step.At = at
		s.Steps = append(s.Steps, step)
	}
}

func (g generator) process(s *Schedule) Step {
	which := map[string]any{"which": g.IntN(s.Processes.Processors)}
	switch name := g.of("processor-kill", "processor-kill", "processor-stop", "processor-restart", "processor-twin", "notifier-kill", "notifier-stop", "scale"); name {
	case "scale":
		return Step{Do: name, With: map[string]any{"to": 1 + g.IntN(4)}}
	case "notifier-kill", "notifier-stop":
		return Step{Do: name, With: map[string]any{"which": g.IntN(s.Processes.Notifiers)}}
	case "processor-kill":
		which["down"] = g.of("200ms", "300ms", "1s", "6s")
		return Step{Do: name, With: which}
	default:
		return Step{Do: name, With: which}
	}
}

func (g generator) redis(s *Schedule) Step {
	switch name := g.of("redis-kill", "redis-rollback", "redis-flush", "redis-bucket-delete", "redis-meta-delete"); name {
	case "redis-kill":
		return Step{Do: name, With: map[string]any{"down": g.between(100, 2000), "lose": g.IntN(2) * g.IntN(20_000)}}
	case "redis-rollback":
		return Step{Do: name, With: map[string]any{"age": g.between(500, 2500), "down": g.between(100, 1000)}}
	case "redis-flush":
		return Step{Do: name}
	default:
		return Step{Do: name, With: map[string]any{"partition": g.IntN(int(s.Topology.Partitions))}}
	}
}

func (g generator) network(*Schedule) Step {
	with := map[string]any{
		"between": g.of(processorBroker, processorBroker, processorRedis, processorRedis, notifierBroker, notifierRedis),
		"which":   g.IntN(2) - 1, "how": g.of("delay", "silent", "deaf", "cut", "reset"), "for": g.between(500, 7000),
	}
	if with["how"] == "delay" {
		with["by"] = g.between(20, 150)
	}
	return Step{Do: "net", With: with}
}

func (g generator) input(*Schedule) Step {
	if g.IntN(2) == 0 {
		return Step{Do: "oversize", With: map[string]any{"records": 1 + g.IntN(6)}}
	}
	return Step{Do: "poison", With: map[string]any{"records": 5 + g.IntN(60)}}
}

// brokers breaks what all share, and mostly a process beside it.
func (g generator) brokers(s *Schedule) {
	s.Expect.Clean = true
	at := g.moments(s, 2)
	var step Step
	switch name := g.of("broker-kill", "broker-kill", "controller-kill", "broker-stop", "net"); name {
	case "net":
		step = Step{Do: name, With: map[string]any{"between": brokerBroker, "broker": 1 + g.IntN(brokers), "how": g.of("delay", "silent", "cut"), "by": "60ms", "for": g.between(2000, 6000)}}
	case "controller-kill":
		step = Step{Do: name, With: map[string]any{"down": g.between(500, 4000)}}
	case "broker-stop":
		step = Step{Do: name, With: map[string]any{"broker": 1 + g.IntN(brokers)}}
	default:
		step = Step{Do: name, With: map[string]any{"broker": 1 + g.IntN(brokers), "down": g.between(500, 4000)}}
	}
	step.At = at[0]
	s.Steps = []Step{step}
	if g.IntN(3) > 0 {
		beside := g.process(s)
		beside.At = at[1]
		s.Steps = append(s.Steps, beside)
	}
}

// mistake is an operator's, or somebody else's, after a process has failed.
func (g generator) mistake(s *Schedule) {
	p := int32(g.IntN(int(s.Topology.Partitions)))
	on := func(more map[string]any) map[string]any {
		with := map[string]any{"partition": int(p)}
		for name, v := range more {
			with[name] = v
		}
		return with
	}
	refused := func(reason, repair string) Expect {
		return Expect{Refused: &Refused{Reason: reason, Partitions: []int32{p}}, Repair: repair}
	}
	var step Step
	switch g.IntN(8) {
	case 0:
		step, s.Expect = Step{Do: "offsets-reset", With: on(map[string]any{"by": -1 - g.IntN(60)})}, refused("stamp", "rebase")
	case 1:
		step, s.Expect = Step{Do: "offsets-reset", With: on(map[string]any{"by": 1 + g.IntN(40)})}, refused("stamp", "rebase")
	case 2:
		step, s.Expect = Step{Do: "offsets-reset", With: on(map[string]any{"by": -1 - g.IntN(60), "stamp": "kept"})}, refused("reset", "rebase")
	case 3:
		step, s.Expect = Step{Do: "offsets-reset", With: on(map[string]any{"by": 1 + g.IntN(40), "stamp": "kept"})}, refused("diverged", g.of("rebase", "restore"))
	case 4:
		step, s.Expect = Step{Do: "group-delete"}, Expect{Refused: &Refused{Reason: "no-commit"}, Repair: "rebase"}
	case 5:
		step, s.Expect = Step{Do: "records-delete", With: on(map[string]any{"past": 1 + g.IntN(30)})}, refused("lost-log", "rebase-accept-loss")
	case 6:
		step, s.Expect = Step{Do: "transaction-hang", With: on(map[string]any{"records": 1 + g.IntN(2), "for": g.between(1000, 4000)})}, refused("gap", "rebase-accept-loss")
	default:
		step, s.Expect = Step{Do: "partitions-add", With: map[string]any{"count": 1 + g.IntN(3)}}, Expect{Clean: true}
	}
	before := g.process(s)
	before.At = time.Duration(500+10*g.IntN(100)) * time.Millisecond
	if before.Do == "processor-stop" || before.Do == "processor-twin" {
		before = Step{At: before.At, Do: "processor-restart", With: map[string]any{"which": 0}}
	}
	after := Committed(1200)
	step.After = &after
	s.Steps = []Step{before, step}
}
