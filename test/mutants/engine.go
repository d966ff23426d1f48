package main

// Mutants of the machine, and of what the simulated world has to do so that
// the machine is right: what is taken out there is the broker's or the
// client's part of a protection.

// commits are about who may commit, and what a commit's end means.
var commits = []mutant{
	played("group fence", "a partition that moved is committed all the same", eng+"batch.go",
		"p == nil || p.phase != ready {\n\t\t\treturn true", "p == nil || p.phase != ready {\n\t\t\treturn false"),
	played("group fence", "the group takes offsets of an older generation (world)", sim+"end.go",
		"\tcase pr.generation != pr.w.generation:", "\tcase false:"),
	played("group fence", "the coordinator takes the end of an older producer (world)", sim+"end.go",
		"\tif pr.epoch != pr.w.epochs[pr.slot] {\n\t\tpr.finish(false, errors.New(\"INVALID_TXN_STATE\"))",
		"\tif false {\n\t\tpr.finish(false, errors.New(\"INVALID_TXN_STATE\"))"),
	played("revoke-aborts", "the client commits after a revocation that nobody saw (world)", sim+"end.go", "\tcase pr.unseen():", "\tcase false:"),
	played("revoke-aborts", "a partition is kept when it is revoked", eng+"assign.go",
		"\t\tm.drop(id)\n\t}\n\tm.settle()\n}\n\nfunc (m *Machine) drop", "\t\t_ = id\n\t}\n\tm.settle()\n}\n\nfunc (m *Machine) drop"),
	played("require-stable", "the broker tells an offset while a transaction on it is pending (world)", sim+"world.go",
		"return slices.ContainsFunc(w.pending,", "return false && slices.ContainsFunc(w.pending,"),
	played("flush-after-commit", "Redis is moved before the transaction ends", eng+"batch.go", "\tm.emit(End{Commit: true, Offsets: offsets})",
		"\tfor _, r := range b.runs {\n\t\tm.emit(Flush{r.p.id, r.p.epoch, Move{Token: m.token, Generation: r.p.meta.Generation, From: r.from, To: r.to, Chain: r.stamp.Chain, Digest: r.stamp.Digest, Values: r.written.values}})\n\t}\n\tm.emit(End{Commit: true, Offsets: offsets})"),
	played("unknown-restarts", "the session goes on after an end of unknown outcome", eng+"batch.go",
		"\t\tm.restart(\"the transaction's outcome is unknown: %v\", in.Err)", "\t\tm.uncertain()"),
	played("unknown-restarts", "\"not committed\" is believed without a look at K", eng+"batch.go",
		"case !c.Absent && c.Offset != p.position, c.Absent && p.known:", "case false:"),
	played("failed output", "the transaction is committed all the same", eng+"batch.go",
		"if err != nil || m.stale() {\n\t\tm.emit(End{})", "if m.stale() {\n\t\tm.emit(End{})"),
	played("release before the end", "rebalances are held back while the transaction ends", eng+"batch.go",
		"m.emit(Release{}, Rewind{})", "m.emit(Rewind{}, Release{})"),
	machine("unready partition", "records of a partition that is being decided begin a batch", "TestRecordsOfAnUnreadyPartitionAreDropped", eng+"batch.go",
		"case p == nil || p.phase != ready:\n\t\t\t// It was", "case p == nil:\n\t\t\t// It was"),
	played("contiguous offsets", "a hole in a batch is passed over", eng+"run.go", "n < len(records) && records[n].Offset == r.to", "n < len(records)"),
	scenario("contiguous offsets", "what is before a hole waits with what is behind it", "34-hole-in-the-log", eng+"batch.go", "\t\t\tif len(r.records) == 0 {", "\t\t\tif true {"),
	scenario("contiguous offsets", "a hole is refused where an aborted batch began", "34-hole-behind-an-abort", eng+"batch.go", "\t\tif len(r.records) > 0 {", "\t\tif false {"),
	scenario("contiguous offsets", "a hole behind a batch is only seen when more is sent", "34-hole-in-the-log", eng+"batch.go", "p != nil && p.gap != 0 {\n\t\t\t// The client", "false {\n\t\t\t// The client"),
	scenario("manifest", "a first commit whose owner died is never noted", "34-hole-in-the-log", eng+"assign.go", "if !c.Initialized {", "if false {"),
	scenario("contiguous offsets", "a hole in a replay is passed over", "34-hole-in-a-replay", eng+"assign.go", "!ok || next != in.Next {", "!ok && false {"),
	played("contiguous offsets", "a client that goes back is taken for a hole", eng+"batch.go",
		"\t\tcase next < r.to:\n\t\t\tm.restart(\"partition %d: the client fetched from %d, expected %d\", p.id, next, r.to)\n\t\t\treturn\n", ""),
}

// states are about what is kept in memory.
var states = []mutant{
	played("overlay", "a batch folds into the state itself", eng+"run.go", "t.entry.overlay = m.fold.Clone(t.entry.state, m.reuse.state())", "t.entry.overlay = t.entry.state"),
	scenario("cause order", "outputs come in the order in which participants are folded", "08-killed-before-the-flush", eng+"run.go", "copy(out.List[begin:], m.sorted)", "_ = out.List[begin:]"),
	played("reuse", "a state is written over that is still one", eng+"run.go", "over, e.state = e.state, e.overlay", "over, e.state = e.overlay, e.overlay"),
	played("reuse", "a move is written over before Redis acknowledged it", eng+"assign.go", "\tm.reuse.keepMove(move)\n",
		"\tm.reuse.keepMove(move)\n\tif len(p.flushes) > 0 {\n\t\tm.reuse.keepMove(p.flushes[0])\n\t}\n"),
	played("overlay", "an aborted batch's copies are kept", eng+"batch.go", "\t\tm.discard(r)\n", "\t\t_ = r\n"),
	scenario("drop-on-assign", "what is known of a partition is kept when it comes back, and the revocation was not told", "09-away-and-back-unreported", eng+"assign.go",
		"\t\tm.drop(id)\n\t\tm.epochs++", "\t\tm.epochs++"),
	played("drop-on-assign", "what is known of a partition is kept when it is assigned", eng+"assign.go", "\t\tm.drop(id)\n\t\tm.epochs++", "\t\tm.epochs++"),
	played("drop-on-assign", "answers to an earlier ownership are believed", eng+"machine.go", "p != nil && p.epoch == epoch {", "p != nil {"),
	played("verified load", "states are believed at any position", eng+"run.go", " || !slices.Contains(r.accept, got.Meta.Applied) {", " || false && !slices.Contains(r.accept, got.Meta.Applied) {"),
	played("verified load", "states are believed that lack a bucket", eng+"run.go", "if !got.Meta.Intact || !got.Meta.Same(ours)", "if !got.Meta.Same(ours)"),
	machine("verified load", "states of another life are believed", "TestStatesOfAnotherLifeAreNotBelieved", eng+"run.go", "!got.Meta.Same(ours) || ", "false && !got.Meta.Same(ours) || "),
	played("verified load", "a load that failed is folded over", eng+"batch.go", "if in.Err != nil || m.stale() {\n\t\tm.rewind()", "if m.stale() {\n\t\tm.rewind()"),
	played("verified load", "a load that failed leaves empty states in the cache", eng+"run.go", "\tfor _, e := range r.asked {\n\t\tm.cache.remove(e)\n\t}\n}", "}"),
	played("pinned dirty entries", "states leave the cache that Redis does not have", eng+"cache.go", "p.replay == nil && e.dirtyTo <= p.meta.Applied", "p.replay == nil"),
	played("pinned dirty entries", "states leave the cache in the middle of a replay", eng+"cache.go", "p.replay == nil && e.dirtyTo <= p.meta.Applied", "e.dirtyTo <= p.meta.Applied"),
	played("pinned dirty entries", "states leave the cache in the middle of a batch", eng+"cache.go", "if m.batch != nil && m.batch.phase != gathering {", "if false {"),
	machine("back-pressure", "polling goes on while Redis is away", "TestTwoUnflushedBatchesStopPolling", eng+"machine.go", "len(p.flushes) >= 2 ||", "len(p.flushes) >= 200 ||"),
}

// decisions are about where a partition begins, and when it is refused.
var decisions = []mutant{
	{"R-before-K", "K is read before R", campaign, sim, []edit{
		{eng + "assign.go", "m.emit(Pause{id}, ReadMeta{id, p.epoch})", "m.emit(Pause{id}, ReadCommitted{id, p.epoch})"},
		{eng + "assign.go", "case p.phase == readingCommitted:\n\t\tm.decide(p, in.Committed)", "case p.phase == readingMeta:\n\t\tp.target, p.phase = in.Committed, readingCommitted\n\t\tm.emit(ReadMeta{p.id, p.epoch})"},
		{eng + "assign.go", "case readingMeta:\n\t\tp.meta, p.phase = in.Meta, readingCommitted\n\t\tm.emit(ReadCommitted{p.id, p.epoch}) // only now: R before K", "case readingCommitted:\n\t\tp.meta = in.Meta\n\t\tm.decide(p, p.target)"},
	}},
	scenario("refuse-ahead", "R ahead of K is taken for R behind K", "21-old-commit-restored", eng+"assign.go", "case trusted && meta.Applied > c.Offset:", "case false:"),
	played("stamp", "an offset that somebody set is taken", eng+"assign.go", "\tcase err != nil:\n", "\tcase false:\n"),
	played("stamp", "a commit of another cluster, topic or rules is taken", eng+"assign.go", "\tcase stamp.Token != m.token:", "\tcase false:"),
	scenario("stamp", "Redis follows a commit that nobody made", "21-moved-forward", eng+"assign.go", "\tcase p.proof.chain != p.promised.Chain || p.stamp.Start != p.promised.Start:", "\tcase false:"),
	played("stamp", "what was folded again is not compared with what was committed", eng+"assign.go", "if p.known && p.stamp != p.promised {", "if false {"),
	played("eviction detection", "a partition that lacks a bucket is taken as whole", eng+"assign.go", "trusted := meta.Exists && meta.Intact && meta.Token", "trusted := meta.Exists && meta.Token"),
	played("blind rebuild", "a rebuild goes on with the old values", eng+"assign.go", "\t\tm.init(p, p.promised.Start)",
		"\t\tp.meta.Applied, p.meta.Chain, p.meta.Digest = p.promised.Start, 0, 0\n\t\tm.follow(p)"),
	played("blind rebuild", "a rebuild finds the old values under its name (world)", sim+"redis.go", "\t\tnext.Generation = fmt.Sprint(\"g\", w.inits)", "\t\tnext.Generation = \"g\""),
	scenario("blind rebuild", "another owner's rebuild is taken for one's own", "16-two-rebuild-at-once", eng+"assign.go", "if meta.Token != m.token || meta.Applied != want {", "if meta.Token != m.token || false && meta.Applied != want {"),
	scenario("blind rebuild", "it is tried again and again", "26-other-records", eng+"assign.go", "\tcase p.rebuilt == 1, p.rebuilt == 2 && p.base != nil && p.target.LogStart <= p.promised.Start:", "\tcase p.rebuilt > 0:"),
	played("blind rebuild", "other records behind a snapshot are taken for a log that lost some", eng+"assign.go", " && p.target.LogStart <= p.promised.Start:", ":"),
	played("log bounds", "a log that lost its end is folded on", eng+"assign.go", "\tcase c.LogEnd < c.Offset:", "\tcase false:"),
	scenario("log bounds", "a log that starts after K, and so after R, is folded on", "23-log-start-passes-K", eng+"assign.go", "\tcase !trusted, meta.Applied < c.LogStart:", "\tcase !trusted:"),
	scenario("log bounds", "a log that starts after R is replayed", "24-log-no-longer-reaches-R", eng+"assign.go", "\tcase !trusted, meta.Applied < c.LogStart:", "\tcase !trusted:"),
	scenario("log bounds", "a rebuild begins before the log does", "24-log-no-longer-reaches-back", eng+"assign.go", "\tcase p.target.LogStart > p.promised.Start:\n\t\tm.refuse", "\tcase false:\n\t\tm.refuse"),
	scenario("decision before restart", "a session ends for what the client says of a partition that is being decided", "26-truncated", eng+"batch.go", "\tcase in.Err != nil && p.phase != ready:", "\tcase false:"),
	scenario("decision before restart", "a partition goes on where the client has lost its place", "26-truncated", eng+"assign.go", "\tif p.stray != \"\" {", "\tif false {"),
	scenario("leader epoch", "records of another leader are folded on", "26-unclean-election", eng+"assign.go", "\tcase c.EpochKnown && c.EpochEnd < c.Offset:", "\tcase false:"),
	played("manifest", "a group without offsets begins anew", eng+"assign.go", "case c.Initialized, meta.Exists", "case meta.Exists"),
	scenario("manifest", "the first commit is not noted", "22-group-deleted", eng+"batch.go", "\t\t\tm.emit(MarkInitialized{p.id})\n", ""),
	machine("refused move", "it is taken as made", "TestMoveThatRedisRefusedIsNotStored", eng+"assign.go", "\tif !in.Meta.reached(move) {", "\tif false {"),
	machine("refused move", "the batch under way goes on", "TestMoveThatRedisRefusedEndsTheBatchsSession", eng+"assign.go", "if m.batch != nil && m.batch.run(p.id) != nil {", "if false {"),
}

// looks are about what Redis holds while nothing happens, and snapshots of it.
var looks = []mutant{
	scenario("scrub", "values are not compared with their digest", "18-damaged-value", eng+"scrub.go", "\tcase in.Damaged || in.Digest != p.stamp.Digest:", "\tcase in.Damaged:"),
	scenario("scrub", "damaged values are decided anew and trusted again", "18-damaged-value", eng+"scrub.go", "\tm.partitions[p.id].suspect = true\n", ""),
	scenario("scrub", "values are read while they move", "18-scrub-waits", eng+"scrub.go", "\t\tcase !m.quiet(p) || m.over:", "\t\tcase m.over:"),
	machine("scrub", "what was read while it moved is judged", "TestScanIsJudgedOnlyWhereNothingMoved", eng+"scrub.go", "\tcase in.Err != nil || !still:", "\tcase in.Err != nil || false && !still:"),
	machine("scrub", "what is kept beside the values is not compared", "TestScanIsJudgedOnlyWhereNothingMoved", eng+"scrub.go", "\tcase in.Damaged || in.Digest != p.stamp.Digest:", "\tcase in.Digest != p.stamp.Digest:"),
	in(eng, "scrub", "of more scans than can be begun, the first partitions have all", "TestChoresAreFair", "chores.go", "(next == nil || at.Before(since))", "(next == nil || at.IsZero() && since.IsZero())"),
	machine("scrub", "a scan that failed is judged", "TestScanIsJudgedOnlyWhereNothingMoved", eng+"scrub.go", "\tcase in.Err != nil || !still:", "\tcase !still:"),
	machine("scrub", "the position after a scan is not looked at", "TestScanIsJudgedOnlyWhereNothingMoved", eng+"scrub.go", "\tcase !in.Meta.Intact || !in.Meta.Same(s.meta):", "\tcase false:"),
	scenario("idle compare", "Redis that went back is not noticed", "18-rolled-back-while-idle", eng+"scrub.go", "\tm.counts.Strayed++\n\tm.again(p)\n}", "\tm.counts.Strayed++\n}"),
	scenario("idle compare", "a bucket that was lost is not noticed", "18-lost-while-idle", eng+"scrub.go", "found.Intact && found.Same(*at)", "found.Same(*at)"),
	machine("snapshots", "one of another life is taken", "TestSnapshotsThatDoNotFit", eng+"scrub.go", "s.Token != m.token || s.Start != p.promised.Start || ", ""),
	machine("snapshots", "one of later records is taken", "TestSnapshotsThatDoNotFit", eng+"scrub.go", " || s.Offset > p.target.Offset || ", " || "),
	machine("snapshots", "one that does not meet the log is taken", "TestSnapshotsThatDoNotFit", eng+"scrub.go", " || s.Offset < p.target.LogStart) {", ") {"),
	played("snapshots", "one that is not whole is not replaced by the log", eng+"scrub.go", "\tdefault:\n\t\tm.rebuildFrom(p, nil)\n\t}\n}", "\t}\n}"),
}
