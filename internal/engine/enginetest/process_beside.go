package enginetest

import "github.com/veltrix/veltrix/internal/engine"

// answer delivers what an effect beside the loop was waiting for, unless it
// does not wait any more.
func (pr *process) answer(e engine.Effect, in engine.Input) {
	for i := range pr.beside {
		if same(pr.beside[i], e) {
			pr.beside = append(pr.beside[:i:i], pr.beside[i+1:]...)
			pr.inbox = append(pr.inbox, in)
			return
		}
	}
}

func same(a, b engine.Effect) bool {
	switch a := a.(type) {
	case engine.Flush:
		b, ok := b.(engine.Flush)
		return ok && a.Partition == b.Partition && a.Epoch == b.Epoch && a.Move.To == b.Move.To
	case engine.Init:
		b, ok := b.(engine.Init)
		return ok && a == b
	case engine.Restore:
		b, ok := b.(engine.Restore)
		return ok && a == b
	}
	return false
}

// performBeside lets one read or write go on.
func (pr *process) performBeside(i int) error {
	w, e := pr.w, pr.beside[i]
	if pr.w.tracing {
		pr.note("  %s", show(e))
	}
	done := func(in engine.Input) {
		pr.beside = append(pr.beside[:i:i], pr.beside[i+1:]...)
		if in != nil {
			pr.inbox = append(pr.inbox, in)
		}
	}
	switch e := e.(type) {
	case engine.ReadMeta:
		done(engine.MetaRead{Partition: e.Partition, Epoch: e.Epoch, Meta: w.metaOf(e.Partition)})
	case engine.ReadCommitted:
		if w.unstable(e.Partition) {
			return nil // UNSTABLE_OFFSET_COMMIT: asked again
		}
		done(engine.CommittedRead{Partition: e.Partition, Epoch: e.Epoch, Committed: w.committedOf(e.Partition)})
	case engine.Replay:
		l, to := w.logs[e.Partition], min(e.To, e.From+1+int64(w.pick(4)))
		if e.From < l.start {
			done(engine.Lost{Partition: e.Partition, Epoch: e.Epoch})
			return nil
		}
		done(engine.Replayed{Partition: e.Partition, Epoch: e.Epoch, Records: l.read(e.From, to), Next: to})
	case engine.LoadReplay:
		done(engine.ReplayLoaded{Partition: e.Request.Partition, Epoch: e.Request.Epoch, Result: w.load(e.Request)})
	case engine.MarkInitialized:
		w.known[e.Partition] = true
		done(nil)
	case engine.Flush, engine.Init, engine.Restore:
		return pr.write(e, done)
	case engine.FindSnapshot:
		done(engine.SnapshotFound{Partition: e.Partition, Epoch: e.Epoch, Snapshot: w.findSnapshot(e.Partition, pr.tokenOf(), e.NotAfter)})
	case engine.Scan:
		pr.scan(e, done)
	case engine.Save:
		return pr.save(e, done)
	}
	return nil
}

// write sends a write to Redis. It arrives and is answered, unless the network
// has other plans.
func (pr *process) write(e engine.Effect, done func(engine.Input)) error {
	w := pr.w
	switch {
	case w.chance(25, "write not sent"):
		return nil
	case len(w.wire) < 8 && w.chance(15, "write delayed"):
		w.wire = append(w.wire, flight{from: pr, effect: sent(e)})
		return nil // until it times out, and is sent again
	}
	in, err := w.serve(e)
	if err != nil {
		return err
	}
	if w.chance(25, "write applied, answer lost") {
		return nil
	}
	done(in)
	return nil
}

func (w *world) committedOf(p int32) engine.Committed {
	c, l := w.offsets[p], w.logs[p]
	return engine.Committed{
		Absent: !c.set, Offset: c.offset, Metadata: c.metadata, Initialized: w.known[p], LogStart: l.start, LogEnd: l.end(),
		Epoch: c.epoch, EpochKnown: c.set, EpochEnd: l.epochEnd(c.epoch),
	}
}
