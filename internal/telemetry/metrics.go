package telemetry

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Short names for the kinds of metric, so that a declaration fits a line.
type (
	counter      = prometheus.Counter
	counterVec   = *prometheus.CounterVec
	gauge        = prometheus.Gauge
	gaugeVec     = *prometheus.GaugeVec
	histogram    = prometheus.Histogram
	histogramVec = *prometheus.HistogramVec
)

// Metrics is every metric of a process, registered with a registry of its own.
// A field's labels are listed in docs/metrics.md, in the order of its values.
type Metrics struct {
	Registry *prometheus.Registry
	declared []Declaration

	BuildInfo   gaugeVec   // version, revision, go
	DoctorCheck gaugeVec   // id, state
	Reloads     counterVec // result: taken, refused
	HTTP        HTTPMetrics
	Kafka       KafkaMetrics
	Gateway     GatewayMetrics
	Processor   ProcessorMetrics
	Notifier    NotifierMetrics
}

// HTTPMetrics covers every server of the process.
type HTTPMetrics struct {
	Requests counterVec   // server, route, code
	Seconds  histogramVec // server, route
	NotAfter gaugeVec     // server
}

// KafkaMetrics covers all Kafka clients of the process together. KafkaHook
// feeds them.
type KafkaMetrics struct {
	Connects         counterVec   // outcome: ok, error
	Disconnects      counter      //
	RequestSeconds   histogramVec // api
	RequestErrors    counterVec   // api
	ThrottledSeconds counter      //
	WrittenRecords   counterVec   // topic
	WrittenBytes     counterVec   // topic
	ReadRecords      counterVec   // topic
	ReadBytes        counterVec   // topic
}

// GatewayMetrics covers cmd/producer.
type GatewayMetrics struct {
	Accepted      counter    // events
	Refused       counterVec // reason
	InflightBytes gauge
	AppendSeconds histogram
}

// ProcessorMetrics covers cmd/processor.
type ProcessorMetrics struct {
	*sources

	Records        counterVec // fate
	Notifications  counterVec // op
	Transactions   counterVec // outcome: committed, not_committed, error
	BatchRecords   histogram
	CommitSeconds  histogram
	LateBySeconds  histogram
	LoadSeconds    histogram
	CAS            counterVec // outcome: moved, refused, retried
	Partitions     gaugeVec   // phase
	Assigned       counter
	Replayed       counter
	Rebuilt        counter
	ReplayLeft     gaugeVec   // partition
	Scrubs         counterVec // result: clean, damaged, strayed
	Snapshots      counterVec // result: saved, restored
	SnapshotLag    gaugeVec   // partition
	Headroom       gaugeVec   // partition
	HeldBack       gaugeVec   // partition
	LeftOpen       counterVec // end: commit, abort
	Refused        gaugeVec   // partition, reason
	Rerouted       counterVec // source, see SourceLabel
	RulesApplied   counterVec // rule
	SequenceBreaks counterVec // source, see SourceLabel; kind: gap, inversion
	Sessions       counterVec // reason
	CacheBytes     gauge
	CacheLookups   counterVec // outcome: hit, miss
	CacheEvictions counter
	Committed      gaugeVec // partition
	Applied        gaugeVec // partition
	LagRecords     gaugeVec // partition
	ViewLag        gaugeVec // partition
	LagSeconds     gaugeVec // partition
}

// NotifierMetrics covers cmd/notifier.
type NotifierMetrics struct {
	Consumed     counterVec // op
	Delivered    counterVec // channel
	Deduped      counterVec // channel
	Ambiguous    counterVec // channel, policy
	Retried      counterVec // channel
	Expired      counterVec // channel
	Retracted    counterVec // channel
	Pruned       counterVec // channel
	Dead         counterVec // channel, reason
	Withheld     counterVec // channel, reason
	Held         gauge
	Inflight     gauge
	Lanes        gauge
	BreakersOpen gaugeVec     // channel
	SendSeconds  histogramVec // channel
	EndToEnd     histogramVec // channel
	Streams      gauge
	Resyncs      counter
	Alarms       counterVec // channel
	Stalled      counterVec // store
	LagRecords   gaugeVec   // partition
}

// New declares every metric on a registry of its own.
func New() *Metrics {
	d := &declarer{registry: prometheus.NewRegistry()}
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &Metrics{Registry: d.registry}
	m.BuildInfo = d.gauges("build_info", "Always 1; the labels say what is running.", "version", "revision", "go")
	m.DoctorCheck = d.gauges("doctor_check", "1 for the state that a check of the deployment is in: pass, warn, fail, unknown, skip or waived. Each service shows the checks that concern it, and looks again every five minutes or so; docs/doctor.md lists them.", "id", "state")
	m.Reloads = d.counters("config_reloads_total", "How often the configuration was read again (SIGHUP): taken, or refused because something in it is wrong; the log says what.", "result")
	for _, result := range []string{"taken", "refused"} {
		m.Reloads.WithLabelValues(result)
	}
	m.HTTP = declareHTTP(d)
	m.Kafka = declareKafka(d)
	m.Gateway = declareGateway(d)
	m.Processor = declareProcessor(d)
	m.Notifier = declareNotifier(d)
	m.declared = d.made
	return m
}

// ShowCheck puts a check of the deployment into a state, and out of any other.
func (m *Metrics) ShowCheck(id, state string) {
	m.DoctorCheck.WithLabelValues(id, state).Set(1) // first: no scrape sees it in none
	for _, other := range []string{"pass", "warn", "fail", "unknown", "skip", "waived"} {
		if other != state {
			m.DoctorCheck.DeleteLabelValues(id, other)
		}
	}
}

// SetBuild fills veltrix_build_info. The revision comes from the binary.
func (m *Metrics) SetBuild(version string) {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	m.BuildInfo.WithLabelValues(version, revision, runtime.Version()).Set(1)
}

func declareHTTP(d *declarer) HTTPMetrics {
	d.part = "http"
	return HTTPMetrics{
		Requests: d.counters("requests_total", "Requests answered.", "server", "route", "code"),
		Seconds:  d.histograms("request_seconds", "From a request's first byte to the end of its answer. Streams are left out.", secondsFast, "server", "route"),
		NotAfter: d.gauges("certificate_not_after_timestamp_seconds", "When the certificate that a server shows to new connections expires, in Unix time; only of servers that speak TLS.", "server"),
	}
}

func declareKafka(d *declarer) KafkaMetrics {
	d.part = "kafka"
	return KafkaMetrics{
		Connects:         d.counters("connects_total", "Connections opened to brokers, by outcome: ok or error.", "outcome"),
		Disconnects:      d.counter("disconnects_total", "Connections to brokers that ended."),
		RequestSeconds:   d.histograms("request_seconds", "From writing a request to having read its answer, by the protocol's name of the request. Fetches wait for data.", secondsFast, "api"),
		RequestErrors:    d.counters("request_errors_total", "Requests that were not written or whose answer was not read.", "api"),
		ThrottledSeconds: d.counter("throttled_seconds_total", "Time for which brokers throttled this process."),
		WrittenRecords:   d.counters("written_records_total", "Records that brokers acknowledged.", "topic"),
		WrittenBytes:     d.counters("written_bytes_total", "Compressed bytes of those records.", "topic"),
		ReadRecords:      d.counters("read_records_total", "Records fetched.", "topic"),
		ReadBytes:        d.counters("read_bytes_total", "Compressed bytes of those records.", "topic"),
	}
}

func declareGateway(d *declarer) GatewayMetrics {
	d.part = ""
	g := GatewayMetrics{
		Accepted: d.counter("events_accepted_total", "Events that the gateway answered with 202: every in-sync replica has them."),
		Refused:  d.counters("events_refused_total", "Events that the gateway refused, by the problem's name. A refused request refuses all its events.", "reason"),
	}
	d.part = "producer"
	g.InflightBytes = d.gauge("inflight_bytes", "Bytes of accepted requests that wait for the brokers.")
	g.AppendSeconds = d.histogram("append_seconds", "From a checked request to the brokers' acknowledgement of all its events.", secondsFast)
	return g
}

func declareProcessor(d *declarer) ProcessorMetrics {
	d.part = "processor"
	return ProcessorMetrics{
		sources:        &sources{known: map[string]bool{}},
		Records:        d.counters("records_total", "Records whose outcome was committed, by fate.", "fate"),
		Notifications:  d.counters("notifications_total", "Notifications committed, by what they ask for: send, update or retract.", "op"),
		Transactions:   d.counters("transactions_total", "Transactions, by outcome: committed, not_committed (nothing of it counts, and it is tried again) or error (a new session begins).", "outcome"),
		BatchRecords:   d.histogram("batch_records", "Records in one transaction.", records),
		CommitSeconds:  d.histogram("commit_seconds", "From the end of folding to the transaction's outcome.", secondsFast),
		LateBySeconds:  d.histogram("late_by_seconds", "How far behind its participant's newest event one was that did not arrive in order, whether it still counted or was late. What grace covers it is said by veltrix advise grace.", secondsLate),
		LoadSeconds:    d.histogram("load_seconds", "One verified load of states from Redis.", secondsFast),
		CAS:            d.counters("cas_total", "Moves of a partition in Redis, by outcome: moved, refused (the position was not the expected one) or retried (no answer came).", "outcome"),
		Partitions:     d.gauges("partitions", "Partitions owned, by phase: reading R, reading K, looking for a snapshot, rebuilding, replaying, ready or refused.", "phase"),
		Assigned:       d.counter("assignments_total", "Partitions taken over."),
		Replayed:       d.counter("replayed_total", "Records folded again, without output, because Redis was behind the log."),
		Rebuilt:        d.counter("rebuilt_total", "Partitions whose view in Redis was missing or damaged and was built anew."),
		ReplayLeft:     d.gauges("replay_left_records", "Records that a partition still has to fold again before it is ready; 0 when it is.", "partition"),
		Scrubs:         d.counters("scrubs_total", "Looks at what Redis holds of a partition, by result: clean (all values are what they should be), damaged (they are not, and the partition is built anew) or strayed (an idle partition was moved or lost).", "result"),
		Snapshots:      d.counters("snapshots_total", "Snapshots of a partition's state, by result: saved or restored.", "result"),
		SnapshotLag:    d.gauges("snapshot_lag_records", "Records between a partition's newest snapshot (without one: the start of its state) and its applied offset: what a rebuild has to fold.", "partition"),
		HeldBack:       d.gauges("held_back_records", "Records behind a partition's last stable offset: a transaction before them is open, and nobody sees them. The lag does not count them.", "partition"),
		LeftOpen:       d.counters("left_open_transactions_total", "Transactions that their coordinator had ended without telling a partition of the outputs, and that were ended there, by what they ended with: commit or abort.", "end"),
		Headroom:       d.gauges("headroom_records", "Records between the log's start and a partition's newest snapshot (without one: the start of its state). Below 0, a lost view cannot be built anew.", "partition"),
		Refused:        d.gauges("refused", "1 for a partition that is refused: processing it could lose or double events. The log names the fix.", "partition", "reason"),
		Rerouted:       d.counters("rerouted_total", "Records found on a partition that is not their participant's and appended to the right one, by the event's source. "+sourceRule, "source"),
		RulesApplied:   d.counters("rules_applied_total", "Events that had effect by a rule where they stand after their arrival. What folding again changes in that is not counted.", "rule"),
		SequenceBreaks: d.counters("sequence_breaks_total", "Events whose sequence does not go on by one from the last of their source and participant: gap (at least one is missing before it) or inversion (a later one came before it). A gap with its inversion is an exchange of places, a gap alone a loss. "+sourceRule, "source", "kind"),
		Sessions:       d.counters("sessions_total", "Sessions begun, by reason: start, or what ended the one before.", "reason"),
		CacheBytes:     d.gauge("cache_bytes", "Memory of cached participants' states."),
		CacheLookups:   d.counters("cache_lookups_total", "States looked up, by outcome: hit or miss.", "outcome"),
		CacheEvictions: d.counter("cache_evictions_total", "Clean states dropped for want of room."),
		Committed:      d.gauges("committed_offset", "Committed offset (K) of a partition that this process owns: the next record to read.", "partition"),
		Applied:        d.gauges("applied_offset", "Applied offset (R) in Redis of a partition that this process owns: one past the last record in the view.", "partition"),
		LagRecords:     d.gauges("lag_records", "Offsets between a partition's committed offset (K) and its last stable offset: the records left, as long as nobody writes to events in transactions. veltrix lag counts records.", "partition"),
		ViewLag:        d.gauges("view_lag_records", "Offsets between a partition's applied offset in Redis (R) and its last stable offset.", "partition"),
		LagSeconds:     d.gauges("lag_seconds", "Age of the next record to read, by its own timestamp; 0 when none is left, and absent while one is left and its age is not known.", "partition"),
	}
}

func declareNotifier(d *declarer) NotifierMetrics {
	d.part = "notifier"
	return NotifierMetrics{
		Consumed:     d.counters("notifications_total", "Notifications read, by what they ask for: send, update or retract.", "op"),
		Delivered:    d.counters("delivered_total", "Notifications that a channel took.", "channel"),
		Deduped:      d.counters("deduped_total", "Notifications that a channel already had and that were not sent again.", "channel"),
		Ambiguous:    d.counters("ambiguous_total", "Attempts whose outcome nobody knows, by what the notification's class wants then: resend or drop.", "channel", "policy"),
		Retried:      d.counters("retried_total", "Attempts that definitely failed and are tried again.", "channel"),
		Expired:      d.counters("expired_total", "Notifications past their deadline; not sent.", "channel"),
		Retracted:    d.counters("retracted_total", "Notifications withdrawn before or after they were sent.", "channel"),
		Pruned:       d.counters("pruned_total", "Devices that their provider does not know any more, and that were taken out.", "channel"),
		Dead:         d.counters("dead_total", "Notifications given up, by reason.", "channel", "reason"),
		Withheld:     d.counters("withheld_total", "Pushes that the participant does not get, or not now: seen (in the inbox), muted, deferred (quiet hours), digested (beyond the allowance).", "channel", "reason"),
		Held:         d.gauge("held", "Notifications that wait for their class's hold to end."),
		Inflight:     d.gauge("inflight", "Notifications read and not yet finished."),
		Lanes:        d.gauge("lanes", "Lanes at work: participants being served at this moment."),
		BreakersOpen: d.gauges("breakers_open", "Endpoints that are left alone for a while because they kept failing.", "channel"),
		SendSeconds:  d.histograms("send_seconds", "One attempt at a channel.", secondsFast, "channel"),
		EndToEnd:     d.histograms("end_to_end_seconds", "From the causing event's arrival in the log to the channel having taken the notification.", secondsSlow, "channel"),
		Streams:      d.gauge("inbox_streams", "Open inbox streams."),
		Resyncs:      d.counter("inbox_resyncs_total", "Streams told to read the inbox anew because their position was gone."),
		Alarms:       d.counters("alarms_total", "Answers that blame our configuration (401, 403): the channel is left alone until it is mended.", "channel"),
		Stalled:      d.counters("stalled_total", "Failures of a store that made deliveries wait; nothing is sent meanwhile.", "store"),
		LagRecords:   d.gauges("lag_records", "Offsets between a partition's committed offset and its last stable offset when it was fetched last, markers of transactions among them; 0 when all that was fetched is finished. veltrix lag counts records.", "partition"),
	}
}
