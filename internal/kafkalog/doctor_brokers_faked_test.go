package kafkalog_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/test/broker"
)

// inProd are the options of a processor with its defaults, in profile prod.
func inProd() kafkalog.BrokerOptions {
	opts := ours()
	opts.Profile = "prod"
	return opts
}

// elsewhere is a listener that says to listen at another address.
type elsewhere struct {
	net.Listener
	addr net.Addr
}

func (l elsewhere) Addr() net.Addr { return l.addr }

// advertising starts three brokers; at says where each advertises itself.
func advertising(t *testing.T, at func(node int, listens string) string) kafkalog.Config {
	t.Helper()
	cfg := kafkalog.Config{Prefix: "p"}
	fakeBrokers(t, kfake.NumBrokers(3), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		listens := l.Addr().String()
		addr, err := net.ResolveTCPAddr("tcp", at(len(cfg.Brokers), listens))
		cfg.Brokers = append(cfg.Brokers, listens)
		return elsewhere{l, addr}, err
	}))
	return cfg
}

// nowhere is an address that nobody listens at.
func nowhere(t *testing.T) string {
	t.Helper()
	ports, err := broker.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0])
}

func onlyK01(t *testing.T, cfg kafkalog.Config) preflight.Result {
	t.Helper()
	checks, err := preflight.Choose(kafkalog.BrokerChecks(cfg, ours()), []string{"K01"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return preflight.Run(t.Context(), checks, preflight.Options{Deadline: 30 * time.Second}).Results[0]
}

// TestK01WhereAddressesLead has three brokers of which each advertises a balancer of
// its own: behind it may be the broker, a broker of another cluster, another broker
// of the same, or one that hangs up.
func TestK01WhereAddressesLead(t *testing.T) {
	t.Parallel()
	strangers, namesakes := fakeBrokers(t, kfake.NumBrokers(5)), fakeBrokers(t, kfake.ClusterID("another"))
	curt, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(curt.Close)
	curt.ControlKey(int16(kmsg.DescribeConfigs), func(kmsg.Request) (kmsg.Response, error, bool) {
		curt.KeepControl()
		return nil, errors.New("hang up"), true
	})
	for name, c := range map[string]struct {
		behind   func(own []*spreader, listens []string)
		state    preflight.State
		observed string
	}{
		"each to its own": {func([]*spreader, []string) {}, preflight.Pass, "is broker 1 (4 connections)"},
		"one of another cluster": {
			func(own []*spreader, _ []string) { own[0].add(strangers[4]) }, preflight.Fail,
			"served nodes none of these,0 over 4 connections, and is broker 0's",
		},
		"one of another cluster, of the same number": {
			func(own []*spreader, _ []string) { own[0].add(namesakes[0]) }, preflight.Fail,
			"served nodes none of these,0 over 4 connections, and is broker 0's",
		},
		"another of the same": {
			func(own []*spreader, listens []string) { own[1].add(listens[0]) }, preflight.Fail,
			"served nodes 0,1 over 4 connections, and is broker 1's",
		},
		"one that hangs up": {func(own []*spreader, _ []string) { own[2].add(curt.ListenAddrs()[0]) }, preflight.Unknown, "2 of 4 connections to "},
	} {
		own := []*spreader{spread(t), spread(t), spread(t)}
		cfg := advertising(t, func(node int, listens string) string {
			own[node].add(listens)
			return own[node].addr
		})
		c.behind(own, cfg.Brokers)
		t.Run(name, func(t *testing.T) { expect(t, onlyK01(t, cfg), c.state, c.observed) })
	}
}

// TestK13ReachedByNobody: what a broker would say that every address leads past is
// not known.
func TestK13ReachedByNobody(t *testing.T) {
	t.Parallel()
	past := spread(t)
	cfg := advertising(t, func(node int, listens string) string {
		switch node {
		case 0:
			past.add(listens)
		case 1:
			return past.addr
		}
		return listens
	})
	_, r := lookAtBrokers(t, cfg, ours())
	expect(t, r["K01"], preflight.Fail, "served nodes 0 over 4 connections, and is broker 1's")
	expect(t, r["K13"], preflight.Unknown, "broker 1 was reached on no connection")
}

// TestK01AdvertisedAddresses: all advertise the same, which may lead to all of them
// or nowhere; and one is where nobody is.
func TestK01AdvertisedAddresses(t *testing.T) {
	t.Parallel()
	all, dead := spread(t), nowhere(t)
	cfg := advertising(t, func(_ int, listens string) string {
		all.add(listens)
		return all.addr
	})
	expect(t, onlyK01(t, cfg), preflight.Fail, "brokers 0,1,2 all advertise one address: "+all.addr+" served nodes 0,1,2 over 12 connections")
	cfg = advertising(t, func(int, string) string { return dead })
	expect(t, onlyK01(t, cfg), preflight.Fail, "brokers 0,1,2 all advertise "+dead)
	cfg = advertising(t, func(node int, listens string) string {
		if node == 2 {
			return dead
		}
		return listens
	})
	r := onlyK01(t, cfg)
	expect(t, r, preflight.Unknown, "kafka broker 2 at "+dead+" did not answer")
	if r.Missing != "kafka broker 2" {
		t.Errorf("missing is %q", r.Missing)
	}
}

// asItShould is how a broker is set that no check has a word about.
var asItShould = map[string]string{
	"auto.create.topics.enable":                                   "false",
	"offsets.topic.replication.factor":                            "3",
	"transaction.state.log.replication.factor":                    "3",
	"transactional.id.expiration.ms":                              "604800000",
	"transaction.max.timeout.ms":                                  "900000",
	"transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000",
	"offset.metadata.max.bytes":                                   "4096",
}

const hides = "hides it"

// setSo are three brokers as they should be, of which the second has one setting
// otherwise.
func setSo(t *testing.T, name, value string) kafkalog.Config {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.DescribeConfigs), func(k kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := k.(*kmsg.DescribeConfigsRequest)
		if req.Resources[0].ResourceType != kmsg.ConfigResourceTypeBroker {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, asked := range req.Resources {
			r := kmsg.NewDescribeConfigsResponseResource()
			r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
			if node := c.CurrentNode(); asked.ResourceName != strconv.Itoa(int(node)) {
				r.ErrorCode = kerr.InvalidRequest.Code
			} else {
				r.Configs = configsOf(node == 1, name, value)
			}
			resp.Resources = append(resp.Resources, r)
		}
		return resp, nil, true
	})
	return kafkalog.Config{Brokers: c.ListenAddrs(), Prefix: "p"}
}

func configsOf(other bool, name, value string) (all []kmsg.DescribeConfigsResponseResourceConfig) {
	settings := maps.Clone(asItShould)
	if other {
		settings[name] = value
	}
	for key, v := range settings {
		s := kmsg.NewDescribeConfigsResponseResourceConfig()
		if s.Name = key; v != hides {
			s.Value = &v
		}
		all = append(all, s)
	}
	return all
}

// TestK03K04K13K16OneOfThree has one broker of three set otherwise, at both sides of
// each limit.
func TestK03K04K13K16OneOfThree(t *testing.T) {
	t.Parallel()
	const (
		offsets, states = "offsets.topic.replication.factor", "transaction.state.log.replication.factor"
		forgets, lasts  = "transactional.id.expiration.ms", "transaction.max.timeout.ms"
		looks, fits     = "transaction.abort.timed.out.transaction.cleanup.interval.ms", "offset.metadata.max.bytes"
		created         = "auto.create.topics.enable"
	)
	long := inProd()
	long.TransactionTimeout = time.Minute
	for _, c := range []struct {
		id, name, value string
		opts            kafkalog.BrokerOptions
		state           preflight.State
		observed        string
	}{
		{"K03", offsets, "2", inProd(), preflight.Fail, "__consumer_offsets: none yet, to be made with 2 replicas (" + offsets},
		{"K03", states, "2", inProd(), preflight.Fail, "__transaction_state: none yet, to be made with 2 replicas (" + states},
		{"K03", states, "3", inProd(), preflight.Pass, "to be made with 3 replicas"},
		{"K03", states, hides, inProd(), preflight.Unknown, "broker 1 hides " + states},
		{"K03", states, "2", ours(), preflight.Pass, "profile dev asks for no replication"},
		{"K04", created, "true", inProd(), preflight.Fail, created + "=true at brokers 1"},
		{"K04", created, "true", ours(), preflight.Pass, created + "=true at brokers 1"},
		{"K04", created, "false", inProd(), preflight.Pass, created + "=false at brokers 0,1,2"},
		{"K04", created, hides, inProd(), preflight.Unknown, "broker 1 hides " + created},
		{"K13", forgets, "86399999", inProd(), preflight.Fail, forgets + "=86399999 at brokers 1: an ID"},
		{"K13", forgets, "86400000", inProd(), preflight.Warn, "=86400000 at brokers 1"},
		{"K13", forgets, "604799999", inProd(), preflight.Warn, "=604799999 at brokers 1"},
		{"K13", forgets, "604800000", inProd(), preflight.Pass, ""},
		{"K13", forgets, "a week", inProd(), preflight.Unknown, "a week"},
		{"K13", lasts, "9999", inProd(), preflight.Fail, "a transaction may last 10s"},
		{"K13", lasts, "10000", inProd(), preflight.Pass, ""},
		{"K13", lasts, "59999", long, preflight.Fail, "a transaction may last 1m0s"},
		{"K13", lasts, hides, inProd(), preflight.Unknown, "broker 1 hides " + lasts},
		{"K16", looks, "10001", inProd(), preflight.Fail, looks + "=10001 at brokers 1: after a crash"},
		{"K16", looks, "10000", inProd(), preflight.Pass, ""},
		{"K16", looks, "60000", long, preflight.Pass, ""},
		{"K16", looks, "60001", long, preflight.Fail, looks + "=60001"},
		{"K16", fits, "100", inProd(), preflight.Fail, fits + "=100 at brokers 1: a commit's stamp"},
		{"K16", fits, hides, inProd(), preflight.Unknown, "broker 1 hides " + fits},
	} {
		_, r := lookAtBrokers(t, setSo(t, c.name, c.value), c.opts)
		expect(t, r[c.id], c.state, c.observed)
		if said := r[c.id].Before; (c.state == preflight.Pass && c.opts.Profile == "dev") != (said != "") {
			t.Errorf("%s: %s=%s in profile %s: before production it says %q", c.id, c.name, c.value, c.opts.Profile, said)
		}
		delete(r, c.id)
		for _, id := range []string{"K01", "K03", "K04", "K13", "K16"} {
			if x, other := r[id]; other && x.State != preflight.Pass {
				t.Errorf("%s=%s: %s is %s too: %s", c.name, c.value, id, x.State, x.Observed)
			}
		}
	}
}

// TestK16LongestStamp: what does not fit is the longest stamp to the byte.
func TestK16LongestStamp(t *testing.T) {
	t.Parallel()
	const name = "offset.metadata.max.bytes"
	_, r := lookAtBrokers(t, setSo(t, name, "1"), ours())
	var longest int
	if _, text, ok := strings.Cut(r["K16"].Observed, "a commit's stamp has up to "); !ok {
		t.Fatalf("%+v", r["K16"])
	} else if _, err := fmt.Sscan(text, &longest); err != nil || longest < 200 || longest > 4096 {
		t.Fatalf("%d bytes, %v", longest, err)
	}
	_, r = lookAtBrokers(t, setSo(t, name, strconv.Itoa(longest-1)), ours())
	expect(t, r["K16"], preflight.Fail, name)
	_, r = lookAtBrokers(t, setSo(t, name, strconv.Itoa(longest)), ours())
	expect(t, r["K16"], preflight.Pass, name)
}

// TestK01K03WhatTheMetadataSays: a broker that has replicas and that no other broker
// knows, and a partition of Kafka's own with fewer replicas than the rest.
func TestK01K03WhatTheMetadataSays(t *testing.T) {
	t.Parallel()
	says := func(topics map[string][][]int32) map[string]preflight.Result {
		t.Helper()
		c, err := kfake.NewCluster(kfake.NumBrokers(3))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		addrs := c.ListenAddrs()
		c.ControlKey(int16(kmsg.Metadata), func(k kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp := k.ResponseKind().(*kmsg.MetadataResponse)
			for node, addr := range addrs {
				b := kmsg.NewMetadataResponseBroker()
				_, port, _ := net.SplitHostPort(addr)
				n, _ := strconv.Atoi(port)
				b.NodeID, b.Host, b.Port = int32(node), "127.0.0.1", int32(n)
				resp.Brokers = append(resp.Brokers, b)
			}
			for topic, partitions := range topics {
				mt := kmsg.NewMetadataResponseTopic()
				mt.Topic = &topic
				for id, replicas := range partitions {
					p := kmsg.NewMetadataResponseTopicPartition()
					p.Partition, p.Replicas = int32(id), replicas
					mt.Partitions = append(mt.Partitions, p)
				}
				resp.Topics = append(resp.Topics, mt)
			}
			return resp, nil, true
		})
		_, r := lookAtBrokers(t, kafkalog.Config{Brokers: addrs, Prefix: "p"}, inProd())
		return r
	}
	three := []int32{0, 1, 2}
	r := says(map[string][][]int32{"__consumer_offsets": {three, three}, "__transaction_state": {three}})
	expect(t, r["K01"], preflight.Pass, "is broker 2")
	expect(t, r["K03"], preflight.Pass, "__consumer_offsets: 3 replicas; __transaction_state: 3 replicas")
	r = says(map[string][][]int32{"__consumer_offsets": {three, {0, 1}, three}, "__transaction_state": {three}})
	expect(t, r["K03"], preflight.Fail, "__consumer_offsets: 2 replicas")
	r = says(map[string][][]int32{"__consumer_offsets": {three}, "__transaction_state": {{0, 1, 7}}})
	expect(t, r["K01"], preflight.Unknown, "kafka broker 7 did not answer")
}

// TestK01K03K04K13K16EmbeddedByItsRack: who connects to the broker of a running
// veltrix up is not bothered with what that has not.
func TestK01K03K04K13K16EmbeddedByItsRack(t *testing.T) {
	t.Parallel()
	_, r := lookAtBrokers(t, kafkalog.Config{Prefix: "p", Brokers: fakeBrokers(t, kfake.BrokerConfigs(map[string]string{"broker.rack": kafka.EmbeddedRack}))}, inProd())
	for _, id := range slices.Sorted(maps.Keys(r)) {
		if r[id].State != preflight.Skip {
			t.Errorf("%s is %s: %s", id, r[id].State, r[id].Observed)
		}
	}
}
