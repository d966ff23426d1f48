package preflight

// redisEntries are about the view.
var redisEntries = []Entry{
	{
		ID: "R01", Title: "Redis may evict state", Harm: "exactly-once", Severity: Critical,
		Players:  "scores and found clues vanish when memory is short, and notifications come again",
		Look:     "maxmemory-policy and maxmemory of every primary, by CONFIG GET or INFO",
		Fix:      "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or the service's parameter group",
		Symptoms: []Symptom{Duplicates}, Services: []string{processor, notifier},
	},
	{
		ID: "R02", Title: "Redis forgets everything when it restarts", Harm: "durability", Severity: Critical,
		Players:  "after a restart of Redis the hunt stands still while everything is replayed, and inboxes are empty",
		Look:     "appendonly and the replicas of every primary, by CONFIG GET or INFO. Profile dev warns",
		Fix:      "CONFIG SET appendonly yes, and the same in redis.conf or the service's parameter group",
		Symptoms: []Symptom{Duplicates}, Services: []string{processor, notifier},
	},
	{
		ID: "R03", Title: "a failover loses what Redis acknowledged", Harm: "exactly-once", Severity: Medium,
		Players:  "scores go back for a moment; the protocol repairs them",
		Look:     "min-replicas-to-write and min-replicas-max-lag of every primary that has replicas, by CONFIG GET or INFO. It informs: the worst it says is a warning",
		Fix:      "CONFIG SET min-replicas-to-write 1 where there are replicas, and the same in redis.conf; with one replica, weigh it: Redis refuses writes while that replica is away",
		Symptoms: []Symptom{Duplicates}, Services: []string{processor},
	},
	{
		ID: "R04", Title: "the client repeats what is not idempotent", Harm: "exactly-once", Severity: Critical,
		Players:  "an inbox shows a message twice after a network hiccup",
		Look:     "the retries in force at our client. No setting changes it: only a changed program can fail",
		Fix:      "run a released version",
		Symptoms: []Symptom{Duplicates}, Services: []string{processor, notifier},
	},
	{
		ID: "R05", Title: "reads from replicas, or keys of two slots in one script", Harm: "exactly-once", Severity: High,
		Players:  "a score that was just counted is not there",
		Look:     "the routing in force at our client, and the role of the servers that it writes to. Keys are built in one place, under one hash tag for each partition and participant",
		Fix:      "name the primary in redis.addrs, not a replica or a reader endpoint",
		Services: []string{processor, notifier},
	},
	{
		ID: "R06", Title: "Redis is short of memory, or cannot write its file", Harm: "durability", Severity: High,
		Players:  "scores stand still while Redis refuses writes",
		Look:     "used_memory of every primary against maxmemory, or the machine's memory where there is none (from 75 % a warning, from 90 % a failure); a rewrite under way on a machine that is more than half full; aof_last_write_status, aof_last_bgrewrite_status and rdb_last_bgsave_status",
		Fix:      "more memory (maxmemory, with as much again for a rewrite of the file), and room on the disk",
		Services: []string{processor},
	},
}

// notificationEntries are about telling players.
var notificationEntries = []Entry{
	{
		ID: "N01", Title: "pushes to browsers expire at once", Harm: "durability", Severity: High,
		Players:  "who is away for a second never gets the message",
		Look:     "the TTL that the channel would send, for a notification without an end and for the expiry of each class in the rules",
		Fix:      "in the rules, expires of at least 1s for the class",
		Symptoms: []Symptom{Missing}, Services: []string{notifier},
	},
	{
		ID: "N02", Title: "a replay could push old news", Harm: "exactly-once", Severity: Critical,
		Players:  "yesterday's clue is pushed again, or a late retry is sent twice",
		Look:     "the retries of each channel that is on, and the retention of notifications on the brokers, against notifier.ledger_retention",
		Fix:      "lengthen notifier.ledger_retention, or shorten retention.ms of the notifications topic",
		Symptoms: []Symptom{Duplicates}, Services: []string{notifier},
	},
	{
		ID: "N03", Title: "a proxy holds streams back, or ends them", Harm: "latency", Severity: High,
		Players:  "clues come in bunches, or only after a reload",
		Look:     "a stream of the participant veltrix-probe through doctor.inbox_url: when its first line and a heartbeat (every 15 s) arrive, and by which protocol (needs doctor.inbox_url)",
		Fix:      "no buffering (X-Accel-Buffering: no is sent) and no compression for this path, and an idle timeout above 30 s at the proxy",
		Symptoms: []Symptom{Congestion}, Services: []string{notifier}, Probe: true,
	},
	{
		ID: "N04", Title: "an expired or foreign cursor is accepted", Harm: "durability", Severity: High,
		Players:  "messages are skipped without a word",
		Look:     "cursors that are none, and tokens where they open nothing, through doctor.inbox_url: resync, 403 and 401 are expected, and each token its own inbox (needs doctor.inbox_url)",
		Fix:      "no cache before the inbox, Authorization and Last-Event-ID passed on, and no rewriting of query strings",
		Symptoms: []Symptom{Missing}, Services: []string{notifier}, Probe: true,
	},
	{
		ID: "N05", Title: "one device has several subscriptions", Harm: "exactly-once", Severity: Medium,
		Players:  "a phone buzzes twice for one clue",
		Look:     "a sample of the registered devices (a scan of about 50,000 keys and 1,000 participants at most): participants with more than 3 at one push service. A warning: nothing tells one device from another for certain",
		Fix:      "register under a device name that survives a reinstall; see veltrix player devices",
		Symptoms: []Symptom{Duplicates}, Services: []string{notifier},
	},
	{
		ID: "N06", Title: "a channel's credentials are missing or cannot be used", Harm: "durability", Severity: High,
		Players:  "nothing reaches phones, browsers or webhooks; the inbox has it all",
		Look:     "each channel is made of its configuration, as the notifier does; channels that the rules ask for and that are off are named. With --probe, FCM and APNs are asked whether they take the credentials; otherwise no provider is",
		Fix:      "docs/channels says for each channel what it needs",
		Services: []string{notifier},
	},
}

// securityEntries are about who may read and write.
var securityEntries = []Entry{
	{
		ID: "S01", Title: "listeners without TLS or keys, default passwords, secrets that others can read", Harm: "security", Severity: High,
		Players:  "somebody else's events count, or somebody else reads their inbox",
		Look:     "addresses that are not loopback, and the modes of the files of secrets and keys. Profile dev warns. Where a proxy speaks TLS before it, waive it with that reason",
		Fix:      "producer.tls, notifier.tls and producer.keys_file, or listen on loopback; chmod o-rwx for the files",
		Services: []string{producer, processor, notifier},
	},
}
