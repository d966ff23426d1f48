package config

import (
	"strings"
	"time"
)

// key is one declaration. The type and the unit are those of its field.
type key struct {
	name     string // dotted, lower case: the place in the file
	field    func(*Config) any
	bound    bound
	fallback string // the default, as it would be written
	sentence string
	live     bool // taken over by a running service on SIGHUP
}

// env is the key's environment variable.
func (k *key) env() string { return envName(k.name) }

// flag is the key's flag, without the dashes.
func (k *key) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(k.name) }

// section is what stands before the first dot; general keys have none.
func (k *key) section() string {
	section, _, nested := strings.Cut(k.name, ".")
	if !nested {
		return ""
	}
	return section
}

// secret reports whether the value may never be shown or stand in a file.
func (k *key) secret() bool {
	_, is := k.field(&Config{}).(*Secret)
	return is
}

func envName(name string) string {
	return "VELTRIX_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// sections in the order of the reference page, with their headings.
var sections = []struct{ name, title string }{
	{"", "General"},
	{"kafka", "Kafka"},
	{"redis", "Redis"},
	{"rules", "Rules"},
	{"producer", "Producer (the gateway)"},
	{"processor", "Processor"},
	{"notifier", "Notifier"},
	{"doctor", "Doctor"},
	{"metrics", "Metrics, health and profiles"},
	{"log", "Log"},
}

// What a running service does with another value of a key.
const (
	live    = true  // takes it over on SIGHUP
	restart = false // needs a restart
)

const (
	ms   = time.Millisecond
	sec  = time.Second
	hour = time.Hour
)

// keys is the declaration of every key. The order is the reference's.
var keys = []key{
	{"prefix", func(c *Config) any { return &c.Prefix }, prefixText, "veltrix", "Names the environment: the prefix of topics, groups, transactional IDs and Redis keys. Two environments never share one.", restart},
	{"profile", func(c *Config) any { return &c.Profile }, oneOf("dev", "prod"), "dev", "`prod` refuses what would lose data on a lost broker, such as one replica; `dev` warns instead.", restart},
	{"start_timeout", func(c *Config) any { return &c.StartTimeout }, spans(0, 24*hour), "60s", "How long a command retries brokers and Redis at start before it exits with code 1. `0s` tries once.", restart},
	{"stop_timeout", func(c *Config) any { return &c.StopTimeout }, spans(sec, hour), "20s", "How long a command may take to drain when it is told to stop.", restart},

	{"kafka.brokers", func(c *Config) any { return &c.Kafka.Brokers }, hostPorts, "127.0.0.1:9092", "The brokers to start from; the others are learnt from them.", restart},
	{"kafka.tls.enabled", func(c *Config) any { return &c.Kafka.TLS.Enabled }, noBound, "false", "Speak TLS to the brokers.", restart},
	{"kafka.tls.ca_file", func(c *Config) any { return &c.Kafka.TLS.CAFile }, filePath, "", "PEM file of the authorities that may sign the brokers' certificates; empty means the system's.", restart},
	{"kafka.tls.cert_file", func(c *Config) any { return &c.Kafka.TLS.CertFile }, filePath, "", "PEM file of the client certificate, for mutual TLS.", restart},
	{"kafka.tls.key_file", func(c *Config) any { return &c.Kafka.TLS.KeyFile }, filePath, "", "PEM file of the client certificate's key.", restart},
	{"kafka.sasl.mechanism", func(c *Config) any { return &c.Kafka.SASL.Mechanism }, oneOf("none", "plain", "scram-sha-256", "scram-sha-512"), "none", "How to authenticate to the brokers.", restart},
	{"kafka.sasl.username", func(c *Config) any { return &c.Kafka.SASL.Username }, shortText, "", "The account at the brokers.", restart},
	{"kafka.sasl.password_file", func(c *Config) any { return &c.Kafka.SASL.PasswordFile }, filePath, "", "File that holds the account's password; one line end at its end is ignored.", restart},
	{"kafka.sasl.password", func(c *Config) any { return &c.Kafka.SASL.Password }, secretText, "", "The account's password itself.", restart},

	{"redis.addrs", func(c *Config) any { return &c.Redis.Addrs }, redisAddrs, "127.0.0.1:6379", "Redis: one address, or the seeds of a cluster.", restart},
	{"redis.cluster", func(c *Config) any { return &c.Redis.Cluster }, noBound, "false", "The addresses are those of a Redis Cluster.", restart},
	{"redis.username", func(c *Config) any { return &c.Redis.Username }, shortText, "", "The Redis user; empty means the default user.", restart},
	{"redis.password_file", func(c *Config) any { return &c.Redis.PasswordFile }, filePath, "", "File that holds the Redis password.", restart},
	{"redis.password", func(c *Config) any { return &c.Redis.Password }, secretText, "", "The Redis password itself.", restart},
	{"redis.tls.enabled", func(c *Config) any { return &c.Redis.TLS.Enabled }, noBound, "false", "Speak TLS to Redis.", restart},
	{"redis.tls.ca_file", func(c *Config) any { return &c.Redis.TLS.CAFile }, filePath, "", "PEM file of the authorities that may sign Redis' certificate; empty means the system's.", restart},

	{"rules.file", func(c *Config) any { return &c.Rules.File }, filePath, "", "The rules file: what an event means. Commands that fold refuse to start without one.", restart},

	{"producer.listen", func(c *Config) any { return &c.Producer.Listen }, listenAddr, "127.0.0.1:8080", "Where the gateway accepts events.", restart},
	{"producer.tls.cert_file", func(c *Config) any { return &c.Producer.TLS.CertFile }, filePath, "", "PEM file of the gateway's certificate, with those between it and its authority; set, the gateway speaks TLS. A change is followed within a second.", restart},
	{"producer.tls.key_file", func(c *Config) any { return &c.Producer.TLS.KeyFile }, filePath, "", "PEM file of that certificate's key.", restart},
	{"producer.tls.client_ca_file", func(c *Config) any { return &c.Producer.TLS.ClientCAFile }, filePath, "", "PEM file of the authorities that certify clients; set, a client without a certificate by one of them is refused (mutual TLS).", restart},
	{"producer.keys_file", func(c *Config) any { return &c.Producer.KeysFile }, filePath, "", "File of the API keys that the gateway asks for, as `veltrix keys` writes it; a change is followed. Without one, whoever reaches the gateway may send events.", restart},
	{"producer.cors_origins", func(c *Config) any { return &c.Producer.CORSOrigins }, origins, "", "Web origins whose pages may send events and read states from a browser (CORS); `*` is any. Empty: none, and no CORS header is sent.", restart},
	{"producer.max_inflight_bytes", func(c *Config) any { return &c.Producer.MaxInflightBytes }, sizes(1<<20, 64<<30), "64MiB", "Bytes of accepted requests that wait for the brokers; over it the gateway answers 503.", restart},
	{"producer.max_request_bytes", func(c *Config) any { return &c.Producer.MaxRequestBytes }, sizes(1<<10, 1<<30), "8MiB", "The largest request body, after decompression; over it the gateway answers 413.", live},
	{"producer.max_batch_events", func(c *Config) any { return &c.Producer.MaxBatchEvents }, ints(1, 1_000_000), "10000", "Events in one request.", live},
	{"producer.request_timeout", func(c *Config) any { return &c.Producer.RequestTimeout }, spans(100*ms, 10*time.Minute), "30s", "How long a request may wait for the brokers' acknowledgement before it is answered 503.", restart},

	{"processor.slots", func(c *Config) any { return &c.Processor.Slots }, ints(1, 64), "2", "Sessions in one process; each is a member of the group with a transactional ID of its own.", restart},
	{"processor.instance", func(c *Config) any { return &c.Processor.Instance }, instanceText, "", "A name for this process that survives a restart, so that it takes its slots back at once; empty leases the first free slots.", restart},
	{"processor.commit_interval", func(c *Config) any { return &c.Processor.CommitInterval }, spans(ms, 10*sec), "20ms", "A slot that keeps up with the log ends a transaction this often at most. One that is behind gathers for this long, or up to `processor.commit_records`.", restart},
	{"processor.commit_records", func(c *Config) any { return &c.Processor.CommitRecords }, ints(1, 1_000_000), "50000", "Records in one transaction, at most. The more there are when much is waiting, the less an event costs: each participant is copied and written once for all of theirs.", restart},
	{"processor.cache_bytes", func(c *Config) any { return &c.Processor.CacheBytes }, sizes(1<<20, 1<<40), "256MiB", "Memory for participants' states, all slots together. The heap may grow to twice that and 256 MiB before garbage is collected more often; `GOGC` and `GOMEMLIMIT` stand where they are set.", restart},
	{"processor.session_timeout", func(c *Config) any { return &c.Processor.SessionTimeout }, spans(sec, 30*time.Minute), "10s", "After this silence the group gives a slot's partitions away. The broker's `group.min.session.timeout.ms` is its lower bound.", restart},
	{"processor.transaction_timeout", func(c *Config) any { return &c.Processor.TransactionTimeout }, spans(500*ms, 15*time.Minute), "8s", "After this time the brokers abort an open transaction; less than `processor.session_timeout`.", restart},
	{"processor.rebalance_timeout", func(c *Config) any { return &c.Processor.RebalanceTimeout }, spans(sec, hour), "30s", "How long a member may take to join a rebalance.", restart},
	{"processor.leave_on_stop", func(c *Config) any { return &c.Processor.LeaveOnStop }, noBound, "true", "Leave the group on an orderly stop, so that others take over at once; `false` keeps the partitions for a restart within the session timeout.", restart},
	{"processor.buckets", func(c *Config) any { return &c.Processor.Buckets }, ints(1, 1024), "4", "Redis hashes per partition. Fixed once a partition has state.", restart},
	{"processor.compare_interval", func(c *Config) any { return &c.Processor.CompareInterval }, spans(100*ms, hour), "1s", "Idle partitions are compared with Redis this often, so that a failover or a rollback after the last event is noticed.", restart},
	{"processor.scrub_interval", func(c *Config) any { return &c.Processor.ScrubInterval }, spans(0, 8760*hour), "1h", "All values of a partition in Redis are read and compared with their digest this often; the partition stands still meanwhile. `0s` never does.", restart},
	{"processor.snapshot_interval", func(c *Config) any { return &c.Processor.SnapshotInterval }, spans(0, 8760*hour), "10m", "A snapshot of a partition's state is taken this often, if it has changed; the partition stands still while its values are read. Much less than the retention of the events topic. `0s` never does.", restart},

	{"notifier.listen", func(c *Config) any { return &c.Notifier.Listen }, listenAddr, "127.0.0.1:8081", "Where the inbox is served.", restart},
	{"notifier.tls.cert_file", func(c *Config) any { return &c.Notifier.TLS.CertFile }, filePath, "", "PEM file of the inbox's certificate, with those between it and its authority; set, the inbox speaks TLS. A change is followed within a second.", restart},
	{"notifier.tls.key_file", func(c *Config) any { return &c.Notifier.TLS.KeyFile }, filePath, "", "PEM file of that certificate's key.", restart},
	{"notifier.tls.client_ca_file", func(c *Config) any { return &c.Notifier.TLS.ClientCAFile }, filePath, "", "PEM file of the authorities that certify clients; set, a client without a certificate by one of them is refused (mutual TLS).", restart},
	{"notifier.lanes", func(c *Config) any { return &c.Notifier.Lanes }, ints(1, 65_536), "64", "Participants served side by side.", restart},
	{"notifier.token_secret_file", func(c *Config) any { return &c.Notifier.TokenSecretFile }, filePath, "", "File that holds the key which signs inbox tokens; without one, a random key is created once in Redis and shared.", restart},
	{"notifier.token_secret", func(c *Config) any { return &c.Notifier.TokenSecret }, keyText, "", "The key which signs inbox tokens itself.", restart},
	{"notifier.jwks_url", func(c *Config) any { return &c.Notifier.JWKSURL }, httpURL, "", "Where your own server publishes the keys of the players' tokens that it signs (a JSON Web Key Set; ES256 or EdDSA); empty means that tokens are signed with the secret.", restart},
	{"notifier.token_audience", func(c *Config) any { return &c.Notifier.TokenAudience }, shortText, "veltrix-inbox", "The audience that the tokens of `notifier.jwks_url` must be made for.", restart},
	{"notifier.ledger_retention", func(c *Config) any { return &c.Notifier.LedgerRetention }, spans(hour, 8760*hour), "168h", "How long a sent notification is remembered. It outlives every deadline and, with webhooks, their 76 hours of retries.", restart},
	{"notifier.inbox_max", func(c *Config) any { return &c.Notifier.InboxMax }, ints(1, 100_000), "1000", "Entries kept in one inbox; the oldest go first.", restart},
	{"notifier.inbox_retention", func(c *Config) any { return &c.Notifier.InboxRetention }, spans(hour, 87_600*hour), "720h", "How long an inbox is kept after its last entry.", restart},
	{"notifier.devices_max", func(c *Config) any { return &c.Notifier.DevicesMax }, ints(1, 1000), "32", "Devices that a participant may have at a time.", restart},
	{"notifier.device_life", func(c *Config) any { return &c.Notifier.DeviceLife }, spans(hour, 87_600*hour), "6480h", "How long a device is written to after it was registered last.", restart},
	{"notifier.presence_wait", func(c *Config) any { return &c.Notifier.PresenceWait }, spans(0, 30*sec), "3s", "How long a push waits while its participant has the inbox open: what they see there meanwhile is not pushed. `0s` does not wait.", live},
	{"notifier.pushes_max", func(c *Config) any { return &c.Notifier.PushesMax }, ints(0, 10_000), "60", "Pushes to one participant's devices within `notifier.pushes_window`; what is more is told by one digest when the window is over. `0` is no limit.", live},
	{"notifier.pushes_window", func(c *Config) any { return &c.Notifier.PushesWindow }, spans(sec, 24*hour), "1h", "The stretch in which `notifier.pushes_max` counts; it begins with a push.", live},
	{"notifier.digest_title", func(c *Config) any { return &c.Notifier.DigestTitle }, shortText, "{n} more messages", "The title of a digest; `{n}` is how many messages it stands for.", live},
	{"notifier.digest_body", func(c *Config) any { return &c.Notifier.DigestBody }, shortText, "Open the inbox to read them.", "The text of a digest; `{n}` as in its title.", live},
	{"notifier.session_timeout", func(c *Config) any { return &c.Notifier.SessionTimeout }, spans(sec, 30*time.Minute), "10s", "After this silence the group gives a notifier's partitions away.", restart},
	{"notifier.webhook.url", func(c *Config) any { return &c.Notifier.Webhook.URL }, httpURL, "", "Where the webhook channel posts; empty switches it off.", restart},
	{"notifier.webhook.secret_file", func(c *Config) any { return &c.Notifier.Webhook.SecretFile }, filePath, "", "File that holds the key which signs webhooks (Standard Webhooks, `whsec_…`).", restart},
	{"notifier.webhook.secret", func(c *Config) any { return &c.Notifier.Webhook.Secret }, secretText, "", "The key which signs webhooks itself.", restart},
	{"notifier.webhook.timeout", func(c *Config) any { return &c.Notifier.Webhook.Timeout }, spans(100*ms, 5*time.Minute), "15s", "How long one attempt may take.", restart},
	{"notifier.webhook.allow", func(c *Config) any { return &c.Notifier.Webhook.Allow }, cidrs, "", "Networks (CIDR) that a webhook may reach although they are private or local.", restart},
	{"notifier.webpush.subject", func(c *Config) any { return &c.Notifier.Webpush.Subject }, contact, "", "Where push services reach you when your pushes make trouble.", restart},
	{"notifier.webpush.private_key_file", func(c *Config) any { return &c.Notifier.Webpush.PrivateKeyFile }, filePath, "", "File that holds the VAPID key which signs pushes to browsers (`veltrix keys vapid` makes one); without one, the webpush channel is off.", restart},
	{"notifier.webpush.private_key", func(c *Config) any { return &c.Notifier.Webpush.PrivateKey }, vapidKey, "", "The VAPID key itself.", restart},
	{"notifier.webpush.timeout", func(c *Config) any { return &c.Notifier.Webpush.Timeout }, spans(100*ms, 5*time.Minute), "15s", "How long one attempt may take.", restart},
	{"notifier.webpush.allow", func(c *Config) any { return &c.Notifier.Webpush.Allow }, cidrs, "", "Networks (CIDR) that a push may reach although they are private or local.", restart},
	{"notifier.fcm.credentials_file", func(c *Config) any { return &c.Notifier.FCM.CredentialsFile }, filePath, "", "The service account's key (JSON) by which the FCM channel sends to Android; empty switches it off.", restart},
	{"notifier.fcm.credentials", func(c *Config) any { return &c.Notifier.FCM.Credentials }, credentials, "", "That key itself.", restart},
	{"notifier.fcm.url", func(c *Config) any { return &c.Notifier.FCM.URL }, providerURL, "https://fcm.googleapis.com", "Where FCM is reached: another address for a relay of your own, which may be a private one.", restart},
	{"notifier.fcm.timeout", func(c *Config) any { return &c.Notifier.FCM.Timeout }, spans(100*ms, 5*time.Minute), "10s", "How long one attempt may take.", restart},
	{"notifier.apns.key_file", func(c *Config) any { return &c.Notifier.APNs.KeyFile }, filePath, "", "The key (.p8) by which the APNs channel sends to iOS; without it, the key's ID, the team and the topic the channel is off.", restart},
	{"notifier.apns.key", func(c *Config) any { return &c.Notifier.APNs.Key }, secretText, "", "That key itself.", restart},
	{"notifier.apns.key_id", func(c *Config) any { return &c.Notifier.APNs.KeyID }, appleID, "", "The key's ID at Apple.", restart},
	{"notifier.apns.team_id", func(c *Config) any { return &c.Notifier.APNs.TeamID }, appleID, "", "The team's ID at Apple.", restart},
	{"notifier.apns.topic", func(c *Config) any { return &c.Notifier.APNs.Topic }, bundleID, "", "The app's bundle ID.", restart},
	{"notifier.apns.environment", func(c *Config) any { return &c.Notifier.APNs.Environment }, oneOf("production", "sandbox"), "production", "`sandbox` for apps that were built for development: their tokens are no others' tokens.", restart},
	{"notifier.apns.url", func(c *Config) any { return &c.Notifier.APNs.URL }, providerURL, "", "Where APNs is reached: an address for a relay of your own, which may be a private one and has to speak HTTP/2; empty is Apple's, by the environment.", restart},
	{"notifier.apns.timeout", func(c *Config) any { return &c.Notifier.APNs.Timeout }, spans(100*ms, 5*time.Minute), "10s", "How long one attempt may take.", restart},

	{"doctor.waivers_file", func(c *Config) any { return &c.Doctor.WaiversFile }, filePath, "", "YAML file of what `veltrix doctor` and the start of every service accept although a check fails, each with a reason and the last day on which it holds; see docs/doctor.md.", live},
	{"doctor.gateway_url", func(c *Config) any { return &c.Doctor.GatewayURL }, baseURL, "", "Where senders reach the gateway, as they do: `veltrix doctor --probe` sends numbered events there; empty leaves that out.", restart},
	{"doctor.gateway_key_file", func(c *Config) any { return &c.Doctor.GatewayKeyFile }, filePath, "", "File that holds the API key of those events, where the gateway asks for one: `veltrix keys add … --source /veltrix/doctor --type veltrix.probe`.", restart},
	{"doctor.gateway_key", func(c *Config) any { return &c.Doctor.GatewayKey }, secretText, "", "The API key itself.", restart},
	{"doctor.inbox_url", func(c *Config) any { return &c.Doctor.InboxURL }, baseURL, "", "Where players reach the inbox, as they do: `veltrix doctor --probe` opens a stream there; empty leaves that out.", restart},

	{"metrics.listen", func(c *Config) any { return &c.Metrics.Listen }, listenAddr, "127.0.0.1:9464", "Where /metrics, /healthz and /readyz are served. When the default is taken, a free port is used; an address that was given must be free.", restart},
	{"metrics.pprof", func(c *Config) any { return &c.Metrics.Pprof }, noBound, "false", "Serve /debug/pprof beside the metrics.", restart},

	{"log.level", func(c *Config) any { return &c.Log.Level }, oneOf("debug", "info", "warn", "error"), "info", "The least severe line that is written.", live},
	{"log.format", func(c *Config) any { return &c.Log.Format }, oneOf("json", "text"), "json", "`json` for machines, `text` for a terminal.", restart},
}
