package main

import "slices"

// Mutants of the doctor's detections that are not of the brokers' settings: a row
// of its catalogue each, by its ID.
var doctorRest = slices.Concat(ofClients, ofCommits, ofMembers, ofLeases, ofRecords, ofRedis, ofNews, ofExposure, ofURLs)

// deployed is a mutant of a check that looks at a whole deployment.
func deployed(protection, without, test, file, old, new string) mutant {
	return in("internal/app/", protection, without, test, file, old, new)
}

const effective = "TestC01C02C03C06EffectiveOptions"

// ofClients are about what is in force at the clients of both groups.
var ofClients = []mutant{
	in(kafka, "C01 uncommitted reads", "any isolation level passes", effective, "effective.go", "value != want {", "value != want && id != \"C01\" {"),
	in(kafka, "C01 uncommitted reads", "both groups read what is not committed", effective, "effective.go", "\t\tkgo.FetchIsolationLevel(kgo.ReadCommitted()),\n", ""),
	in(kafka, "C01 uncommitted reads", "the notifier has options that are not looked at", "TestEffectiveOptionsAreTheMembers", "notifications.go", "slices.Concat(committedOnly(), ", "slices.Concat(committedOnly()[1:], "),
	in(kafka, "C02 a new group's begin", "any beginning passes", effective, "effective.go", "value != want {", "value != want && id != \"C02\" {"),
	in(kafka, "C02 a new group's begin", "both groups begin at the end", effective, "effective.go", "kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),", "kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()),"),
	in(kafka, "C03 lost positions", "any jump passes", effective, "effective.go", "value != want {", "value != want && id != \"C03\" {"),
	in(kafka, "C03 lost positions", "both groups jump to the start", effective, "effective.go", "\t\tkgo.ConsumeResetOffset(kgo.NoResetOffset()),\n", ""),
	in(kafka, "C06 commits beside the work", "commits by the client pass", effective, "effective.go", "value != want {", "value != want && id != \"C06\" {"),
	in(kafka, "C06 commits beside the work", "the client commits by itself", effective, "effective.go", "return []kgo.Opt{kgo.DisableAutoCommit()}", "return nil"),
}

const (
	deleted  = "TestC04CommitBelowTheLogsStart/kfake"
	near     = "TestC04RetentionComesNear"
	pace     = "TestC04PaceOfTheGroup"
	nothing  = "TestGroupChecksOfNothing/kfake"
	unseen   = "TestGroupChecksDenied"
	forgot   = "TestC05OffsetsThatExpire/kfake"
	forgets  = "TestC05OneOfTheBrokersForgets"
	groupsGo = "doctor_groups.go"
	lookGo   = "doctor_look.go"
)

// ofCommits are about the committed offsets.
var ofCommits = []mutant{
	in(kafka, "C04 commit below the log", "a log that begins above the commit passes", deleted, groupsGo, "\t\tif k < b.Start {", "\t\tif false {"),
	in(kafka, "C04 commit below the log", "a log that begins at the commit fails", deleted, groupsGo, "\t\tif k < b.Start {", "\t\tif k <= b.Start {"),
	in(kafka, "C04 commit below the log", "a partition without a commit is taken for one that lost events", nothing, groupsGo, "\t\tif k < 0 {\n\t\t\tcontinue\n", "\t\tif k < -1 {\n\t\t\tcontinue\n"),
	in(kafka, "C04 commit below the log", "a group without commits passes as looked at", nothing, groupsGo, "\tcase committed == 0:", "\tcase false:"),
	in(kafka, "C04 age", "events of any age are judged", near, groupsGo, "nextAges(ctx, g.cfg, s, waiting, retention/2)", "nextAges(ctx, g.cfg, s, waiting, 0)"),
	in(kafka, "C04 age", "old events are passed over", near, lookGo, "!ok || next >= from.Offset {", "!ok || next >= min(0, from.Offset) {"),
	in(kafka, "C04 age", "retention without an end is held against them", near, groupsGo, "\tif retention == Forever {", "\tif false {"),
	in(kafka, "C04 near", "a group that stands still passes", near, groupsGo, "\t\tif !moves {", "\t\tif !moves && false {"),
	in(kafka, "C04 near", "a group that is too slow passes", pace, groupsGo, "left < drainMargin*drain {", "false {"),
	in(kafka, "C04 near", "a group that is just fast enough passes", pace, groupsGo, "left < drainMargin*drain {", "left < drain {"),
	in(kafka, "C04 near", "a group that is fast enough is warned of", pace, groupsGo, "left < drainMargin*drain {", "drain > 0 {"),
	in(kafka, "C04 near", "settings that are hidden pass", unseen, groupsGo, "return preflight.NotSeen(err, \"grant DescribeConfigs on \"+g.cfg.Topic(\"events\"))", "return preflight.Passed(\"\")"),
	in(kafka, "C05 offsets expire", "partitions whose commits are gone pass", forgot, groupsGo, "ok && k < 0 {", "ok && k < -1 {"),
	in(kafka, "C05 offsets expire", "a day and less passes with a warning", forgot, groupsGo, "\tif span < offsetsKeptMin {", "\tif false {"),
	in(kafka, "C05 offsets expire", "a day fails", forgot, groupsGo, "\tif span < offsetsKeptMin {", "\tif span <= offsetsKeptMin {"),
	in(kafka, "C05 offsets expire", "less than a week passes", forgot, groupsGo, "\tif span < offsetsKeptWish {", "\tif span < offsetsKeptMin {"),
	in(kafka, "C05 offsets expire", "a week is warned of", forgot, groupsGo, "\tif span < offsetsKeptWish {", "\tif span <= offsetsKeptWish {"),
	in(kafka, "C05 offsets expire", "the first broker is taken for all", forgets, lookGo, "if found == 0 || n < least {", "if found == 0 {"),
	in(kafka, "C05 offsets expire", "the last broker is taken for all", forgets, lookGo, "if found == 0 || n < least {", "if true {"),
	in(kafka, "C05 offsets expire", "a broker that hides the setting passes", forgets, lookGo, "if found == 0 || found < len(brokers) {", "if found == 0 {"),
	in(kafka, "C05 offsets expire", "brokers that may not be asked pass", unseen, groupsGo, "return preflight.NotSeen(err, \"grant DescribeConfigs on the cluster\")", "return preflight.Passed(\"\")"),
	in(kafka, "C04, C05, C07, C08, C10", "a group that is hidden passes", unseen, groupsGo, "\t\t\tcase err != nil:\n\t\t\t\treturn preflight.NotSeen(err, \"see that", "\t\t\tcase err != nil:\n\t\t\t\treturn preflight.Passed(\"see that \" + fmt.Sprint(err) + \""),
	in(kafka, "C04, C05, C07, C08, C10", "a topic that is not there passes", nothing, groupsGo, "\t\t\tcase len(s.bounds) == 0:", "\t\t\tcase false:"),
}

const (
	crowd   = "TestC07MoreMembersThanPartitions/kfake"
	odd     = "TestC08StrangersInTheGroup/kfake"
	newer   = "TestC08NewerProtocol/kfake"
	still   = "TestC10MemberThatDoesNotMove/kfake"
	stuck   = "TestC10WhatCountsAsStuck"
	sharing = "TestC11ShareGroupOnEvents/kfake"
	shareGo = "doctor_share.go"
)

// ofMembers are about who is in the processors' group, and beside it.
var ofMembers = []mutant{
	in(kafka, "C07 more members than partitions", "members are not counted", crowd, groupsGo, "max(members, g.opts.Slots) > partitions", "g.opts.Slots > partitions"),
	in(kafka, "C07 more members than partitions", "slots are not counted", crowd, groupsGo, "max(members, g.opts.Slots) > partitions", "members > partitions"),
	in(kafka, "C07 more members than partitions", "as many are warned of", crowd, groupsGo, "max(members, g.opts.Slots) > partitions", "max(members, g.opts.Slots) >= partitions"),
	in(kafka, "C08 strangers in the group", "a reader of another name passes", odd, groupsGo, "\t\tif m.slot < 0 {", "\t\tif m.slot < -1 {"),
	in(kafka, "C08 strangers in the group", "another assignor passes", odd, groupsGo, "case s.protocol != \"\" && s.protocol != cooperative:", "case false:"),
	in(kafka, "C08 strangers in the group", "a rebalance is taken for another assignor", "TestC08RebalanceUnderWay", groupsGo, "case s.protocol != \"\" && s.protocol != cooperative:", "case s.protocol != cooperative:"),
	in(kafka, "C08 strangers in the group", "members of the newer protocol are not asked for", newer, lookGo, "\tif len(g.Members) > 0 {", "\tif true {"),
	in(kafka, "C08 strangers in the group", "the newer protocol passes", newer, groupsGo, "\tcase s.kind != \"classic\":", "\tcase false:"),
	in(kafka, "C08 strangers in the group", "an empty group passes as looked at", nothing, groupsGo, "\tcase len(s.members) == 0:", "\tcase false:"),
	in(kafka, "C10 watch", "the second look comes at once", still, lookGo, "if !still || l.after >= watchMax {", "if !still || l.after >= 0 {"),
	in(kafka, "C10 watch", "what moves is stuck", stuck, groupsGo, " && later.commits[p] == s.commits[p] {", " {"),
	in(kafka, "C10 watch", "what went to another member is stuck", stuck, groupsGo, "ok && m.id == s.owners[p].id && ", "ok && m.id != \"\" && "),
	in(kafka, "C10 member that does not move", "it passes", still, groupsGo, "\tif len(stuck) > 0 {", "\tif false {"),
	in(kafka, "C10 member that does not move", "an event that came just now makes it stuck", still, groupsGo, "frozen, g.opts.Stall)", "frozen, 0)"),
	in(kafka, "C10 member that does not move", "a long transaction makes it stuck", still, groupsGo, "return t.Open && t.Slot == s.owners[p].slot", "return false"),
	in(kafka, "C10 member that does not move", "a transaction that ended excuses it", still, groupsGo, "return t.Open && t.Slot ==", "return t.Slot =="),
	in(kafka, "C10 member that does not move", "any slot's transaction excuses it", stuck, groupsGo, "return t.Open && t.Slot == s.owners[p].slot", "return t.Open"),
	in(kafka, "C10 member that does not move", "a stranger's partition is a processor's", stuck, lookGo, "return !ok || m.slot < 0 })", "return !ok || m.slot < -1 })"),
	in(kafka, "C10 member that does not move", "what is open is waited for", stuck, lookGo, "max(s.bounds[i].Stable-k, 0)", "max(s.bounds[i].End-k, 0)"),
	in(kafka, "C10 member that does not move", "transactions that are hidden pass", stuck, groupsGo, "return preflight.NotSeen(err, \"grant Describe on the transactional IDs", "return preflight.Passed(\"grant Describe on the transactional IDs\" + fmt.Sprint(err) + \""),
	in(kafka, "C11 share groups", "one that reads events passes", sharing, shareGo, "slices.Contains(g.SubscribedTopics(), topic) {", "false {"),
	in(kafka, "C11 share groups", "one that reads another topic fails", sharing, shareGo, "slices.Contains(g.SubscribedTopics(), topic) {", "len(g.SubscribedTopics()) > 0 {"),
	in(kafka, "C11 share groups", "one that has no member now passes", sharing, shareGo, "; ok {\n\t\t\tbefore =", "; ok && false {\n\t\t\tbefore ="),
	in(kafka, "C11 share groups", "brokers without them are not understood", "TestC11OlderBrokers", shareGo, "if g.ProtocolType != \"share\" {", "if g.ProtocolType == \"none\" {"),
	in(kafka, "C11 hidden share groups", "a user from whom groups are hidden passes", unseen, shareGo, "allowed&(1<<kmsg.ACLOperationDescribe) == 0 {", "allowed&(1<<kmsg.ACLOperationDescribe) < 0 {"),
	in(kafka, "C11 hidden share groups", "any right at the cluster shows all groups", unseen, shareGo, "allowed&(1<<kmsg.ACLOperationDescribe) == 0 {", "allowed == 0 {"),
	in(kafka, "C11 hidden share groups", "one that may not be described passes", "TestC11HiddenShareGroup", shareGo, "cmp.Or(err, denied, g.Err); slices", "cmp.Or(err, g.Err); denied == nil && slices"),
	in(kafka, "C11 hidden share groups", "one that may not be described hides the others", "TestC11HiddenShareGroup", shareGo, "range listed.Groups() { // one by one", "range listed.Groups()[:1] { // one by one"),
	in(kafka, "C11 hidden share groups", "what could not be seen hides what was", "TestC11HiddenShareGroup", shareGo, "\tcase len(now) > 0:", "\tcase len(now) > 0 && err == nil:"),
}

const (
	fro      = "TestSlotsThatGoToAndFro"
	hidden   = "TestLeasesThatAreHidden"
	lives    = "TestC12TwoLivesUnderOnePrefix"
	alive    = "TestC13ProducersWithoutALease"
	wentOn   = "TestC13WentOn"
	leasesGo = "doctor_leases.go"
)

// ofLeases are about what processes share by their prefix.
var ofLeases = []mutant{
	deployed("C09 two of one instance", "they pass", fro, leasesGo, "len(who) > 1 {", "len(who) > 2 {"),
	deployed("C09 two of one instance", "one that loses its slot is two", fro, leasesGo, "len(who) > 1 {", "len(who) > 0 {"),
	deployed("C09 two of one instance", "a takeover is a quarrel", fro, leasesGo, "const fencesMany = 3", "const fencesMany = 2"),
	deployed("C09 two of one instance", "losses of other slots are counted", fro, leasesGo, "lost[f.Slot] = append(lost[f.Slot], f)", "lost[0] = append(lost[0], f)"),
	deployed("C09 two of one instance", "two instances are one", fro, leasesGo, "if f.Owner == fences[0].Owner && ", "if "),
	deployed("C09 two of one instance", "processes without a name have one", fro, leasesGo, "strings.HasPrefix(f.Owner, instanceOwner) && ", ""),
	deployed("C09 two of one instance", "losses that are hidden pass", hidden, leasesGo, "\t\t\tif err != nil {\n\t\t\t\treturn denied(err)\n\t\t\t}\n\t\t\treturn sharedInstance", "\t\t\t_ = err\n\t\t\treturn sharedInstance"),
	in(redis, "C09 two of one instance", "losses count for ever", "TestFences", "owner.go", " && now.Sub(f.At) < FencesKept {", " {"),
	deployed("C12 two lives under one prefix", "another life passes", lives, leasesGo, "\tcase ours:", "\tdefault:\n\t\treturn preflight.Passed(\"\")\n\tcase ours:"),
	deployed("C12 two lives under one prefix", "a topic that was made anew is the same life", lives, "slot.go", "\", topic ID \" + m.TopicID", "\", topic ID \""),
	deployed("C12 two lives under one prefix", "another cluster is the same life", lives, "slot.go", "\"cluster \" + m.ClusterID + ", "\"cluster \" + "),
	deployed("C12 two lives under one prefix", "keys that nobody has pass as looked at", lives, leasesGo, "\tcase \"\":", "\tcase \"x\":"),
	deployed("C12 two lives under one prefix", "a claim that is hidden passes", hidden, leasesGo, "\t\t\tif err != nil {\n\t\t\t\treturn denied(err)\n\t\t\t}\n\t\t\treturn namespace", "\t\t\t_ = err\n\t\t\treturn namespace"),
	deployed("C12 two lives under one prefix", "a session without a manifest is judged", lives, leasesGo, "\t\t\tif manifest == nil {", "\t\t\tif false {"),
	deployed("C12 renewal", "the claim is not renewed", "TestC12ClaimsAreRenewed", "slot.go", "\t\t\t_ = leases.Claim(ctx, life) //", "\t\t\t//"),
	in(redis, "C12 renewal", "another life's claim passes for one's own", "TestClaim", "owner.go", "\tif held != life {", "\tif false {"),
	deployed("C13 shared transactional IDs", "a producer without a lease passes", alive, leasesGo, "\t\tcase was.WentOn(is):", "\t\tcase was.WentOn(is) && is == nil:"),
	deployed("C13 shared transactional IDs", "a producer with a lease fails", alive, leasesGo, "\t\tif held == \"\" {", "\t\tif len(held) >= 0 {"),
	deployed("C13 shared transactional IDs", "a stranger's ID passes", alive, leasesGo, "\t\tif held == \"\" {", "\t\tif held == \"\" && all[i].Slot >= 0 {"),
	deployed("C13 shared transactional IDs", "what is left open passes", alive, leasesGo, "\t\tcase was.Open && is.Open:", "\t\tcase false:"),
	deployed("C13 shared transactional IDs", "what was left open and ended is warned of", alive, leasesGo, "\t\tcase was.Open && is.Open:", "\t\tcase true:"),
	deployed("C13 patience", "Redis that lost its leases just now refuses a start", alive, leasesGo, "|| time.Since(began) > patience {", "|| time.Since(began) >= 0 {"),
	deployed("C13 patience", "it is looked at until the time for all is over", alive, leasesGo, "patience = min(patience, time.Until(deadline)*3/4)", "patience = min(patience, time.Until(deadline)*2)"),
	deployed("C13 slots lost again", "they pass", fro, leasesGo, "\t\tif len(rivals(lost)) < 2 {", "\t\tif false {"),
	deployed("C13 slots lost again", "those of one instance are told twice", fro, leasesGo, "\t\tif len(rivals(lost)) < 2 {", "\t\tif true {"),
	deployed("C13 slots lost again", "they refuse a start", fro, leasesGo, "\tcase len(bad) > 0:\n\t\treturn preflight.Failed(strings.Join(slices.Concat", "\tcase len(bad)+len(lostAgain) > 0:\n\t\treturn preflight.Failed(strings.Join(slices.Concat"),
	deployed("C13 shared transactional IDs", "losses that are hidden pass", hidden, leasesGo, "\t\t\tif err != nil {\n\t\t\t\treturn denied(err)\n\t\t\t}\n\t\t\tif manifest,", "\t\t\t_ = err\n\t\t\tif manifest,"),
	in(kafka, "C13 environments share IDs", "one that goes on with transaction after transaction stands still", wentOn, "slottransactions.go", "return t.epoch != later.epoch || ", "return "),
	in(kafka, "C13 environments share IDs", "one that goes on within an epoch stands still", wentOn, "slottransactions.go", " || t.Open && later.Open && t.started != later.started", ""),
	in(kafka, "C13 environments share IDs", "a transaction that ran into its timeout is somebody's work", wentOn, "slottransactions.go", "\tcase \"PrepareAbort\", \"CompleteAbort\",", "\tcase"),
	in(kafka, "C13 environments share IDs", "IDs that are hidden are none", "TestSlotTransactionsDenied", "slottransactions.go", "ask := []string{prefix + \"0\"}", "ask := []string{\"\"}[1:]"),
}

const recordsGo = "doctor_records.go"

// ofRecords are about what senders sent.
var ofRecords = []mutant{
	in(kafka, "P01 another partitioner", "it passes", "TestP01SendersOfAnotherPartitioner/kfake", recordsGo, "} else if wire.PartitionFor(k.Key, s.partitions) != k.Partition {", "} else if false {"),
	in(kafka, "P01 another partitioner", "keys are spread over the topic's partitions, and not the manifest's", "TestP01TopicGrew", recordsGo, "\t\ts.partitions = manifest.Partitions\n", ""),
	in(kafka, "P01 another partitioner", "players' keys are told", "TestRecordChecksSayTheSources", recordsGo, "\tif len(k.Key) >= keyHiddenMin {", "\tif false {"),
	in(kafka, "P02 events without a key", "none passes for one", "TestP02EventsWithoutAKey/kfake", recordsGo, "\t\tif len(k.Key) == 0 {", "\t\tif false {"),
	in(kafka, "P02 events without a key", "an empty one passes for one", "TestP02EventsWithoutAKey/kfake", recordsGo, "\t\tif len(k.Key) == 0 {", "\t\tif k.Key == nil {"),
	in(kafka, "P04 senders without idempotence", "they pass", "TestP04SendersWithoutIdempotence/kfake", recordsGo, "\t\tif k.ProducerID < 0 {", "\t\tif false {"),
	in(kafka, "P05 senders with transactions", "records in transactions pass", "TestP05SendersWithTransactions/kfake", recordsGo, "if s.controls > 0 || s.transacted.all > 0 {", "if s.controls > 0 {"),
	in(kafka, "P05 senders with transactions", "ends of transactions pass", "TestP05SendersWithTransactions/kfake", recordsGo, "if s.controls > 0 || s.transacted.all > 0 {", "if s.transacted.all > 0 {"),
	in(kafka, "P05 senders with transactions", "what is open is not read", "TestP05SendersWithTransactions/kfake", recordsGo, "isolation: kgo.ReadUncommitted()", "isolation: kgo.ReadCommitted()"),
	in(kafka, "P05 senders with transactions", "the oldest records are looked at", "TestP05SendersWithTransactions/kfake", recordsGo, "max(b.Start, b.End-sampleRecords)", "b.Start"),
	in(kafka, "P01, P02, P04, P05", "records that may not be read are none", "TestRecordChecksDenied", recordsGo, "\t\t\tcase err != nil:\n", "\t\t\tcase err != nil && s == nil:\n"),
	in(kafka, "P01, P02, P04, P05", "a topic without events passes", "TestRecordChecksOfNothing/kfake", recordsGo, "case s.records+s.controls == 0:", "case false:"),
	in(kafka, "P01, P02, P04, P05", "a topic that is not there is unknown", "TestRecordChecksOfNothing/kfake", recordsGo, "case errors.Is(err, ErrNoTopic):", "case false:"),
}
