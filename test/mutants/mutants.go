package main

// edit replaces one piece of a file; it must be there exactly once.
type edit struct{ file, old, new string }

// mutant is a protection taken out, and the test that has to notice.
type mutant struct {
	name  string
	test  string // a test function, with its subtest
	pkg   string
	edits []edit
}

const (
	eng   = "internal/engine/"
	sim   = eng + "enginetest/"
	redis = "internal/redisstore/"
)

// inSim is a mutant that a campaign of the simulator has to kill.
func inSim(name, file, old, new string) mutant {
	return mutant{name, "TestSimulation", sim, []edit{{file, old, new}}}
}

func by(test string, m mutant) mutant {
	m.test = test
	return m
}

// Mutants of the machine: each takes one protection out of production code.
var machine = []mutant{
	inSim("group fence: a partition that moved is committed", eng+"batch.go",
		"p == nil || p.phase != ready {\n\t\t\treturn true", "p == nil || p.phase != ready {\n\t\t\treturn false"),
	inSim("overlay: an abort leaves its folds", eng+"run.go", "e.overlay = m.fold.Clone(e.state)", "e.overlay = e.state"),
	inSim("overlay: an aborted overlay is kept", eng+"batch.go", "\t\tm.discard(r)\n", "\t\t_ = r\n"),
	inSim("drop on assignment", eng+"assign.go", "\t\tm.drop(id)\n\t\tm.epochs++", "\t\tm.epochs++"),
	inSim("drop on revocation", eng+"assign.go", "\t\tm.drop(id)\n\t}\n\tm.settle()\n}\n\nfunc (m *Machine) drop", "\t\t_ = id\n\t}\n\tm.settle()\n}\n\nfunc (m *Machine) drop"),
	inSim("ownership epoch: old answers are believed", eng+"machine.go", "p != nil && p.epoch == epoch {", "p != nil {"),
	inSim("verified load", eng+"run.go", "\tif !verified {", "\tif false && !verified {"),
	inSim("verified load: a bucket lost", eng+"run.go", "verified := got.Meta.Intact && got.Meta.Same(want)", "verified := got.Meta.Same(want)"),
	inSim("failed load", eng+"batch.go", "if in.Err != nil || m.stale() {\n\t\tm.rewind()", "if m.stale() {\n\t\tm.rewind()"),
	inSim("failed load leaves empty entries", eng+"run.go", "\tfor _, e := range r.asked {\n\t\tm.cache.remove(e)\n\t}\n}", "}"),
	inSim("failed output: its transaction is committed", eng+"batch.go", "if err != nil || m.stale() {\n\t\tm.emit(End{})", "if m.stale() {\n\t\tm.emit(End{})"),
	inSim("flush after commit", eng+"batch.go", "\tm.emit(End{Commit: true, Offsets: offsets})",
		"\tfor _, r := range b.runs {\n\t\tm.emit(Flush{r.p.id, r.p.epoch, Move{Token: m.token, Generation: r.p.meta.Generation, From: r.from, To: r.to, Chain: r.stamp.Chain, Digest: r.stamp.Digest, Values: r.values}})\n\t}\n\tm.emit(End{Commit: true, Offsets: offsets})"),
	inSim("an unknown outcome restarts", eng+"batch.go", "\t\tm.restart(\"the transaction's outcome is unknown: %v\", in.Err)", "\t\tm.uncertain()"),
	inSim("K check", eng+"batch.go", "case !c.Absent && c.Offset != p.position, c.Absent && p.known:", "case false:"),
	by("TestScenarios/21-old-commit-restored", inSim("refuse ahead: R > K", eng+"assign.go", "case trusted && meta.Applied > c.Offset:", "case false:")),
	inSim("stamp check", eng+"assign.go", "\tcase err != nil:\n", "\tcase false:\n"),
	inSim("token check", eng+"assign.go", "\tcase stamp.Token != m.token:", "\tcase false:"),
	inSim("truncated log", eng+"assign.go", "\tcase c.LogEnd < c.Offset:", "\tcase false:"),
	{"log start after R and K", "TestScenarios/23-log-start-passes-K", sim, []edit{
		{eng + "assign.go", "\tcase meta.Applied < c.LogStart:", "\tcase false:"},
		{eng + "assign.go", "\tcase c.LogStart > c.Offset:", "\tcase false:"},
	}},
	by("TestScenarios/24-log-no-longer-reaches-back", inSim("rebuild below the log start", eng+"assign.go", "\tcase p.target.LogStart > p.promised.Start:", "\tcase false:")),
	inSim("sentinels", eng+"assign.go", "trusted := meta.Exists && meta.Intact && meta.Token", "trusted := meta.Exists && meta.Token"),
	inSim("blind rebuild: into the old generation", eng+"assign.go", "\t\tm.init(p, p.promised.Start)",
		"\t\tp.meta.Applied, p.meta.Chain, p.meta.Digest = p.promised.Start, 0, 0\n\t\tm.follow(p)"),
	inSim("rebuild only once", eng+"assign.go", "\tcase p.rebuilt:", "\tcase false:"),
	by("TestScenarios/16-two-rebuild-at-once", inSim("a faster owner's beginning", eng+"assign.go", "if meta.Token != m.token || meta.Applied != meta.Start {", "if false {")),
	inSim("digest on arrival", eng+"assign.go", "if p.known && p.stamp != p.promised {", "if false {"),
	inSim("pinned dirty entries", eng+"cache.go", "p.replay == nil && e.dirtyTo <= p.meta.Applied", "p.replay == nil"),
	inSim("pinned while replaying", eng+"cache.go", "p.replay == nil && e.dirtyTo <= p.meta.Applied", "e.dirtyTo <= p.meta.Applied"),
	inSim("pinned while in a batch", eng+"cache.go", "if m.batch != nil && m.batch.phase != gathering {", "if false {"),
	{"R before K", "TestSimulation", sim, []edit{
		{eng + "assign.go", "m.emit(Pause{id}, ReadMeta{id, p.epoch})", "m.emit(Pause{id}, ReadCommitted{id, p.epoch})"},
		{eng + "assign.go", "case p.phase == readingCommitted:\n\t\tm.decide(p, in.Committed)", "case p.phase == readingMeta:\n\t\tp.target, p.phase = in.Committed, readingCommitted\n\t\tm.emit(ReadMeta{p.id, p.epoch})"},
		{eng + "assign.go", "case readingMeta:\n\t\tp.meta, p.phase = in.Meta, readingCommitted\n\t\tm.emit(ReadCommitted{p.id, p.epoch}) // only now: R before K", "case readingCommitted:\n\t\tp.meta = in.Meta\n\t\tm.decide(p, p.target)"},
	}},
	inSim("gap in a batch", eng+"run.go", "if records[i].Offset != r.to {", "if false {"),
	inSim("gap in a replay", eng+"assign.go", "!ok || next != in.Next {", "!ok && false {"),
	inSim("a client that goes back", eng+"batch.go", "\t\tcase next < r.to:\n\t\t\tm.restart(\"partition %d: the client fetched from %d, expected %d\", p.id, next, r.to)\n\t\t\treturn\n", ""),
	by("TestTwoUnflushedBatchesStopPolling", inSim("two unflushed batches", eng+"machine.go", "len(p.flushes) >= 2 ||", "len(p.flushes) >= 200 ||")),
	inSim("a move that Redis refused", eng+"assign.go", "\tif !in.Meta.reached(move) {", "\tif false {"),
	inSim("a refused move in a batch", eng+"assign.go", "if m.batch != nil && m.batch.run(p.id) != nil {", "if false {"),
	inSim("no commit: what the manifest knows", eng+"assign.go", "case c.Initialized, meta.Exists", "case meta.Exists"),
	inSim("no commit: noted in the manifest", eng+"batch.go", "\t\t\tm.emit(MarkInitialized{p.id})\n", ""),
	inSim("release before the end", eng+"batch.go", "m.emit(Release{}, Rewind{})", "m.emit(Rewind{}, Release{})"),
	inSim("an unready partition's records", eng+"batch.go", "case p == nil || p.phase != ready:\n\t\t\t// It was", "case p == nil:\n\t\t\t// It was"),
}

// Mutants of the world: what the broker, its client and Redis have to do, so
// that the machine is right.
var world = []mutant{
	inSim("world: group fence of offset commits", sim+"end.go", "\tcase pr.generation != pr.w.generation:", "\tcase false:"),
	inSim("world: the client aborts after a revocation", sim+"end.go", "\tcase pr.unseen():", "\tcase false:"),
	inSim("world: require-stable", sim+"world.go", "return slices.ContainsFunc(w.pending,", "return false && slices.ContainsFunc(w.pending,"),
	inSim("world: fence of an older producer", sim+"end.go", "\tif pr.epoch != pr.w.epochs[pr.slot] {\n\t\tpr.finish(false, errors.New(\"INVALID_TXN_STATE\"))", "\tif false {\n\t\tpr.finish(false, errors.New(\"INVALID_TXN_STATE\"))"),
	inSim("world: compare-and-set", sim+"redis.go", "if !seen.Intact || !seen.Same(", "if !seen.Intact || false && !seen.Same("),
	inSim("world: sentinels are checked by the move", sim+"redis.go", "if !seen.Intact || !seen.Same(", "if !seen.Same("),
	inSim("world: a new generation's values are its own", sim+"redis.go", `Generation: fmt.Sprint("g", w.inits)`, `Generation: "g"`),
	{"redis: compare-and-set", "TestStateMiniredis", redis, []edit{{redis + "apply.lua", " and m[4] == ARGV[3]", ""}}},
	{"redis: token", "TestStateMiniredis", redis, []edit{{redis + "apply.lua", "if m[1] == ARGV[1] and ", "if "}}},
	{"redis: generation", "TestStateMiniredis", redis, []edit{{redis + "apply.lua", "m[2] == ARGV[2] and ", ""}}},
	{"redis: begins once", "TestStateMiniredis", redis, []edit{{redis + "init.lua", " and (m[4] or '') == ARGV[3]", ""}}},
	{"redis: sentinels", "TestLostBucketIsNoticed", redis, []edit{{redis + "apply.lua", "then intact = 0 end", "then intact = 1 end"}}},
	{"redis: a new generation's values are its own", "TestStateMiniredis", redis, []edit{{redis + "state.go", "generation := hex.EncodeToString(id[:])", "generation := hex.EncodeToString(make([]byte, len(id)))"}}},
	{"redis: unpack in pieces", "TestStateMiniredis", redis, []edit{{redis + "apply.lua", "math.min(at + 3999, stop - 1)", "stop - 1"}}},
}
