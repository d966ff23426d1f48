package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
)

// script chooses for a scenario: the loop before what runs beside it, and no
// fault but those that were asked for.
type script struct{ armed map[string]int }

func (script) pick(n int) int { return n - 1 }

func (c script) fault(_ int, name string) bool {
	if c.armed[name] == 0 {
		return false
	}
	c.armed[name]--
	return true
}

// player plays a scenario's lines.
type player struct {
	s      *sim
	script script
}

// Play plays a scenario and returns what happened. The form of a scenario is
// described in testdata/README.txt. An error is a mistake in the scenario's
// lines; what breaks an invariant is part of what happened.
func Play(text string) (string, error) {
	var p *player
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if p == nil {
			var err error
			if p, err = newPlayer(words); err != nil {
				return "", fmt.Errorf("line %d: %w", i+1, err)
			}
			continue
		}
		p.s.w.note("> %s", strings.Join(words, " "))
		known, err := p.do(words)
		switch {
		case !known:
			return "", fmt.Errorf("line %d: %q is no step", i+1, strings.Join(words, " "))
		case err != nil:
			p.s.w.note("VIOLATION %v", err)
			return p.result(), nil
		}
	}
	if p == nil {
		return "", errors.New("the scenario is empty")
	}
	return p.result(), nil
}

// newPlayer reads the first line: world <partitions> <slots> cached|uncached.
func newPlayer(words []string) (*player, error) {
	if len(words) < 4 || len(words) > 5 || words[0] != "world" {
		return nil, errors.New("a scenario begins with: world <partitions> <slots> cached|uncached [snapshots]")
	}
	cfg := Config{Trace: true, Partitions: number(words[1]), Slots: number(words[2])}
	if words[3] == "cached" {
		cfg.CacheBytes = 1 << 20
	}
	p := &player{script: script{map[string]int{}}}
	p.s = &sim{cfg: cfg, w: newWorld(p.script, cfg.Partitions), procs: make([]*process, cfg.Slots)}
	p.s.w.tracing, p.s.w.keeps = true, len(words) == 5 && words[4] == "snapshots"
	for i := range p.s.procs {
		p.s.start(i)
	}
	return p, nil
}

// number reads a number; what is none is -1, and shows as such.
func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		return -1
	}
	return n
}

// do plays one line.
func (p *player) do(words []string) (known bool, err error) {
	arg := func(i int) int {
		if i < len(words) {
			return number(words[i])
		}
		return 0
	}
	s, w := p.s, p.s.w
	switch words[0] {
	case "append":
		for _, record := range words[2:] {
			key, value, _ := strings.Cut(record, "=")
			w.add(int32(arg(1)), key, value)
		}
	case "assign":
		p.assign(int32(arg(1)), arg(2))
	case "run":
		until := ""
		if len(words) > 3 {
			until = strings.Join(words[3:], " ")
		}
		return true, p.run(arg(1), until)
	case "recheck":
		return true, s.procs[arg(1)].take(engine.Recheck{})
	case "fault":
		p.script.armed[strings.Join(words[1:], " ")]++
	case "land":
		for len(w.wire) > 0 && err == nil {
			err = w.land(0)
		}
		return true, err
	case "kill", "start", "stop", "wake", "replace", "timeout":
		p.process(words[0], arg(1))
	case "compare":
		return true, s.procs[arg(1)].take(engine.Compare{})
	case "scrub":
		return true, s.procs[arg(1)].take(engine.Scrub{Partition: int32(arg(2)), Save: len(words) > 3 && words[3] == "save"})
	case "lose", "damage", "elect", "rollback", "reset", "recommit", "delete", "advance", "truncate", "hole", "rewrite", "token", "repair":
		p.meddle(words, arg)
	case "settle":
		return true, p.settle()
	default:
		return false, nil
	}
	return true, nil
}

// settle lets dice choose who acts, and records only what comes of it.
func (p *player) settle() error {
	w := p.s.w
	w.chooser, w.tracing = newDice(1), false
	err := p.s.settle()
	w.tracing = true
	if err == nil {
		w.note("R = K = end of every partition")
	}
	return err
}

func (p *player) process(what string, slot int) {
	s := p.s
	switch what {
	case "kill":
		s.procs[slot] = nil
	case "start":
		s.start(slot)
	case "stop":
		s.procs[slot].stalled = 1 << 30
	case "wake":
		s.procs[slot].stalled = 0
	case "replace":
		pr := s.procs[slot]
		pr.replaced = true
		s.zombies = append(s.zombies, pr)
		s.start(slot)
	case "timeout":
		s.w.fence(slot)
	}
}

// assign moves one partition. Members that are awake learn of it; one that is
// stopped or holds polled records keeps its generation.
func (p *player) assign(id int32, slot int) {
	w := p.s.w
	w.generation++
	for _, pr := range p.s.procs {
		if pr == nil || pr.held || pr.stalled > 0 {
			continue
		}
		if pr.generation != w.generation-1 && len(pr.positions) > 0 {
			pr.receive(engine.Revoked{Partitions: slices.Sorted(maps.Keys(pr.positions))})
		}
		pr.generation = w.generation
	}
	p.s.give(id, p.s.procs[slot])
}

// run lets a process (a zombie: slot + 100) go on until nothing is left to do,
// or until it would do what begins with until.
func (p *player) run(slot int, until string) error {
	for range 1000 {
		var pr *process
		if slot >= 100 {
			pr = p.s.zombies[slot-100]
		} else {
			pr = p.s.procs[slot]
		}
		choice, next := pr.next()
		if choice < 0 || until != "" && strings.HasPrefix(next, until) {
			return nil
		}
		err := pr.step(choice)
		if errors.Is(err, errRestart) {
			if slot < 100 {
				p.s.start(slot) // a new session; it is assigned by the scenario
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	p.s.w.note("it goes on and on")
	return nil
}

// next is what the process does next, and its choice: the loop before what
// runs beside it.
func (pr *process) next() (choice int, name string) {
	main := len(pr.beside)
	switch {
	case pr.ending:
		return main, "EndTxn"
	case len(pr.loading) > 0:
		return main, "loading"
	case len(pr.sync) > 0:
		return main, show(pr.sync[0])
	case len(pr.queue) > 0:
		return main, show(pr.queue[0])
	case len(pr.inbox)+len(pr.pending) > 0:
		return main, "inbox"
	case pr.pollable():
		return main, "Poll"
	case pr.machine.Gathered() > 0:
		return main, "Seal"
	}
	for i, e := range pr.beside {
		if read, ok := e.(engine.ReadCommitted); ok && pr.w.unstable(read.Partition) {
			continue // it would be asked again and again
		}
		return i, show(e)
	}
	return -1, ""
}

// meddle does what an operator, the broker or Redis does.
func (p *player) meddle(words []string, arg func(int) int) {
	s, w, id := p.s, p.s.w, arg(1)
	change := func(what string, reasons ...string) {
		w.changed[id] = what
		for _, r := range reasons {
			w.excused[id][r] = true
		}
	}
	switch words[0] {
	case "lose":
		s.forget(id, arg(2))
	case "rollback":
		s.rollback(id, arg(2))
	case "reset", "recommit":
		w.saved[id] = w.offsets[id]
		metadata := ""
		switch {
		case words[0] == "recommit":
			metadata = w.commits[id][int64(arg(2))]
		case len(words) > 3: // stamped
			metadata = w.offsets[id].metadata
		}
		w.offsets[id] = committed{set: true, offset: int64(arg(2)), metadata: metadata, epoch: w.offsets[id].epoch}
		change("reset back", "stamp", "reset", "diverged")
	case "delete":
		w.saved[id] = w.offsets[id]
		w.offsets[id] = committed{}
		change("group deleted", "no-commit")
	case "advance":
		w.logs[id].startWas, w.logs[id].start = w.logs[id].start, int64(arg(2))
		change("log start advanced", "lost-log")
	case "truncate":
		w.logs[id].cut = int64(arg(2))
		change("log truncated", "truncated")
	case "hole":
		w.logs[id].hole = int64(arg(2))
		change("hole in the log", "gap")
	case "rewrite":
		w.logs[id].replace(arg(2), arg(2)+1, words[3])
		w.tainted[id] = true
		change("other records", "diverged")
	case "elect":
		l := w.logs[id]
		l.epoch++
		if len(words) > 3 {
			l.replace(arg(2), len(l.records), words[3])
			w.tainted[id] = true
			change("unclean election", "diverged")
		}
	case "damage":
		v := w.views[id]
		delete(v.values, v.meta.Generation+"/"+words[2])
	case "token":
		w.token = words[1]
		w.changed[0] = "other token"
		w.excused[0]["token"] = true
	case "repair":
		s.restore(id)
	}
}

// result is everything that happened, and what is left.
func (p *player) result() string {
	w := p.s.w
	for id := range w.logs {
		c, v := w.offsets[id], w.views[id]
		k := "K none"
		if c.set {
			k = fmt.Sprintf("K %d", c.offset)
		}
		w.note("= partition %d: log [%d, %d), %s, %s", id, w.logs[id].start, w.logs[id].end(), k, meta(w.metaOf(int32(id))))
		for _, at := range slices.Sorted(maps.Keys(w.outputs[id])) {
			w.note("=   committed: %s", w.outputs[id][at])
		}
		for _, key := range slices.Sorted(maps.Keys(v.values)) {
			if strings.HasPrefix(key, v.meta.Generation+"/") {
				w.note("=   redis: %s is %x", key, v.values[key])
			}
		}
	}
	return strings.Join(w.trace, "\n") + "\n"
}
