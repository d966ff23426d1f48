package main

const (
	gates     = "TestR01R02GatesOnRealRedis"
	failovers = "TestR03FailoverLosesAcknowledged"
	retries   = "TestR04Retries"
	routing   = "TestR05Routing"
	memory    = "TestR06ShortOfMemory"
	madeUp    = "TestR06RewriteWithoutRoom"
	files     = "TestR06FilesThatCannotBeWritten"
	devices   = "TestN05SeveralSubscriptionsOfOneDevice"
	few       = "TestN05LooksAtABoundedPart"
	healthGo  = "health.go"
	subsGo    = "subscriptions.go"
)

// ofRedis are about Redis, and the devices in it.
var ofRedis = []mutant{
	in(redis, "R01 eviction", "a policy that evicts once there is a limit passes", gates, "gates.go", "\tcase len(idle) > 0: //", "\tcase false: //"),
	in(redis, "R01 eviction", "a policy that evicts now is only warned of", gates, "gates.go", "err == nil && limit == \"0\" {", "err == nil && limit != \"\" {"),
	in(redis, "R01 eviction", "a policy without a limit fails", gates, "gates.go", "err == nil && limit == \"0\" {", "err == nil && limit == \"\" {"),
	in(redis, "R01 eviction", "one that is hidden passes", gates, "gates.go", "\tcase err != nil:\n\t\treturn preflight.NotSeen", "\tcase false:\n\t\treturn preflight.NotSeen"),
	in(redis, "R01, R02", "INFO is not asked where CONFIG is denied", gates, "gates.go", "\tvalue, err := info(ctx, node, section, field)\n", "\tvalue, err := values[name], denied\n"),
	in(redis, "R01, R02", "the embedded Redis is held to it", "TestGatesOnMiniredis", "gates.go", "\t\t\tif opts.InMemory {", "\t\t\tif false {"),
	in(redis, "R02 persistence", "no append-only file passes", gates, "gates.go", "if on != \"yes\" && on != \"1\" {", "if on == \"\" {"),
	in(redis, "R02 persistence", "INFO's word for one is not known", gates, "gates.go", "if on != \"yes\" && on != \"1\" {", "if on != \"yes\" {"),
	in(redis, "R02 persistence", "development is held to it", gates, "gates.go", "if replicated || opts.Profile == \"dev\" {", "if replicated {"),
	in(redis, "R02 persistence", "a replica does not count", failovers, "gates.go", "if replicated || opts.Profile == \"dev\" {", "if opts.Profile == \"dev\" {"),
	in(redis, "R02 persistence", "replicas that are hidden count", failovers, "gates.go", "replicas != \"0\" && replicas != \"unknown\"", "replicas != \"0\""),
	in(redis, "R02 persistence", "no replica counts for one", gates, "gates.go", "replicas != \"0\" && replicas != \"unknown\"", "replicas != \"unknown\""),
	in(redis, "R02 persistence", "a setting that is hidden passes", gates, "gates.go", "\tif err != nil {\n\t\treturn preflight.NotSeen(err, grantFix)", "\tif false {\n\t\treturn preflight.NotSeen(err, grantFix)"),
	in(redis, "R03 failover", "a primary that waits for none passes", failovers, healthGo, "\t\tif !required.holds {", "\t\tif false {"),
	in(redis, "R03 failover", "a maximum lag of 0 passes, which switches it off", failovers, healthGo, "required{least != \"0\" && lag != \"0\",", "required{least != \"0\","),
	in(redis, "R03 failover", "one that is alone is warned of", failovers, healthGo, "\t\tif replicas == 0 {", "\t\tif false {"),
	in(redis, "R03 failover", "INFO's word for required replicas is not known", failovers, healthGo, "values[\"min_slaves_good_slaves\"]; ok {", "values[\"min_slaves_good_slaves\"]; ok && false {"),
	in(redis, "R03 failover", "an answer that is no INFO says that none is required", failovers, healthGo, "values[\"role\"]; !ok {", "values[\"role\"]; !ok && false {"),
	in(redis, "R03 failover", "one that is hidden passes", failovers, healthGo, "\tcase err != nil:\n\t\treturn preflight.NotSeen(err, grantFix)\n\tcase len(seen)", "\tcase false:\n\t\treturn preflight.NotSeen(err, grantFix)\n\tcase len(seen)"),
	in(redis, "R04 retries", "they pass", retries, "effective.go", "\t\tif retries > 0 {", "\t\tif retries > 1 {"),
	in(redis, "R04 retries", "the cluster's client is not known", retries, "effective.go", "\t\t\tretries = c.Options().MaxRetries\n\t\tdefault", "\t\tdefault"),
	in(redis, "R04 retries", "a client that is not known passes", retries, "effective.go", "\t\t\treturn preflight.NotSeen(fmt.Errorf(\"a client of type %T\", cl), \"run a released version\")\n", ""),
	in(redis, "R05 routing", "reads from replicas pass", routing, "effective.go", "if o := c.Options(); o.ReadOnly", "if o := c.Options(); false && o.ReadOnly"),
	in(redis, "R05 routing", "a server that is no primary passes", routing, "effective.go", "\t\t\tif role != \"master\" {", "\t\t\tif role == \"\" {"),
	in(redis, "R05 routing", "a role that is hidden passes", routing, "effective.go", "\t\tcase err != nil:\n", "\t\tcase false:\n"),
	in(redis, "R06 memory", "nine tenths in use are warned of", madeUp, healthGo, "\tmemoryFail = 90\n", "\tmemoryFail = 91\n"),
	in(redis, "R06 memory", "less than nine tenths fail", madeUp, healthGo, "\tmemoryFail = 90\n", "\tmemoryFail = 89\n"),
	in(redis, "R06 memory", "three quarters in use pass", madeUp, healthGo, "\tmemoryWarn = 75\n", "\tmemoryWarn = 76\n"),
	in(redis, "R06 memory", "less than three quarters are warned of", madeUp, healthGo, "\tmemoryWarn = 75\n", "\tmemoryWarn = 74\n"),
	in(redis, "R06 memory", "what is left out of maxmemory's count is counted", madeUp, healthGo, "\t\th.used -= aside\n", "\t\t_ = aside\n"),
	in(redis, "R06 memory", "without maxmemory nothing is known", memory, healthGo, "\t\th.limit, h.limitName = h.machine, \"total_system_memory\"\n", ""),
	in(redis, "R06 memory", "memory that is hidden passes", memory, healthGo, "\tcase err != nil:\n\t\treturn preflight.NotSeen(err, grantFix)\n\tcase len(odd)", "\tcase false:\n\t\treturn preflight.NotSeen(err, grantFix)\n\tcase len(odd)"),
	in(redis, "R06 rewrite without room", "it passes", madeUp, healthGo, "case h.forked && h.machine > 0 && h.used*100", "case false && h.used*100"),
	in(redis, "R06 rewrite without room", "half of the memory is too much", madeUp, healthGo, "h.used*100 > h.machine*forkFits", "h.used*100 >= h.machine*forkFits"),
	in(redis, "R06 rewrite without room", "it is warned of while none is under way", madeUp, healthGo, "case h.forked && h.machine > 0", "case h.machine > 0"),
	in(redis, "R06 rewrite without room", "a rewrite is not one", madeUp, healthGo, "\"aof_rewrite_in_progress\", ", ""),
	in(redis, "R06 rewrite without room", "a save is not one", madeUp, healthGo, ", \"rdb_bgsave_in_progress\"}", "}"),
	in(redis, "R06 files", "a write that failed passes", files, healthGo, "[]string{\"aof_last_write_status\", ", "[]string{"),
	in(redis, "R06 files", "a rewrite that failed passes", files, healthGo, "\"aof_last_bgrewrite_status\", \"rdb_", "\"rdb_"),
	in(redis, "R06 files", "a save that failed passes", files, healthGo, ", \"rdb_last_bgsave_status\"}", "}"),
	in(redis, "R06 files", "a status that is not told is one that failed", madeUp, healthGo, "\t\tif h.persistence.values[field] == \"\" {", "\t\tif false {"),
	in(redis, "N05 subscriptions", "one more than there may be passes", devices, subsGo, "n > sameOriginMax {", "n > sameOriginMax+1 {"),
	in(redis, "N05 subscriptions", "as many as there may be are warned of", devices, subsGo, "n > sameOriginMax {", "n >= sameOriginMax {"),
	in(redis, "N05 subscriptions", "those at several push services are counted together", devices, subsGo, "err == nil && u.Host != \"\" {", "err == nil && u.Host == \"\" {"),
	in(redis, "N05 subscriptions", "those that were handed on are counted", devices, subsGo, "err = s.confirm(ctx, NewDevices(cl, prefix, 0, 0))", "s.crowded = s.suspects"),
	in(redis, "N05 subscriptions", "keys that are hidden are none", devices, subsGo, "\tcase err != nil:\n\t\treturn preflight.NotSeen(err, \"allow", "\tcase false:\n\t\treturn preflight.NotSeen(err, \"allow"),
	in(redis, "N05 subscriptions", "devices that are hidden are none", devices, subsGo, "\tif err != nil {\n\t\treturn fmt.Errorf(\"read devices", "\tif false {\n\t\treturn fmt.Errorf(\"read devices"),
	in(redis, "N05 subscriptions", "a part without devices is a Redis without devices", few, subsGo, "\tcase s.participants == 0 && s.part:", "\tcase false:"),
	in(redis, "N05 subscriptions", "a part passes for all", few, subsGo, "\ts.part = true\n", ""),
}

const (
	configGo   = "doctor_config.go"
	exposureGo = "doctor_exposure.go"
	atOnce     = "TestN01PushesThatExpireAtOnce"
	oldNews    = "TestN02OldNews"
	onTopic    = "TestN02LooksAtTheTopic"
	lingers    = "TestN02Lingers"
	channels   = "TestN06Credentials"
	providers  = "TestN06ProvidersAreAsked"
	exposed    = "TestS01Exposure"
)

// ofNews are about telling players.
var ofNews = []mutant{
	deployed("N01 pushes that expire at once", "they pass", atOnce, configGo, "\t\tif ttl < 1 {", "\t\tif ttl < 0 {"),
	deployed("N01 pushes that expire at once", "a second is too short", atOnce, configGo, "\t\tif ttl < 1 {", "\t\tif ttl <= 1 {"),
	deployed("N01 pushes that expire at once", "classes that go to phones alone are held to it", atOnce, configGo, "if !slices.Contains(c.Channels, webpush.Name) {", "if false {"),
	deployed("N01 pushes that expire at once", "a channel that is off passes as looked at", atOnce, configGo, "\tif !on {", "\tif false {"),
	deployed("N01 pushes that expire at once", "rules that cannot be read have no classes", "TestRulesThatCannotBeRead", configGo, "\t\t\tif err != nil {\n\t\t\t\treturn preflight.NotSeen(err, \"veltrix rules check \"+cfg.Rules.File)\n\t\t\t}\n\t\t\treturn pushLife", "\t\t\t_ = err\n\t\t\treturn pushLife"),
	deployed("N02 old news", "retries that outlive the ledger are warned of", oldNews, configGo, "\t\tcase s.lasts > ledger:", "\t\tcase false:"),
	deployed("N02 old news", "retries that the deadline cuts off pass", oldNews, configGo, "\t\tcase s.lasts > delivery.Life(ledger):", "\t\tcase false:"),
	deployed("N02 old news", "a log that outlives the ledger passes", oldNews, configGo, "\tif lingers > ledger {", "\tif false {"),
	deployed("N02 old news", "a log that lasts as long as the ledger is warned of", oldNews, configGo, "\tif lingers > ledger {", "\tif lingers >= ledger {"),
	deployed("N02 old news", "pauses between tries take no time", "TestN02Schedules", configGo, "s.lasts += pause + ch.Timeout()", "_, s.lasts = pause, s.lasts+ch.Timeout()"),
	deployed("N02 old news", "tries take no time", "TestN02Schedules", configGo, "s.lasts += pause + ch.Timeout()", "s.lasts += pause"),
	deployed("N02 old news", "the ledger is not looked at", onTopic, configGo, "return oldNews(schedules(all), rt.Config.Notifier.LedgerRetention, lingers)", "return oldNews(schedules(all), kafkalog.Forever, lingers)"),
	deployed("N02 old news", "the channels are not looked at", onTopic, configGo, "return oldNews(schedules(all), ", "return oldNews(schedules(all[:0]), "),
	deployed("N02 old news", "channels that cannot be made try nothing", onTopic, configGo, "\t\tif err != nil {\n\t\t\treturn preflight.Skipped(\"a channel", "\t\tif false {\n\t\t\treturn preflight.Skipped(\"a channel"),
	deployed("N02 old news", "a topic that is not there is unknown", onTopic, configGo, "\t\tcase errors.Is(err, kafkalog.ErrNoTopic):", "\t\tcase err == nil && errors.Is(err, kafkalog.ErrNoTopic):"),
	deployed("N02 old news", "settings that are hidden pass", onTopic, configGo, "\t\tcase err != nil:\n\t\t\treturn preflight.NotSeen(err, \"grant", "\t\tcase false:\n\t\t\treturn preflight.NotSeen(err, \"grant"),
	in(kafka, "N02 old news", "the segment that a record stands in goes with it", lingers, "effective.go", "[]string{\"retention.ms\", \"segment.ms\"}", "[]string{\"retention.ms\"}"),
	in(kafka, "N02 old news", "a record without an end has one", lingers, "effective.go", "case ms < 0, ms >= int64((Forever-total)/time.Millisecond):", "case ms < 0:"),
	deployed("N06 credentials", "a webhook that cannot be made passes", channels, configGo, "try(\"webhook\", true, err)", "try(\"webhook\", err == nil, nil)"),
	deployed("N06 credentials", "keys for browsers that are none pass", channels, configGo, "try(webpush.Name, true, err)", "try(webpush.Name, err == nil, nil)"),
	deployed("N06 credentials", "fcm's credentials that are none pass", channels, configGo, "try(\"fcm\", n.FCM.Credentials.Set(), err)", "try(\"fcm\", n.FCM.Credentials.Set(), nil)"),
	deployed("N06 credentials", "a key for Apple that is none passes", channels, configGo, "try(\"apns\", n.APNs.Enabled(), err)", "try(\"apns\", n.APNs.Enabled(), nil)"),
	deployed("N06 credentials", "one channel's mistake hides another's", channels, configGo, "\tfcm.APNs, apns.FCM = config.APNs{}, config.FCM{}\n", ""),
	deployed("N06 credentials", "what the rules ask for may be off", channels, configGo, "\tcase len(off) > 0 && profile == \"prod\":", "\tcase false:"),
	deployed("N06 credentials", "development is held to it", channels, configGo, "\tcase len(off) > 0 && profile == \"prod\":", "\tcase len(off) > 0:"),
	deployed("N06 credentials", "a broken channel is off", channels, configGo, "!slices.Contains(on, name) && !broken {", "!slices.Contains(on, name) && (!broken || true) {"),
	deployed("N06 credentials", "rules that cannot be read ask for nothing", "TestRulesThatCannotBeRead", configGo, "\t\t\tif err != nil {\n\t\t\t\treturn preflight.NotSeen(err, \"veltrix rules check \"+cfg.Rules.File)\n\t\t\t}\n\t\t\treturn credentials", "\t\t\t_ = err\n\t\t\treturn credentials"),
	deployed("N06 credentials asked for", "a provider's word against them is none", providers, "doctor_probe.go", "\t\tcase res.Alarm:", "\t\tcase false:"),
	deployed("N06 credentials asked for", "a provider that is away takes them", providers, "doctor_probe.go", "\tcase len(unknown) > 0:", "\tcase false:"),
	deployed("N06 credentials asked for", "a provider that is away refuses them", providers, "doctor_probe.go", "\t\tcase res.Alarm:", "\t\tcase true:"),
	deployed("N06 credentials asked for", "those that cannot be used are not looked at before", providers, "doctor_probe.go", "\tif made.State != preflight.Pass {", "\tif false {"),
}

// ofExposure are about who else could reach, guess or read what is ours.
var ofExposure = []mutant{
	deployed("S01 listeners", "the gateway may be spoken to in the clear", exposed, exposureGo, "\t\tif cfg.Producer.TLS.CertFile == \"\" {", "\t\tif false {"),
	deployed("S01 listeners", "the gateway may take events from anybody", exposed, exposureGo, "if cfg.Producer.KeysFile == \"\" && cfg.Producer.TLS.ClientCAFile == \"\" {", "if false {"),
	deployed("S01 listeners", "keys do not count", exposed, exposureGo, "if cfg.Producer.KeysFile == \"\" && ", "if "),
	deployed("S01 listeners", "clients' certificates do not count", exposed, exposureGo, "if cfg.Producer.KeysFile == \"\" && cfg.Producer.TLS.ClientCAFile == \"\" {", "if cfg.Producer.KeysFile == \"\" {"),
	deployed("S01 listeners", "the inbox may be spoken to in the clear", exposed, exposureGo, "at := cfg.Notifier.Listen; !loopback(at) && ", "at := cfg.Notifier.Listen; false && "),
	deployed("S01 listeners", "the inbox' certificate does not count", exposed, exposureGo, "!loopback(at) && cfg.Notifier.TLS.CertFile == \"\" {", "!loopback(at) {"),
	deployed("S01 listeners", "profiles may be shown to all", exposed, exposureGo, "!loopback(at) && cfg.Metrics.Pprof {", "false && cfg.Metrics.Pprof {"),
	deployed("S01 listeners", "metrics may not be shown", exposed, exposureGo, "!loopback(at) && cfg.Metrics.Pprof {", "!loopback(at) {"),
	deployed("S01 listeners", "loopback is reached from elsewhere", exposed, exposureGo, "|| err == nil && ip.IsLoopback()", "|| err == nil && ip.IsMulticast()"),
	deployed("S01 listeners", "its name is another machine's", exposed, exposureGo, "return host == \"localhost\" || err", "return err"),
	deployed("S01 connections", "the brokers' password may be sent in the clear", exposed, exposureGo, "if cfg.Kafka.SASL.Mechanism == \"plain\" && ", "if false && "),
	deployed("S01 connections", "a password that is never sent is", exposed, exposureGo, "if cfg.Kafka.SASL.Mechanism == \"plain\" && ", "if cfg.Kafka.SASL.Mechanism != \"\" && "),
	deployed("S01 connections", "TLS to the brokers does not count", exposed, exposureGo, "&& !cfg.Kafka.TLS.Enabled && away", "&& away"),
	deployed("S01 connections", "brokers on this machine are elsewhere", exposed, exposureGo, " && away(cfg.Kafka.Brokers) {", " {"),
	deployed("S01 connections", "Redis elsewhere may be without a password", exposed, exposureGo, "\t\tcase !cfg.Redis.Password.Set():", "\t\tcase false:"),
	deployed("S01 connections", "Redis' password may be sent in the clear", exposed, exposureGo, "\t\tcase !cfg.Redis.TLS.Enabled:", "\t\tcase false:"),
	deployed("S01 connections", "Redis by a socket is elsewhere", exposed, exposureGo, "strings.HasPrefix(address, \"unix://\")", "address == \"\""),
	deployed("S01 passwords", "defaults pass", exposed, exposureGo, "if slices.Contains(defaults, value) || ", "if "),
	deployed("S01 passwords", "defaults in another case pass", exposed, exposureGo, "strings.ToLower(secrets[key].Reveal())", "secrets[key].Reveal()"),
	deployed("S01 passwords", "the user's name passes", exposed, exposureGo, " || user != \"\" && strings.EqualFold(user, value) {", " || user != \"\" && false {"),
	deployed("S01 passwords", "the brokers' user's name passes", exposed, exposureGo, "\"kafka.sasl.password\": cfg.Kafka.SASL.Username, ", ""),
	deployed("S01 files", "what others can read passes", exposed, exposureGo, "const others = 0o007", "const others = 0o003"),
	deployed("S01 files", "what others can write passes", exposed, exposureGo, "const others = 0o007", "const others = 0o005"),
	deployed("S01 files", "what the group can read fails", exposed, exposureGo, "const others = 0o007", "const others = 0o077"),
	deployed("S01 files", "what is not there passes", exposed, exposureGo, "\t\tcase err != nil:\n", "\t\tcase err != nil && info != nil:\n"),
	deployed("S01", "development is held to it", exposed, exposureGo, "\tif cfg.Profile != \"prod\" {", "\tif false {"),
	deployed("S01", "production is only warned", exposed, exposureGo, "\tif cfg.Profile != \"prod\" {", "\tif true {"),
}
