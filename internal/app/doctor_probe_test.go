package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	neturl "net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/apns"
	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/fcm"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/devcluster"
	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/probe"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/internal/wire"
)

const probedPartitions = 4

// probed is a deployment with gateways, and what stands before them.
type probed struct {
	t     *testing.T
	rt    Runtime
	kafka kafkalog.Config
}

func newProbed(t *testing.T) *probed {
	t.Helper()
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	cfg := upConfig()
	cfg.Kafka.Brokers, cfg.Redis.Addrs = cluster.Brokers, []string{cluster.RedisAddr}
	p := &probed{t: t, rt: Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.New(), BootID: cluster.BootID}}
	if p.kafka, err = p.rt.Kafka("test"); err != nil {
		t.Fatal(err)
	}
	if _, err := kafkalog.ApplyTopics(t.Context(), p.kafka, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: probedPartitions, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	return p
}

// gateway is one whose clock is off, which may count on another number of partitions.
func (p *probed) gateway(name string, off time.Duration, more ...func(*ingest.Options)) http.Handler {
	return p.gatewayOf(name, probedPartitions, off, more...)
}

func (p *probed) gatewayOf(name string, partitions int32, off time.Duration, more ...func(*ingest.Options)) http.Handler {
	p.t.Helper()
	appender, err := kafkalog.NewAppender(p.kafka, partitions, 1<<20)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = appender.Close(ctx)
	})
	o := ingest.Options{
		Appender: appender, Instance: name, Limits: ingest.Limits{RequestBytesMax: 1 << 20, BatchEventsMax: 100}, InflightBytesMax: 1 << 20, Timeout: 10 * time.Second,
		Now: func() time.Time { return time.Now().Add(off) },
	}
	for _, m := range more {
		m(&o)
	}
	return ingest.New(o)
}

func (p *probed) serve(h http.Handler) string {
	p.t.Helper()
	s := httptest.NewServer(h)
	p.t.Cleanup(s.Close)
	return s.URL
}

// spread gives connections to the targets in turns, as a balancer of TCP does.
func (p *probed) spread(targets ...string) string {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	go func() {
		for turn := 0; ; turn++ {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", strings.TrimPrefix(targets[turn%len(targets)], "http://"))
			if err != nil {
				from.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(to, from)
				to.Close()
			}()
			go func() {
				_, _ = io.Copy(from, to)
				from.Close()
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// turns gives requests to the targets in turns, whatever their connection.
func (p *probed) turns(targets ...string) string {
	p.t.Helper()
	var all []http.Handler
	for _, target := range targets {
		all = append(all, p.through(target))
	}
	var turn atomic.Int64
	return p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all[int(turn.Add(1))%len(all)].ServeHTTP(w, r)
	}))
}

func (p *probed) through(target string) http.Handler {
	p.t.Helper()
	u, err := neturl.Parse(target)
	if err != nil {
		p.t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(u)
}

// repeated is a request that may be sent on more than once.
func repeated(t *testing.T, r *http.Request) func() *http.Request {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return func() *http.Request {
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body = io.NopCloser(bytes.NewReader(body))
		return again
	}
}

// check runs P03 against a URL.
func (p *probed) check(gatewayURL, key string) preflight.Result {
	p.t.Helper()
	rt := p.rt
	cfg := *rt.Config
	cfg.Doctor.GatewayURL = gatewayURL
	if key != "" {
		p.t.Setenv("VELTRIX_DOCTOR_GATEWAY_KEY", key)
		cfg.Doctor.GatewayKey = loaded(p.t, nil).Doctor.GatewayKey
	}
	rt.Config = &cfg
	report, err := Doctor(p.t.Context(), rt, DoctorOptions{Only: []string{"P03"}, Probe: true, Timeout: time.Minute})
	if err != nil {
		p.t.Fatal(err)
	}
	return report.Results[0]
}

func (p *probed) expect(what, gatewayURL, key string, state preflight.State, observed string) preflight.Result {
	p.t.Helper()
	r := p.check(gatewayURL, key)
	if r.State != state || !strings.Contains(r.Observed, observed) {
		p.t.Errorf("%s: %s %q, want %s with %q", what, r.State, r.Observed, state, observed)
	}
	if r.State != preflight.Pass && r.State != preflight.Skip && (r.Fix == "" || r.Expected == "") {
		p.t.Errorf("%s says not what to do: %+v", what, r)
	}
	return r
}

// TestP03OrderIsKept: what is promised holds for one gateway, and for two whose
// clocks agree, however requests come to them.
func TestP03OrderIsKept(t *testing.T) {
	p := newProbed(t)
	one, two := p.serve(p.gateway("one", 0)), p.serve(p.gateway("two", 0))
	r := p.expect("one gateway", one, "", preflight.Pass, "56 events taken; one connection (1 used): 12 in order; a connection each (12 used): 12 in order; without waiting on one connection (1 used): 12 in order; sent on")
	if !strings.Contains(r.Observed, "served by one ×56") || !strings.Contains(r.Observed, "100 ms apart ") {
		t.Errorf("it says %s", r.Observed)
	}
	for what, url := range map[string]string{"connections in turns": p.spread(one, two), "requests in turns": p.turns(one, two)} {
		if r := p.expect(what, url, "", preflight.Pass, "12 in order"); !strings.Contains(r.Observed, "one ×") || !strings.Contains(r.Observed, "two ×") {
			t.Errorf("%s: %s", what, r.Observed)
		}
	}
	p.harmless()
}

// harmless: what is left is of the one participant and of a type of its own.
func (p *probed) harmless() {
	p.t.Helper()
	reader, err := kafkalog.NewReader(p.kafka)
	if err != nil {
		p.t.Fatal(err)
	}
	defer reader.Close()
	log := &eventsLog{reader, p.kafka.Topic("events")}
	ends, err := log.Ends(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	events := 0
	for partition, end := range ends {
		if end == 0 {
			continue
		}
		err := log.Read(p.t.Context(), partition, 0, end, func(records []wire.Record) error {
			for i := range records {
				events++
				var e participant.Event
				if bad := wire.DecodeEvent(&records[i], nil, &e); bad != nil || e.Participant != "veltrix-probe" || e.Type != "veltrix.probe" {
					p.t.Errorf("it sent %s of %s: %v", e.Type, e.Participant, bad)
				}
			}
			return nil
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	if events != 3*probe.EventsMax {
		p.t.Errorf("three probes left %d events", events)
	}
}

// TestP03GatewaysWhoseClocksDiffer: two gateways behind a balancer, of which one is
// three seconds behind. Its stamps put what came second before what came first.
func TestP03GatewaysWhoseClocksDiffer(t *testing.T) {
	p := newProbed(t)
	one, two := p.serve(p.gateway("one", 0)), p.serve(p.gateway("slow", -3*time.Second))
	r := p.expect("connections in turns", p.spread(one, two), "", preflight.Fail, " of 12 events were stamped with a time before that of one that was sent before them, by slow")
	if !strings.Contains(r.Observed, "a connection each: ") || strings.Contains(r.Observed, "one connection: ") || !strings.Contains(r.Fix, "clocks") || strings.Contains(r.Fix, "queue") {
		t.Errorf("it says %s; fix: %s", r.Observed, r.Fix)
	}
	r = p.expect("requests in turns", p.turns(one, two), "", preflight.Fail, " of 12 events were stamped with a time before")
	if strings.Count(r.Observed, "events were stamped") != 3 {
		t.Errorf("not each series: %s", r.Observed)
	}
}

// TestP03SomethingAnswersInTheirStead: queues, repeaters and holes between the URL
// and the gateway.
func TestP03SomethingAnswersInTheirStead(t *testing.T) {
	p := newProbed(t)
	gateway := p.gateway("one", 0)
	p.expect("a queue that is emptied from behind", p.serve(&queue{t: t, to: gateway}), "", preflight.Fail, "came into the log after they were answered 202")
	p.expect("a queue that is emptied from behind", p.serve(&queue{t: t, to: gateway}), "", preflight.Fail, "lie in the log before one that was sent before them")
	var n atomic.Int64
	p.expect("a hole", p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%7 == 0 {
			accept(w)
			return
		}
		gateway.ServeHTTP(w, r)
	})), "", preflight.Fail, "8 of 56 events that were answered 202 are not in the log")
	p.expect("another service", p.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })), "", preflight.Fail, "202 without a gateway's receipt ×56")
	p.expect("a repeater", p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := repeated(t, r)
		gateway.ServeHTTP(httptest.NewRecorder(), request())
		gateway.ServeHTTP(w, request())
	})), "", preflight.Warn, "56 events lie in the log more than once")
	p.expect("a gateway that is busy at times", p.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%7 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		gateway.ServeHTTP(w, r)
	})), "", preflight.Warn, "8 events were not answered 202 (503 ×8)")
	partly := p.turns(p.serve(gateway), p.serve(p.gatewayOf("other", 1, 0)))
	if wire.PartitionFor([]byte("veltrix-probe"), probedPartitions) == 0 {
		t.Fatal("the participant's partition is 0 by either count: nothing is shown")
	}
	p.expect("two numbers of partitions", partly, "", preflight.Fail, "one participant's events lie in 2 partitions (28 in partition 0, 28 in partition")
}

func accept(w http.ResponseWriter) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"accepted":1,"positions":[{"partition":0,"offset":0}]}`)
}

// queue says 202 at once and passes requests on later, the newest first.
type queue struct {
	t  *testing.T
	to http.Handler

	mu      sync.Mutex
	waiting []func() *http.Request
}

// queueMax is what it gathers before it passes anything on.
const queueMax = 14

func (q *queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := repeated(q.t, r)
	accept(w)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting = append(q.waiting, request); len(q.waiting) < queueMax {
		return
	}
	batch := q.waiting
	slices.Reverse(batch)
	q.waiting = nil
	go func() {
		time.Sleep(500 * time.Millisecond) // it takes its time: that is the mistake
		for _, request := range batch {
			q.to.ServeHTTP(httptest.NewRecorder(), request())
		}
	}()
}

// TestP03CannotBeTried: what is refused or away is unknown, and says what it needs.
func TestP03CannotBeTried(t *testing.T) {
	p := newProbed(t)
	secret, key := ingest.NewKey("doctor", time.Now())
	_, other := ingest.NewKey("other", time.Now())
	key.Sources, key.Types = []string{"/phone"}, []string{"clue.*"}
	keys := ingest.NewKeys([]ingest.Key{key, other}, nil)
	locked := p.serve(p.gateway("one", 0, func(o *ingest.Options) { o.Keys = func() *ingest.Keys { return keys } }))
	strict := p.serve(p.gateway("one", 0, func(o *ingest.Options) {
		o.Schema = &participant.Schema{Hunt: "h", RejectUnknown: true, EventBytesMax: 1 << 10}
	}))
	for _, c := range []struct{ what, url, key, observed, fix string }{
		{"no key", locked, "", "401 ×", "doctor.gateway_key_file"},
		{"a key for something else", locked, secret, "403 ×", "--type veltrix.probe"},
		{"rules that refuse", strict, "", "422 ×56", "declare veltrix.probe"},
		{"another service", p.serve(http.NotFoundHandler()), "", "404 ×56", "leads to a gateway"},
		{"a redirect", p.serve(http.RedirectHandler("http://127.0.0.1:1/", http.StatusMovedPermanently)), "", "301 ×56", "leads to a gateway"},
		{"nobody", "http://127.0.0.1:1", "", "no answer ×56", "can be reached from here"},
	} {
		if r := p.expect(c.what, c.url, c.key, preflight.Unknown, c.observed); !strings.Contains(r.Fix, c.fix) {
			t.Errorf("%s: fix: %s", c.what, r.Fix)
		}
	}
	p.expect("no URL", "", "", preflight.Skip, "doctor.gateway_url")

	gateway := p.serve(p.gateway("one", 0))
	for what, log := range map[string]*deaf{"before": {}, "after": {ends: 1}, "the records": {ends: 99}} {
		f := probe.Order{URL: gateway, Run: newRun(), Log: log}.Check(t.Context())
		expectFinding(t, "denied "+what, f, preflight.Unknown, "not authorized")
	}
}

// deaf is a log that may not be read, after it was asked for its ends so often.
type deaf struct{ ends int }

func (d *deaf) Ends(context.Context) (map[int32]int64, error) {
	if d.ends--; d.ends < 0 {
		return nil, errors.New("not authorized to describe")
	}
	return map[int32]int64{0: int64(100 - d.ends)}, nil
}

func (d *deaf) Read(context.Context, int32, int64, int64, func([]wire.Record) error) error {
	return fmt.Errorf("not authorized to read")
}

// TestN06ProvidersAreAsked: what a provider says against the credentials fails, what
// it does not say is unknown, and only with --probe is anybody asked.
func TestN06ProvidersAreAsked(t *testing.T) {
	google := channeltest.NewFCM(t, channeltest.Status(200))
	apple := channeltest.NewAPNs(t, time.Now, channeltest.APNsReason(400, "BadDeviceToken"))
	stranger := channeltest.NewAPNs(t, time.Now, channeltest.APNsReason(403, "InvalidProviderToken"))
	everywhere := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	channel := func(ch delivery.Channel, err error) delivery.Channel {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	toApple := func(a *channeltest.APNs, url string) delivery.Channel {
		return channel(apns.New(apns.Config{
			Key: a.Key, KeyID: channeltest.APNsKeyID, Team: channeltest.APNsTeam, Topic: channeltest.APNsTopic, Environment: "sandbox",
			URL: url, Allow: everywhere, Roots: a.Roots,
		}, nil))
	}
	phone := channel(fcm.New(fcm.Config{Credentials: google.Credentials, URL: google.URL, Allow: everywhere, Roots: google.Roots}, nil))
	for what, c := range map[string]struct {
		phones []delivery.Channel
		state  preflight.State
		says   string
	}{
		"none":    {nil, preflight.Pass, "on: inbox"},
		"both":    {[]delivery.Channel{phone, toApple(apple, apple.URL)}, preflight.Pass, "on: inbox; fcm takes our credentials; apns takes our credentials"},
		"refused": {[]delivery.Channel{phone, toApple(stranger, stranger.URL)}, preflight.Fail, "apns: 403 InvalidProviderToken"},
		"away":    {[]delivery.Channel{phone, toApple(apple, "https://"+channeltest.Nobody(t))}, preflight.Unknown, "apns: "},
	} {
		expectFinding(t, what, proven(t.Context(), preflight.Passed("on: inbox"), c.phones), c.state, c.says)
	}
	if len(google.Messages()) != 0 {
		t.Error("it sent somebody a message")
	}
	rt := Runtime{Config: loaded(t, map[string]string{"FCM_CREDENTIALS": "{}"})}
	expectFinding(t, "a key that is none", rt.provenCredentials(t.Context()), preflight.Fail, "fcm: ")
}

// TestProbesAreAskedFor: what only --probe does is done by no gate, and skipped by a
// doctor that is not told to.
func TestProbesAreAskedFor(t *testing.T) {
	rt := Runtime{Config: config.Default()}
	all := rt.checks(kafkalog.Config{Prefix: "p"}, nil)
	for _, name := range []string{"producer", "processor", "notifier"} {
		for _, c := range preflight.Concerning(name, all) {
			if e, _ := preflight.Find(c.ID); e.Probe {
				t.Errorf("the %s's gate probes for %s", name, c.ID)
			}
		}
	}
	probes := 0
	for _, c := range all {
		e, _ := preflight.Find(c.ID)
		if !e.Probe {
			continue
		}
		probes++
		expectFinding(t, c.ID, c.Run(t.Context()), preflight.Skip, "only veltrix doctor --probe looks: ")
		if f := c.Run(t.Context()); !strings.Contains(f.Observed, "needs doctor.") {
			t.Errorf("%s says not what it needs: %s", c.ID, f.Observed)
		}
		_, err := Doctor(t.Context(), rt, DoctorOptions{Only: []string{strings.ToLower(c.ID)}})
		if service.ExitCode(err) != service.ExitConfig || !strings.Contains(err.Error(), "veltrix doctor --probe --only "+c.ID) {
			t.Errorf("--only %s: %v", c.ID, err)
		}
	}
	if probes != 3 {
		t.Errorf("%d checks probe", probes)
	}
	for _, c := range rt.probes(kafkalog.Config{}, nil)[1:3] {
		expectFinding(t, c.ID, c.Run(t.Context()), preflight.Skip, "doctor.inbox_url")
	}
	rt.Config.Notifier.JWKSURL, rt.Config.Doctor.InboxURL = "https://id.example/keys", "http://127.0.0.1:1"
	for _, c := range rt.probes(kafkalog.Config{}, nil)[1:3] {
		expectFinding(t, c.ID, c.Run(t.Context()), preflight.Skip, "notifier.jwks_url")
	}
}

// TestProbeMakesNoSecret: where no notifier has left one, the doctor makes none.
func TestProbeMakesNoSecret(t *testing.T) {
	client := redisstore.Open(redisstore.Config{Addrs: []string{testredis.Start(t, nil).Addr}})
	t.Cleanup(func() { client.Close() })
	rt := Runtime{Config: config.Default()}
	if _, err := rt.probeToken(t.Context(), client, "veltrix-probe"); err == nil || !strings.Contains(err.Error(), "no notifier") {
		t.Errorf("without a secret: %v", err)
	}
	if has, err := redisstore.HasTokenSecret(t.Context(), client, rt.Config.Prefix); has || err != nil {
		t.Errorf("it left a secret in Redis: %v", err)
	}
	if _, err := redisstore.TokenSecret(t.Context(), client, rt.Config.Prefix); err != nil {
		t.Fatal(err)
	}
	if token, err := rt.probeToken(t.Context(), client, "veltrix-probe"); err != nil || token == "" {
		t.Errorf("with one: %v", err)
	}
}
