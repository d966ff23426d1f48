package main

// Mutants of what stands between the machine and the world.

// redisSide are about Redis: its scripts, and the model of them.
var redisSide = []mutant{
	played("CAS", "a move is made from any position (world)", sim+"redis.go", "if !seen.Intact || !seen.Same(", "if !seen.Intact || false && !seen.Same("),
	in(redis, "CAS", "a move is made from any position", "TestStateMiniredis", "apply.lua", " and m[4] == ARGV[3]", ""),
	in(redis, "CAS", "a move is made under any token", "TestStateMiniredis", "apply.lua", "if m[1] == ARGV[1] and ", "if "),
	in(redis, "CAS", "a move is made in any generation", "TestStateMiniredis", "apply.lua", "m[2] == ARGV[2] and ", ""),
	in(redis, "CAS", "a rebuild begins from any position", "TestStateMiniredis", "init.lua", " and (m[4] or '') == ARGV[3]", ""),
	in(redis, "atomic flush", "a script writes before it has checked everything", "TestMoveIsAllOrNothing", "apply.lua",
		"  if not redis.call('HGET', KEYS[i], '') then intact = 0 end\n", ""),
	{"atomic flush", "a script writes the position first", "TestMoveThatBreaksOff", redis, []edit{
		{redis + "apply.lua", "  redis.call('HSET', KEYS[1], 'chain', ARGV[5], 'digest', ARGV[6], 'applied', ARGV[4])\n  m = meta()", "  m = meta()"},
		{redis + "apply.lua", "  local at = 7\n", "  redis.call('HSET', KEYS[1], 'chain', ARGV[5], 'digest', ARGV[6], 'applied', ARGV[4])\n  local at = 7\n"},
	}},
	in(redis, "atomic flush", "the values are written beside the script", "TestStateMiniredis", "state.go",
		"	return s.run(ctx, \"move\", partition, applyScript, keys, args)",
		"	for b, pairs := range byBucket {\n\t\tif len(pairs) > 0 {\n\t\t\t_ = s.client.HSet(ctx, s.space.bucketKey(partition, move.Generation, b), pairs...)\n\t\t}\n\t}\n\treturn s.run(ctx, \"move\", partition, applyScript, keys, args)"),
	in(redis, "atomic flush", "many values are written in one command", "TestStateMiniredis", "apply.lua", "math.min(at + 3999, stop - 1)", "stop - 1"),
	in(redis, "eviction detection", "a lost bucket is written to", "TestLostBucketIsNoticed", "apply.lua", "then intact = 0 end", "then intact = 1 end"),
	in(redis, "eviction detection", "a lost bucket is read as empty", "TestLostBucketIsNoticed", "state.go", "meta.Intact = meta.Intact && sentinel.Err() == nil", "_ = sentinel"),
	in(redis, "eviction detection", "a Redis that may evict is taken", "TestGatesOnRealRedis", "gates.go", "if policy == \"noeviction\" {", "if policy != \"\" {"),
	in(redis, "blind rebuild", "a rebuild finds the old values under its name", "TestStateMiniredis", "state.go",
		"return hex.EncodeToString(id[:])", "return hex.EncodeToString(make([]byte, len(id)))"),
	in(redis, "blind rebuild", "what was staged is adopted in part", "TestStateMiniredis", "init.lua",
		"if ARGV[10] == '1' and not redis.call('HGET', KEYS[i], '') then ready = false end", ""),
}

// outside are about Kafka's client, the fold, and the notifier.
var outside = []mutant{
	in(kafka, "require-stable", "the offset may be that before a pending transaction", "TestCommittedWaitsForWhatIsPending", "positions.go", "req.RequireStable = true", "req.RequireStable = false"),
	in(kafka, "require-stable", "the request does not name the partition", "TestCommittedWaitsForWhatIsPending", "positions.go", "group.Topics = append(group.Topics, t)", "_ = t"),
	in(kafka, "KIP-890 gate", "brokers with transactions of version 1 are taken", "TestTransactionGate", "gates.go", "if levels[node] < txnVersionMin {", "if levels[node] < 0 {"),
	in(kafka, "contiguous offsets", "what was polled is committed whatever was folded", "TestOnlyWhatWasFoldedIsCommitted", "session.go", "case ok && want.Short && want.Offset < p.Offset:", "case ok:"),
	in(kafka, "fence at the start", "what a slot's predecessor left open stays open", "TestSessionAbortsWhatWasLeftOpen", "session.go", "if _, _, err := txn.Client().ProducerID(ctx); err != nil {", "if err := ctx.Err(); err != nil {"),
	in(kafka, "left open", "nobody looks for what a coordinator left open", "TestLeftOpen", "leftopen.go", "	if len(epochs) == 0 {", "	if len(epochs) >= 0 {"),
	in(kafka, "left open", "what is left open is aborted, whatever the committed offset says", "TestLeftOpen", "leftopen.go",
		"return !k.Absent && cause < k.Offset && !again, nil", "return (!k.Absent && cause < k.Offset && !again) && false, nil"),
	in(kafka, "left open", "a committed offset alone says that it was committed", "TestLeftOpen", "leftopen.go", "cause < k.Offset && !again, nil", "cause < k.Offset && (!again || true), nil"),
	in(kafka, "left open", "what other slots left open stays so", "TestLeftOpen", "leftopen.go",
		"		case t.ended():", "		case t.ended() && t.ID == l.cfg.slotID():"),
	in(kafka, "manifest", "the client's word for a commit is believed", "TestManifestCommitThatWasAnAbort", "manifest.go", "err = committed(ctx, cfg, at)", "_ = at"),
	{"KIP-890 gate", "the version that a broker supports counts, not the one that is finalised", "TestTransactionGate", kafka, []edit{
		{kafka + "gates.go", "range resp.FinalizedFeatures {", "range resp.SupportedFeatures {"},
		{kafka + "gates.go", "f.MaxVersionLevel", "f.MaxVersion"},
	}},
	in(kafka, "reroute ack", "a batch ends whether its moved records were taken or not", "TestRerouteIsAcknowledgedFirst", "session.go",
		"			s.fail(fmt.Errorf(\"reroute: %w\", err))", "			_ = err"),
	in(kafka, "reroute ack", "a batch ends before its moved records were acknowledged", "TestRerouteIsAcknowledgedFirst", "session.go",
		"		if err := s.reroute.Append(ctx, rerouted); err != nil {\n			s.fail(fmt.Errorf(\"reroute: %w\", err))\n		}",
		"		go func() {\n			if err := s.reroute.Append(ctx, rerouted); err != nil {\n				s.fail(fmt.Errorf(\"reroute: %w\", err))\n			}\n		}()"),
	in(part, "late floor", "an event below the floor is accepted", "TestLateAndRing", "fold.go", "if stamp.Compare(h.Floor) <= 0 {", "if stamp.Compare(h.Floor) <= 0 && false {"),
	in(part, "late floor", "the floor stays where it is", "TestLateAndRing", "fold.go", "\th.Floor = floor\n", ""),
	in(deliv, "ledger pause", "another's live claim passes for a delivery", "TestForeignClaim", "send.go",
		"		return h.pause(min(claim.Wait, busyPause)) // it may be marked before its lease ends", "		return stepFinished"),
	in(deliv, "ledger pause", "an offset is committed past what is not finished", "TestForeignClaim", "tracker.go", "for n < len(t.window) && t.window[n].finished {", "for n < len(t.window) {"),
	in(redis, "ledger pause", "another's live claim is taken over", "TestLedger", "ledger_claim.lua", "if left > 0 then return reply('busy', att, left + 1, '0', '') end", ""),
	in(deliv, "mark-after-send", "a delivery is marked before it is made", "TestCrashAtEachBoundary", "send.go",
		"\tbegan := time.Now()\n\tctx, cancel", "\th.mark(key, claim, t, Mark{State: Sent, Seen: true})\n\tbegan := time.Now()\n\tctx, cancel"),
	in(redis, "mark-after-send", "a claim that was lost is marked all the same", "TestLedger", "ledger_mark.lua",
		"if e[2] ~= ARGV[1] or e[3] ~= ARGV[2] then return 0 end", ""),
}
