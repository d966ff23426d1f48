package client

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options make a Client. Only URL is required; zero stands for the default.
type Options struct {
	// URL is the gateway's, such as http://127.0.0.1:8080. A path is kept, for
	// gateways behind a proxy.
	URL string
	// Key is the API key, sent as a bearer token; empty: none.
	Key string
	// Source is that of events without one.
	Source string
	// HTTP sends the requests. By default a client of its own, which follows no
	// redirects.
	HTTP *http.Client

	// BatchEvents and BatchBytes bound a request; 500 events and 1 MiB. Keep them
	// below the gateway's producer.max_batch_events and max_request_bytes. An
	// event larger than BatchBytes goes alone.
	BatchEvents, BatchBytes int
	// Linger is how long an event waits for others to share its request. 0, the
	// default, sends at once what is there when the lane's last request has been
	// answered, so that batches grow by themselves under load.
	Linger time.Duration
	// Lanes is how many requests may be in flight, one for each lane; 1. A
	// participant's events go by one lane.
	Lanes int
	// QueueEvents and QueueBytes bound what was handed over and has no outcome
	// yet; 10,000 events and 32 MiB, over all lanes.
	QueueEvents, QueueBytes int

	// RequestTimeout bounds one attempt; 1 min. Keep it above the gateway's
	// producer.request_timeout.
	RequestTimeout time.Duration
	// BackoffMin is the wait before the second attempt, doubled for each one
	// after it up to BackoffMax, each less a random part of up to a half; 100 ms
	// and 10 s. A Retry-After that asks for more is followed.
	BackoffMin, BackoffMax time.Duration
	// RetryFor is how long a request is repeated before its events are given up;
	// 2 min. A Retry-After beyond that gives them up at once. Negative: until Close.
	RetryFor time.Duration

	// Logger is told of each attempt that will be repeated, as a warning; nil:
	// silent.
	Logger *slog.Logger
}

// complete puts in the defaults, and returns the address of the events.
func (o *Options) complete() (endpoint string, err error) {
	for _, n := range [...]struct {
		name     string
		value    *int
		standard int
	}{
		{"BatchEvents", &o.BatchEvents, 500},
		{"BatchBytes", &o.BatchBytes, 1 << 20},
		{"Lanes", &o.Lanes, 1},
		{"QueueEvents", &o.QueueEvents, 10_000},
		{"QueueBytes", &o.QueueBytes, 32 << 20},
	} {
		if *n.value < 0 {
			return "", fmt.Errorf("%s is %d: give 1 or more, or 0 for %d", n.name, *n.value, n.standard)
		}
		if *n.value == 0 {
			*n.value = n.standard
		}
	}
	for _, d := range [...]struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"Linger", &o.Linger, 0},
		{"RequestTimeout", &o.RequestTimeout, time.Minute},
		{"BackoffMin", &o.BackoffMin, 100 * time.Millisecond},
		{"BackoffMax", &o.BackoffMax, 10 * time.Second},
	} {
		if *d.value < 0 {
			return "", fmt.Errorf("%s is %s: give more than 0, or 0 for %s", d.name, *d.value, d.standard)
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if o.RetryFor == 0 {
		o.RetryFor = 2 * time.Minute
	}
	if o.BackoffMax < o.BackoffMin {
		return "", fmt.Errorf("BackoffMax is %s, less than BackoffMin, %s: give at least as much", o.BackoffMax, o.BackoffMin)
	}
	if o.HTTP == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = o.Lanes // a connection for each lane is kept
		o.HTTP = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return "", fmt.Errorf("the URL %q is none of a gateway: give one such as http://127.0.0.1:8080", o.URL)
	}
	// The good events of a batch are taken where others are bad.
	return strings.TrimSuffix(base.String(), "/") + "/v1/events?partial=true", nil
}
