package main

// Mutants of what the doctor's rows about Kafka look for: each takes
// a condition out, so that something that is wrong passes, or something that is
// right is found wrong.

// looked is a mutant of a row, which a test on brokers of kfake has to kill.
func looked(protection, without, test, file, old, new string) mutant {
	return in(kafka, protection, without, test, file, old, new)
}

const (
	atBrokers   = "doctor_brokers.go"
	ofQuotas    = "doctor_brokers_quotas.go"
	ofSettings  = "doctor_brokers_settings.go"
	ofTimes     = "doctor_brokers_times.go"
	ofOpen      = "doctor_transactions.go"
	atGates     = "gates.go"
	oneOfThree  = "TestK03K04K13K16OneOfThree"
	lead        = "TestK01WhereAddressesLead"
	advertised  = "TestK01AdvertisedAddresses"
	embedded    = "TestK01K03K04K13K16EmbeddedByItsRack"
	ofMetadata  = "TestK01K03WhatTheMetadataSays"
	eachDurable = "TestK02EachDurableTopic"
	hiddenTopic = "TestK02K05K09HiddenIsUnknown"
	allGates    = "TestK02K05K09K10K11Gates/kfake"
	counts      = "TestK10Counts"
	identities  = "TestK11EachIdentity"
	eachOpen    = "TestK12EachCase"
	eachBroker  = "TestK15EachBroker"
	retentions  = "TestK06RetentionShorterThanAReplay/kfake"
	eachPart    = "TestK06K07K08EachPartition"
	oldTimes    = "TestK07OldTimesOfAFile/kfake"
	clocks      = "TestK08Clocks"
	quotas      = "TestK14Quotas/kfake"
	application = "internal/app/"
)

var doctorKafka = []mutant{
	looked("K01 one address", "one address of several brokers that leads to all of them is none", advertised, atBrokers, "case len(at[addr]) > 1 && len(served) > 0:", "case false:"),
	looked("K01 one address", "one address of several brokers that leads nowhere is none", advertised, atBrokers, "case len(at[addr]) > 1:", "case false:"),
	looked("K01 one address", "an address may lead to another broker", lead, atBrokers, "return node != at[addr][0] })", "return false && node != at[addr][0] })"),
	looked("K01 broker of another cluster", "a broker that is none of these is taken for the first", lead, atBrokers, "	by = strange\n", ""),
	looked("K01 broker of another cluster", "one of the same number passes", lead, atBrokers, "; id != c.id {", "; false && id != c.id {"),
	looked("K01 broker of another cluster", "a broker that is none of these is passed over", lead, atBrokers, "		a.served[addr] = append(a.served[addr], by)\n		if by != strange {\n			a.settings", "		if by != strange {\n			a.served[addr] = append(a.served[addr], by)\n			a.settings"),
	looked("K01 several connections", "one connection to each address is enough", lead, atBrokers, "slices.Sorted(maps.Keys(c.nodes)), connectionsEach", "slices.Sorted(maps.Keys(c.nodes)), 1"),
	looked("K01 several connections", "connections that failed beside others say nothing", lead, atBrokers, "len(tries) > 0 && len(a.served[addr]) > 0 {", "false {\n			_ = tries"),
	looked("K01 one broker", "one broker is looked at as several are", "TestK01OneBrokerAndThree", atBrokers, "	if len(c.nodes) == 1 {\n		f :=", "	if len(c.nodes) == 0 {\n		f :="),
	looked("K01 one broker", "several brokers are left out as one is", lead, atBrokers, "	if len(c.nodes) == 1 {\n		f :=", "	if len(c.nodes) >= 1 {\n		f :="),
	looked("K01 away", "a broker that does not answer is as it should be", advertised, atBrokers, "	case len(a.away) > 0:\n", "	case false:\n"),
	looked("K01 away", "who answered on no connection is not missed", advertised, atBrokers, "		a.away = append(a.away, brokerAway(node, addr, a.failed[addr][0]))\n", ""),
	looked("K01 away", "a broker that only has replicas is not missed", ofMetadata, atBrokers, "					c.gone = append(c.gone, node)\n", ""),
	looked("K01 denied", "brokers that deny their settings are as they should be", "TestDeniedOneIsNotAll", atBrokers, "	case a.denied != nil:\n		f = ", "	case false:\n		f = "),
	looked("K01 denied", "who is denied is told to look at the network", "TestDeniedBrokersAreUnknown", atBrokers, "[]error{errDenied, kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed}", "[]error{errDenied, kerr.TopicAuthorizationFailed}"),
	in(application, "K01 before the gate", "who waits for brokers that lead nowhere is not told why", "TestK01IsToldToWhoWaits", "await.go", "refusal != nil {\n				return service.Permanent(refusal)", "refusal != nil && false {\n				return service.Permanent(refusal)"),

	looked("K02 copies", "two copies are enough", eachDurable, atGates, "		if replicas < replicationMin {\n", "		if replicas < replicationMin-1 {\n"),
	looked("K02 copies", "production asks for no copies", eachDurable, atGates, "\"prod\" && len(few) > 0 {", "\"prod\" && false {"),
	looked("K02 in sync", "one copy in sync is enough", eachDurable, atGates, "		if inSync < inSyncMin {\n", "		if inSync < inSyncMin-1 {\n"),
	looked("K02 in sync", "production asks for none in sync", eachDurable, atGates, "\"prod\" && len(soon) > 0 {", "\"prod\" && false {"),
	looked("K02 in sync", "what is hidden passes", hiddenTopic, atGates, "		if err != nil {\n			return preflight.NotSeen(fmt.Errorf(\"%s: min.insync", "		if err != nil && false {\n			return preflight.NotSeen(fmt.Errorf(\"%s: min.insync"),
	looked("K02 unclean election", "it is not looked at", eachDurable, atGates, "if settings[\"unclean.leader.election.enable\"] == \"true\" {", "if false {"),
	looked("K02 unclean election", "only production asks for none", "TestK02UncleanElectionIsSeen", atGates, "	wrong := unclean\n", "	wrong := unclean\n	if g.opts.Profile != \"prod\" {\n		wrong = nil\n	}\n"),
	looked("K02 profile dev", "it asks for copies as production does", allGates, atGates, "	if g.opts.Profile == \"prod\" && len(few) > 0 {", "	if len(few) > 0 {"),
	looked("K02 profile dev", "it does not say what production will ask for", eachDurable, atGates, "		if len(few)+len(soon) > 0 {", "		if false {"),
	looked("K02 durable topics", "events is not among them", eachDurable, atGates, "[]string{g.cfg.Topic(\"events\"), ", "[]string{"),
	looked("K02 durable topics", "notifications is not among them", eachDurable, atGates, "g.cfg.Topic(\"notifications\"), ", ""),
	looked("K02 durable topics", "rejected is not among them", eachDurable, atGates, "g.cfg.Topic(\"rejected\"), ", ""),
	looked("K02 durable topics", "manifest is not among them", eachDurable, atGates, "g.cfg.Topic(\"manifest\"), g", "g"),
	looked("K02 durable topics", "snapshots is not among them", eachDurable, atGates, ", g.cfg.Topic(\"snapshots\")}", "}"),

	looked("K03 each topic", "offsets are not looked at", oneOfThree, ofSettings, "{{offsetsTopic, offsetsReplicationName}, {transactionTopic", "{{transactionTopic"),
	looked("K03 each topic", "the transactions' states are not looked at", oneOfThree, ofSettings, "offsetsReplicationName}, {transactionTopic, txnReplicationName}}", "offsetsReplicationName}}"),
	looked("K03 copies", "two copies are enough", oneOfThree, ofSettings, "		if replicas < replicationMin {\n", "		if replicas < replicationMin-1 {\n"),
	looked("K03 copies", "the first partition stands for all", ofMetadata, ofSettings, "			replicas = min(replicas, len(t.partitions[i].Replicas))", "			replicas = len(t.partitions[i*0].Replicas)"),
	looked("K03 copies", "the setting of the last broker stands for all", oneOfThree, ofSettings, "		replicas = min(replicas, int(n))", "		replicas = int(n)"),
	looked("K03 copies", "a topic that exists is judged by the setting", ofMetadata, ofSettings, "	case c.exists(topic):\n", "	case false:\n"),
	looked("K03 profiles", "production asks for no copies", oneOfThree, ofSettings, "	case d.opts.Profile == \"prod\":\n		f = ", "	case false:\n		f = "),
	looked("K03 profiles", "profile dev asks for copies", oneOfThree, ofSettings, "	case d.opts.Profile == \"prod\":\n		f = ", "	case true:\n		f = "),
	looked("K03 profiles", "profile dev does not say what production will ask for", oneOfThree, ofSettings, "		f.Production = fmt.Sprintf(\"3 replicas", "		_ = fmt.Sprintf(\"3 replicas"),
	looked("K03 unknown", "a topic that is denied passes for one that is not there yet", "TestDeniedOneIsNotAll", ofSettings, "	case t.err != nil && !errors.Is(t.err, kerr.UnknownTopicOrPartition):", "	case t.err != nil && !errors.Is(t.err, kerr.UnknownTopicOrPartition) && false:"),
	looked("K03 unknown", "brokers that deny their settings are not said to", "TestK03DeniedSettings", ofSettings, "	if a.denied != nil {\n		return 0, \"\", a.denied\n	}\n", ""),

	looked("K04 every broker", "a broker that creates topics passes", oneOfThree, ofSettings, "value != \"false\" {", "false {"),
	looked("K04 profiles", "profile dev asks for the setting as production does", oneOfThree, ofSettings, "if len(wrong) > 0 && d.opts.Profile != \"prod\" {", "if false {"),
	looked("K04 profiles", "production lets it pass as profile dev does", oneOfThree, ofSettings, "if len(wrong) > 0 && d.opts.Profile != \"prod\" {", "if len(wrong) > 0 {"),
	looked("K04 profiles", "profile dev does not say what production will ask for", oneOfThree, ofSettings, "		f.Production = autoCreateName", "		_ = autoCreateName"),
	looked("K04 unknown", "a broker that hides the setting has it as it should be", oneOfThree, ofSettings, "			return nil, fmt.Errorf(\"broker %d hides %s: %w\", node, name, errDenied)\n", "			continue\n"),
	looked("K04 embedded", "the embedded broker of another process is asked for what it has not", embedded, atBrokers, "if settings[rackName] == kafka.EmbeddedRack {", "if settings[rackName] == kafka.EmbeddedRack+\"s\" {"),
	looked("K04 embedded", "the embedded broker of this process is asked for what it has not", "TestEmbeddedBrokerIsLeftAlone", atBrokers, "	if d.cfg.BootID != \"\" {\n", "	if false {\n"),
	looked("K04 embedded", "every broker is left alone as the embedded one is", oneOfThree, atBrokers, "if settings[rackName] == kafka.EmbeddedRack {", "if settings[rackName] != kafka.EmbeddedRack {"),

	looked("K05 compaction", "compact beside delete passes", allGates, atGates, "	case value != \"delete\":\n", "	case value == \"compact\":\n"),
	looked("K05 compaction", "what is hidden passes", hiddenTopic, atGates, "	if value == \"\" {\n", "	if value == \"\" && name != \"cleanup.policy\" {\n"),
	looked("K05 compaction", "a topic that is not there is hidden", identities, atGates, "; !exists {\n", "; !exists && name != \"cleanup.policy\" {\n"),

	looked("K06 by time", "days are never too few", retentions, ofTimes, "	if age < need {\n", "	if false {\n"),
	looked("K06 by time", "the time for repair is not needed", retentions, ofTimes, "need := d.opts.SnapshotInterval + repairTime", "need := d.opts.SnapshotInterval"),
	looked("K06 by time", "the snapshots' interval is not needed", retentions, ofTimes, "need := d.opts.SnapshotInterval + repairTime", "need := repairTime"),
	looked("K06 by time", "no limit is the shortest", retentions, ofTimes, "	if n < 0 {\n", "	if false {\n"),
	looked("K06 by bytes", "bytes are not looked at", retentions, ofTimes, "	if bytes == math.MaxInt64 {\n		return preflight.Passed(seen + \"; needed", "	if true {\n		return preflight.Passed(seen + \"; needed"),
	looked("K06 by bytes", "too few bytes are not", retentions, ofTimes, "		if lasts < need {\n", "		if false {\n"),
	looked("K06 by bytes", "what is too young to say passes", retentions, ofTimes, "	case len(thin) > 0:\n", "	case false:\n"),
	looked("K06 by bytes", "an hour is not needed for a rate", retentions, ofTimes, "p.start < 0 || size <= 0 || span < rateSpan {", "p.start < 0 || size <= 0 {"),
	looked("K06 by bytes", "a partition that is short hides behind one that is young", eachPart, ofTimes, "	case len(short) > 0:\n", "	case len(short) > 0 && len(thin) == 0:\n"),
	looked("K06 by bytes", "the first partition stands for all", eachPart, ofTimes, "	now := time.Now()\n	for _, p := range r.partitions {\n		size,", "	now := time.Now()\n	for _, p := range r.partitions[:1] {\n		size,"),
	looked("K06 no snapshots", "the log's end is as good as its start", retentions, ofTimes, "	if d.opts.SnapshotInterval == 0 {\n", "	if false {\n"),
	looked("K06 no snapshots", "bytes may be limited", retentions, ofTimes, "	if age == Forever && bytes == math.MaxInt64 {", "	if age == Forever {"),
	looked("K06 no snapshots", "time may be limited", eachPart, ofTimes, "	if age == Forever && bytes == math.MaxInt64 {", "	if bytes == math.MaxInt64 {"),
	looked("K06 no snapshots", "what is lost already is a warning", retentions, ofTimes, "			f.State = preflight.Fail\n", ""),
	looked("K06 no snapshots", "the first partition stands for all", eachPart, ofTimes, "	for _, p := range r.partitions {\n		if p.start > 0 {", "	for _, p := range r.partitions[:1] {\n		if p.start > 0 {"),
	looked("K06 unknown", "an events topic that is denied is not there", "TestDeniedOneIsNotAll", atBrokers, "	return c.exists(topic), c.hidden\n", "	return c.exists(topic) && c.hidden == nil, nil\n"),
	looked("K06 unknown", "a retention that is hidden is no limit", hiddenTopic, ofTimes, "		return 0, fmt.Errorf(\"events: %s is hidden: %w\", name, errDenied)\n", "		return math.MaxInt64, nil\n"),

	looked("K07 senders' times", "they are as good as the brokers'", oldTimes, ofTimes, "	case kind == \"LogAppendTime\", age == Forever:", "	case kind != \"\", age == Forever:"),
	looked("K07 senders' times", "the brokers' are as bad as the senders'", oldTimes, ofTimes, "	case kind == \"LogAppendTime\", age == Forever:", "	case age == Forever:"),
	looked("K07 senders' times", "a log that keeps everything deletes", oldTimes, ofTimes, "	case kind == \"LogAppendTime\", age == Forever:", "	case kind == \"LogAppendTime\":"),
	looked("K07 old records", "no record is too old", oldTimes, ofTimes, "age > Forever-segment || old <= age+segment {", "true {\n			_ = old"),
	looked("K07 old records", "a segment's age is not allowed for", oldTimes, ofTimes, "old <= age+segment {", "old <= age {"),
	looked("K07 old records", "the first partition stands for all", eachPart, ofTimes, "	for _, p := range r.partitions {\n		old := now", "	for _, p := range r.partitions[:1] {\n		old := now"),
	looked("K07 old records", "the newest record is judged, not the first", oldTimes, ofTimes, "		old := now.Sub(p.first)", "		old := now.Sub(p.newest)"),
	looked("K07 nothing old yet", "it passes", oldTimes, ofTimes, "		State: preflight.Warn, Observed: seen + \"; no record", "		State: preflight.Pass, Observed: seen + \"; no record"),

	looked("K08 clocks", "a clock that is behind is right", clocks, ofTimes, "return c.Ahead.Abs()-c.Error > clockSkewMax", "return c.Ahead-c.Error > clockSkewMax"),
	looked("K08 clocks", "a clock that is ahead is right", clocks, ofTimes, "return c.Ahead.Abs()-c.Error > clockSkewMax", "return -c.Ahead-c.Error > clockSkewMax"),
	looked("K08 clocks", "how far a reading may be off is not allowed for", clocks, ofTimes, "return c.Ahead.Abs()-c.Error > clockSkewMax", "return c.Ahead.Abs() > clockSkewMax"),
	looked("K08 clocks", "an answer is as old as its question", clocks, ofTimes, "shown.Sub(asked.Add(half))", "shown.Sub(asked)"),
	looked("K08 clocks", "a clock that is wrong is only seen", clocks, ofTimes, "			wrong = append(wrong, c.String())\n			continue\n", ""),
	looked("K08 controller", "its clock is not looked at", clocks, ofTimes, "		note(d.controllerClock(ctx))\n", "		_ = d.controllerClock\n"),
	looked("K08 controller", "another voter's time is its own", "TestK08Controller", ofTimes, "v.ReplicaID == p.LeaderID && v.Last", "v.Last"),
	looked("K08 unknown", "a clock that cannot be read is right", clocks, ofTimes, "			unseen = append(unseen, err.Error())\n", ""),
	looked("K08 append times", "a record of the future is no sign", clocks, ofTimes, "ahead > clockSkewMax {", "false {\n		_ = ahead"),
	looked("K08 append times", "a sender's time is taken for a broker's", clocks, ofTimes, " || c.settings[\"message.timestamp.type\"] != \"LogAppendTime\" {", " {"),
	looked("K08 append times", "the first partition stands for all", eachPart, ofTimes, "p.newest.After(r.partitions[at].newest)", "false && p.newest.After(r.partitions[at].newest)"),
	in(application, "K08 Redis", "its clocks are not looked at", "TestK08ClockOfRedis", "doctor_brokers.go", "			return redisClocks(ctx, client)", "			return nil, nil"),
	in(application, "K08 Redis", "the clock of one that does not answer is right", "TestK08ClockOfRedis", "doctor_brokers.go", "	return clocks, err\n", "	_ = err\n	_ = err\n	return clocks, nil\n"),
	in(application, "K08 Redis", "one that is away is not what is missing", "TestK08ClockOfRedis", "doctor_brokers.go", "		if checks[i].ID == clocksID {", "		if false {"),

	looked("K09 brokers' time", "the senders' passes", allGates, atGates, "	case value != \"LogAppendTime\":\n", "	case value == \"\":\n"),
	looked("K09 brokers' time", "what is hidden passes", hiddenTopic, atGates, "	if value == \"\" {\n", "	if value == \"\" && name != \"message.timestamp.type\" {\n"),

	looked("K10 counts", "more partitions than the manifest's pass", allGates, atGates, "n != want {", "n < want {"),
	looked("K10 counts", "fewer partitions than the manifest's pass", counts, atGates, "n != want {", "n > want {"),
	looked("K10 counts", "they are not compared with the manifest", counts, atGates, "			want = o.manifest.Partitions\n", "			want = int32(len(t.Partitions))\n"),
	looked("K10 counts", "what is missing hides another count", counts, atGates, "	case len(other) > 0:\n", "	case len(other) > 0 && len(missing) == 0:\n"),
	looked("K10 missing", "topics may be missing", counts, atGates, "	case len(missing) > 0:\n", "	case false:\n"),
	looked("K10 missing", "the manifest may be missing", counts, atGates, "	case o.manifest == nil:\n		return preflight.Failed", "	case o.manifest == nil && false:\n		return preflight.Failed"),

	looked("K11 identity", "another cluster's manifest passes", identities, "topics_plan.go", "	case m.ClusterID != o.cluster:\n", "	case false:\n"),
	looked("K11 identity", "another topic's manifest passes", identities, "topics_plan.go", "	case m.Topic != events:\n", "	case false:\n"),
	looked("K11 identity", "a topic that is gone passes for another", identities, "topics_plan.go", "	case !ok:\n		return refuse(\"existence\"", "	case !ok && m == nil:\n		return refuse(\"existence\""),
	looked("K11 identity", "a topic that was made anew passes", allGates, "topics_plan.go", "	case existing.ID.String() != m.TopicID:\n", "	case false:\n"),
	looked("K11 identity", "what differs passes", identities, atGates, "	if len(changes) == 0 {\n", "	if len(changes) >= 0 {\n"),
	looked("K11 identity", "without a manifest everything differs", counts, atGates, "	if o.manifest == nil {\n		return preflight.Skipped(\"no manifest yet", "	if o.manifest == nil {\n		return preflight.Passed(\"no manifest yet"),

	looked("K12 hung", "what hangs is running", eachOpen, ofOpen, "				case h.transaction.Hangs(time.Now()):\n", "				case h.transaction.Hangs(time.Now()) && false:\n"),
	looked("K12 hung", "what hangs is only unknown", eachOpen, ofOpen, "		case len(hung) > 0:\n", "		case false:\n"),
	looked("K12 hung", "what is young hangs", eachOpen, ofOpen, "				case h.transaction.Hangs(time.Now()):\n", "				case h.transaction.Hangs(time.Now()) || true:\n"),
	looked("K12 each topic", "events is not looked at", eachOpen, ofOpen, "[]string{\"events\", \"notifications\", \"rejected\"}", "[]string{\"notifications\", \"rejected\"}"),
	looked("K12 each topic", "notifications is not looked at", eachOpen, ofOpen, "[]string{\"events\", \"notifications\", \"rejected\"}", "[]string{\"events\", \"rejected\"}"),
	looked("K12 each topic", "rejected is not looked at", eachOpen, ofOpen, "[]string{\"events\", \"notifications\", \"rejected\"}", "[]string{\"events\", \"notifications\"}"),
	looked("K12 unknown", "what has no timeout that is told is running", "TestK12DeniedIsUnknown", ofOpen, "				case h.transaction.Timeout == 0:\n", "				case false:\n"),
	looked("K12 unknown", "what could not be asked passes", "TestK12DeniedIsUnknown", ofOpen, "		case err != nil:\n			return preflight.NotSeen(err, fix)\n		case seen", "		case false:\n			return preflight.NotSeen(err, fix)\n		case seen"),
	looked("K12 unknown", "a log that is held back by nobody passes", eachOpen, ofOpen, "			err = r.unexplained(ctx, topic, b)\n", "			err = nil\n"),
	looked("K12 no topics", "where nothing is to be held back nothing is", "TestK12NoTopics", ofOpen, "		case seen == 0:\n", "		case false:\n"),
	looked("K12 no topics", "a topic that is missing is unknown", "TestK12NoTopics", ofOpen, "			if errors.Is(err, ErrNoTopic) {\n", "			if false {\n"),

	looked("K13 idle IDs", "an hour is enough", oneOfThree, ofSettings, "		case ms < idExpirationMin.Milliseconds():\n", "		case false:\n"),
	looked("K13 idle IDs", "a day is too little", oneOfThree, ofSettings, "		case ms < idExpirationMin.Milliseconds():\n", "		case ms <= idExpirationMin.Milliseconds():\n"),
	looked("K13 idle IDs", "a few days are not worth a word", oneOfThree, ofSettings, "			soon = true\n", ""),
	looked("K13 idle IDs", "a week is worth a word", oneOfThree, ofSettings, "		case ms < idExpirationDefault.Milliseconds():\n", "		case ms <= idExpirationDefault.Milliseconds():\n"),
	looked("K13 longest transaction", "any is long enough", oneOfThree, ofSettings, "		if ms < ours.Milliseconds() {\n", "		if false {\n"),
	looked("K13 longest transaction", "what is just long enough is not", oneOfThree, ofSettings, "		if ms < ours.Milliseconds() {\n", "		if ms <= ours.Milliseconds() {\n"),
	looked("K13 longest transaction", "the manifest's is not asked about", oneOfThree, ofSettings, "ours := max(d.opts.TransactionTimeout, manifestTxnTimeout)", "ours := d.opts.TransactionTimeout"),
	looked("K13 longest transaction", "the processor's is not asked about", oneOfThree, ofSettings, "ours := max(d.opts.TransactionTimeout, manifestTxnTimeout)", "ours := manifestTxnTimeout"),
	looked("K13 unknown", "what is no number passes", oneOfThree, ofSettings, "			return nil, nil, fmt.Errorf(\"read %s: %w\", text, err)\n", "			continue\n"),
	looked("K13 unknown", "a broker that addresses lead past is as the others", "TestK13ReachedByNobody", ofSettings, "		case a.denied == nil && len(a.served[c.nodes[node]]) > 0:\n", "		case false:\n"),

	looked("K14 quotas", "one that applies is none", quotas, ofQuotas, "	if len(apply) > 0 {\n", "	if false {\n"),
	looked("K14 quotas", "another user's is ours", quotas, ofQuotas, "			if d.opts.User != \"\" && *c.Name != d.opts.User {", "			if false {"),
	looked("K14 quotas", "any user's is another's where ours is not known", quotas, ofQuotas, "			if d.opts.User != \"\" && *c.Name != d.opts.User {", "			if *c.Name != d.opts.User {"),
	looked("K14 quotas", "another prefix's is ours", quotas, ofQuotas, "!strings.HasPrefix(*c.Name, d.cfg.Prefix+\".\")", "!strings.HasPrefix(*c.Name, d.cfg.Prefix)"),
	looked("K14 quotas", "our clients' is not", quotas, ofQuotas, "!strings.HasPrefix(*c.Name, d.cfg.Prefix+\".\")", "true"),
	looked("K14 quotas", "the default's is nobody's", quotas, ofQuotas, "			continue // the default, which is everybody's", "			return false"),
	looked("K14 held back", "a look that is held back is warned of at most", "TestK14HeldBack", ofQuotas, "held > 0 {", "held > 0 && false {"),
	in(application, "K14 user", "a user of SASL is not known", "TestK14User", "doctor_brokers.go", "	case mechanism(k.SASL) != nil:\n", "	case false:\n"),
	in(application, "K14 user", "who has a certificate is anonymous", "TestK14User", "doctor_brokers.go", "	case k.TLS.CertFile != \"\":\n", "	case false:\n"),

	looked("K15 transactions", "version 1 passes", eachBroker, atGates, "		if levels[node] < txnVersionMin {\n", "		if levels[node] < txnVersionMin-1 {\n"),
	looked("K15 transactions", "a broker that names no level has it", eachBroker, atGates, "		levels[b.NodeID] = 0\n", "		levels[b.NodeID] = txnVersionMin\n"),
	looked("K15 transactions", "the first broker stands for all", eachBroker, atGates, "	for _, b := range brokers {\n		req := kmsg.NewPtrApiVersions", "	for _, b := range brokers[:1] {\n		req := kmsg.NewPtrApiVersions"),
	looked("K15 unknown", "a broker that does not answer has it", eachBroker, atGates, "	case len(away) > 0:\n", "	case false:\n"),
	looked("K15 unknown", "a broker that refuses to say has none", eachBroker, atGates, "			return nil, nil, fmt.Errorf(\"ask broker %d for its features: %w\", b.NodeID, err)\n", "			_ = err\n"),

	looked("K16 expired transactions", "they may be looked for as rarely as anybody likes", oneOfThree, ofSettings, "		if ms > rarely.Milliseconds() {\n", "		if false {\n"),
	looked("K16 expired transactions", "Kafka's default is too rare", oneOfThree, ofSettings, "		if ms > rarely.Milliseconds() {\n", "		if ms >= rarely.Milliseconds() {\n"),
	looked("K16 expired transactions", "the processor's timeout says nothing", oneOfThree, ofSettings, "rarely := max(cleanupDefault, d.opts.TransactionTimeout)", "rarely := cleanupDefault"),
	looked("K16 expired transactions", "the processor's timeout is all that is given", oneOfThree, ofSettings, "rarely := max(cleanupDefault, d.opts.TransactionTimeout)", "rarely := d.opts.TransactionTimeout"),
	looked("K16 metadata", "a commit's stamp always fits", oneOfThree, ofSettings, "		if bytes < int64(longest) {\n", "		if false {\n"),
	looked("K16 metadata", "what just fits does not", "TestK16LongestStamp", ofSettings, "		if bytes < int64(longest) {\n", "		if bytes <= int64(longest) {\n"),
	looked("K16 metadata", "the longest stamp is one without its token", "TestK16LongestStamp", ofSettings, "engine.Stamp{Token: token.String(), Start", "engine.Stamp{Token: token.ClusterID, Start"),

	in(application, "K03 configuration", "every profile is dev", "TestK03K06K13K14AreAskedAsConfigured", "doctor_brokers.go", "Profile: rt.Config.Profile, User", "Profile: \"dev\", User"),
	in(application, "K06 configuration", "no snapshots are taken", "TestK03K06K13K14AreAskedAsConfigured", "doctor_brokers.go", ", SnapshotInterval: rt.Config.Processor.SnapshotInterval,", ","),
	in(application, "K13 configuration", "transactions are short", "TestK03K06K13K14AreAskedAsConfigured", "doctor_brokers.go", "TransactionTimeout: rt.Config.Processor.TransactionTimeout, ", ""),
	in(application, "K14 configuration", "our user is not known", "TestK03K06K13K14AreAskedAsConfigured", "doctor_brokers.go", ", User: rt.kafkaUser(),", ","),
}
