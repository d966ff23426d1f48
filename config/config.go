package config

import (
	"fmt"
	"time"
)

// Config is a checked configuration. Load, Default and Parse are the ways to
// get one; it is not changed afterwards.
type Config struct {
	Prefix       string        // of topics, groups, transactional IDs and Redis keys
	Profile      string        // dev or prod
	StartTimeout time.Duration // how long a command waits for brokers and Redis at start
	StopTimeout  time.Duration // how long a command may take to drain

	Kafka     Kafka
	Redis     Redis
	Rules     Rules
	Producer  Producer
	Processor Processor
	Notifier  Notifier
	Doctor    Doctor
	Metrics   Metrics
	Log       Log

	origins  map[string]Origin
	warnings []string
	again    func() (*Config, error) // loads it anew; nil: it was not loaded
}

// Kafka says how to reach the brokers.
type Kafka struct {
	Brokers []string // host:port
	TLS     TLS
	SASL    SASL
}

// SASL names the account at the brokers.
type SASL struct {
	Mechanism    string // none, plain, scram-sha-256 or scram-sha-512
	Username     string
	PasswordFile string
	Password     Secret
}

// Redis says how to reach Redis.
type Redis struct {
	Addrs        []string // host:port or unix:///path
	Cluster      bool
	Username     string
	PasswordFile string
	Password     Secret
	TLS          TLS
}

// TLS is one side's transport security; Build turns it into a *tls.Config.
type TLS struct {
	Enabled  bool
	CAFile   string // empty: the system's authorities
	CertFile string
	KeyFile  string
}

// ServerTLS names the files by which a server speaks TLS; without them it does
// not.
type ServerTLS struct {
	CertFile     string
	KeyFile      string
	ClientCAFile string // of the authorities that certify the clients; empty: no client has to be certified
}

// Rules names the rules file.
type Rules struct{ File string }

// Producer configures the gateway.
type Producer struct {
	Listen           string
	TLS              ServerTLS
	KeysFile         string
	CORSOrigins      []string // whose pages may call the gateway; empty: none
	MaxInflightBytes Size
	MaxRequestBytes  Size
	MaxBatchEvents   int
	RequestTimeout   time.Duration
}

// Processor configures the processor's slots.
type Processor struct {
	Slots              int
	Instance           string // empty: the slots are numbered by lease
	CommitInterval     time.Duration
	CommitRecords      int
	CacheBytes         Size // of all slots together
	SessionTimeout     time.Duration
	TransactionTimeout time.Duration
	RebalanceTimeout   time.Duration
	LeaveOnStop        bool
	Buckets            int // per partition
	CompareInterval    time.Duration
	ScrubInterval      time.Duration
	SnapshotInterval   time.Duration
}

// Notifier configures delivery and the inbox.
type Notifier struct {
	Listen          string
	TLS             ServerTLS
	Lanes           int
	TokenSecretFile string
	TokenSecret     Secret // empty: one is created in Redis and shared
	JWKSURL         string // empty: tokens are signed with the secret
	TokenAudience   string
	LedgerRetention time.Duration
	InboxMax        int // entries per participant
	InboxRetention  time.Duration
	DevicesMax      int           // per participant
	DeviceLife      time.Duration // after its last registration
	PresenceWait    time.Duration // for a participant to see a message before it is pushed
	PushesMax       int           // to one participant within PushesWindow; 0 is no limit
	PushesWindow    time.Duration
	DigestTitle     string // {n} is the number of messages
	DigestBody      string
	SessionTimeout  time.Duration
	Webhook         Webhook
	Webpush         Webpush
	FCM             FCM
	APNs            APNs
}

// Webhook configures the webhook channel; an empty URL switches it off.
type Webhook struct {
	URL        string
	SecretFile string
	Secret     Secret
	Timeout    time.Duration
	Allow      []string // CIDRs exempt from the block of private addresses
}

// Webpush configures the channel to browsers; without a key it is off.
type Webpush struct {
	Subject        string // a mail address or an https URL
	PrivateKeyFile string
	PrivateKey     Secret // VAPID, 32 bytes in base64url
	Timeout        time.Duration
	Allow          []string // CIDRs exempt from the block of private addresses
}

// FCM configures the channel to Android apps; without credentials it is off.
type FCM struct {
	URL             string // of FCM, or of a relay
	CredentialsFile string
	Credentials     Secret // a service account's key, JSON
	Timeout         time.Duration
}

// APNs configures the channel to iOS apps; on when Enabled.
type APNs struct {
	URL         string // of a relay; empty: Apple's, by the environment
	KeyFile     string
	Key         Secret // .p8
	KeyID       string
	TeamID      string
	Topic       string // the app's bundle ID
	Environment string // production or sandbox
	Timeout     time.Duration
}

// Enabled reports whether somebody set what the channel needs; a checked
// configuration has all of it then.
func (a APNs) Enabled() bool {
	return a.Key.Set() || a.KeyID != "" || a.TeamID != "" || a.Topic != ""
}

// Doctor configures the checks of a deployment.
type Doctor struct {
	WaiversFile string // what is accepted although a check fails; empty: nothing
	// What is probed, by whoever asks for it; empty: is not.
	GatewayURL     string
	GatewayKeyFile string
	GatewayKey     Secret // empty: the gateway asks for none
	InboxURL       string
}

// Metrics configures the listener of metrics, health and profiles.
type Metrics struct {
	Listen string
	Pprof  bool
}

// Log configures the log.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // json or text
}

// Origin says where a value comes from.
type Origin struct {
	Kind string // default, file, env or flag
	Name string // the file, the variable or the flag
	Line int    // in the file, from 1; 0 for the file as a whole
}

// String names the place as an operator would look for it.
func (o Origin) String() string {
	switch {
	case o.Kind == "file" && o.Line == 0:
		return o.Name
	case o.Kind == "file":
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	case o.Name == "":
		return o.Kind
	default:
		return o.Kind + " " + o.Name
	}
}

// Origin returns where the value of a key comes from, "default" for a key that
// nobody gave.
func (c *Config) Origin(key string) Origin {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return Origin{Kind: "default"}
}

// Explicit reports whether somebody gave the key, rather than its default.
func (c *Config) Explicit(key string) bool { return c.Origin(key).Kind != "default" }

// Warnings are remarks that do not stop a command, such as a variable that
// looks like ours and is not. They are for the log, once.
func (c *Config) Warnings() []string { return c.warnings }
