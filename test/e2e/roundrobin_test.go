package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/internal/trail"
	"github.com/veltrix/veltrix/internal/wire"
	"github.com/veltrix/veltrix/test/broker"
)

// TestTwoGatewaysBehindALoadBalancer sends events in the order in which they
// happened, each over a connection of its own, to a load balancer that gives
// them in turns to two gateways, of which one is slower. The log has players'
// histories out of order, as that of the hunt that Veltrix was made for had;
// states and notifications are those of the histories in order.
func TestTwoGatewaysBehindALoadBalancer(t *testing.T) {
	source, all := lines(t, "flights", 1<<30)
	sent := busiest(all, 20)
	d := deploy(t, place{brokers: broker.Shared(t).Addrs, redis: testredis.Start(t, nil).Addr}, 4, source)
	balancer := roundRobin(t, d.gateway(), d.gateway())

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: stall}
	workers, ctx := errgroup.WithContext(t.Context())
	workers.SetLimit(16)
	for _, line := range sent {
		workers.Go(func() error { return post(ctx, client, "http://"+balancer+"/v1/events", line) })
	}
	d.must(workers.Wait())

	inversions, last := 0, map[string]time.Time{}
	for _, r := range d.read("events") {
		at, err := time.Parse(time.RFC3339Nano, string(r.Header("ce_time")))
		d.must(err)
		who := string(r.Key)
		if at.Before(last[who]) {
			inversions++
		}
		last[who] = at
	}
	if inversions < 20 {
		t.Fatalf("only %d events are before their player's last one in the log: nothing is shown", inversions)
	}
	t.Logf("%d of %d events are before their player's last one in the log", inversions, len(sent))

	d.processor()
	d.notifier()
	d.delivered()
	d.verified(map[string]int64{"applied": int64(len(sent))})
	d.sameStates(sent)
	d.inboxes()
	d.sameNotifications(sent)
	d.inOrder(sent)
}

// inOrder holds each participant's trail against the events in the order in which
// they happened.
func (d *deployment) inOrder(sent []string) {
	d.t.Helper()
	want := map[string][]string{}
	for _, line := range sent {
		var e struct{ ID, Partitionkey string }
		d.must(json.Unmarshal([]byte(line), &e))
		want[e.Partitionkey] = append(want[e.Partitionkey], e.ID)
	}
	for who, ids := range want {
		found, err := app.Trail(d.t.Context(), d.rt, who, trail.Window{}, nil)
		d.must(err)
		var got []string
		for _, e := range found.Entries {
			got = append(got, e.Event.ID)
			if e.Status != trail.Applied {
				d.t.Errorf("%s of %s is %s %s", e.Event.ID, who, e.Status, e.Reason)
			}
		}
		if !slices.Equal(got, ids) {
			d.t.Errorf("the trail of %s is\n%v, and it happened as\n%v", who, got, ids)
		}
	}
}

// busiest returns the lines of the participants who have the most, and of whom
// several are therefore under way at a time.
func busiest(lines []string, participants int) (theirs []string) {
	count := map[string]int{}
	for _, line := range lines {
		count[keyOf(line)]++
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})[:participants]
	for _, line := range lines {
		if slices.Contains(names, keyOf(line)) {
			theirs = append(theirs, line)
		}
	}
	return theirs
}

// gateway runs a gateway in this process and returns its address.
func (d *deployment) gateway() string {
	d.t.Helper()
	listener, err := service.Listen(d.t.Context(), d.rt.Log, "events", "127.0.0.1:0", false)
	d.must(err)
	d.run(app.NewProducer(d.rt, d.program, listener))
	address := listener.Addr().String()
	d.until(func() (bool, string) {
		resp, err := http.Get("http://" + address + "/")
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
	return address
}

// roundRobin gives connections to the targets in turns. What goes to the last
// one is on its way for a moment longer.
func roundRobin(t *testing.T, targets ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		open.Wait()
	})
	var turn atomic.Int64
	open.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			at := int(turn.Add(1)) % len(targets)
			open.Go(func() {
				defer from.Close()
				if at == len(targets)-1 {
					time.Sleep(20 * time.Millisecond)
				}
				to, err := net.Dial("tcp", targets[at])
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(to, from)
					_ = to.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(from, to)
			})
		}
	})
	return listener.Addr().String()
}

// standingText is a notification as its participant sees it.
type standingText struct{ participant, title, body string }

// sameNotifications holds what stands in the topic against what the lines, in
// their order, lead to.
func (d *deployment) sameNotifications(lines []string) {
	d.t.Helper()
	want := map[string]standingText{}
	oracle := fold.NewOracle(fold.New(d.program, 1), 0)
	for offset, line := range lines {
		var when struct{ Time time.Time }
		d.must(json.Unmarshal([]byte(line), &when))
		outputs, err := oracle.Feed(&wire.Record{
			Offset: int64(offset), Timestamp: when.Time.UnixMicro(), Key: []byte(keyOf(line)), Value: []byte(line),
			Headers: []wire.Header{{Key: "content-type", Value: []byte(structured)}},
		})
		d.must(err)
		for i := range outputs {
			if outputs[i].Topic == engine.Notifications {
				d.stand(want, &wire.Record{Key: outputs[i].Key, Value: outputs[i].Value, Headers: outputs[i].Headers})
			}
		}
	}
	got := map[string]standingText{}
	for _, r := range d.read("notifications") {
		d.stand(got, &r)
	}
	if len(want) < 100 || len(got) != len(want) {
		d.t.Errorf("%d notifications stand, want %d", len(got), len(want))
	}
	for id, w := range want {
		if got[id] != w {
			d.t.Errorf("notification %s is %q, want %q", id, got[id], w)
		}
	}
}

func (d *deployment) stand(all map[string]standingText, r *wire.Record) {
	d.t.Helper()
	n, err := wire.DecodeNotification(r)
	d.must(err)
	if n.Op == string(delivery.Retract) {
		delete(all, n.ID)
		return
	}
	all[n.ID] = standingText{n.Participant, n.Title, n.Body}
}

func post(ctx context.Context, client *http.Client, url, line string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(line))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/cloudevents+json")
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		body, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}
