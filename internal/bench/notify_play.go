package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// play sends events to a gateway at a fixed rate. The loop is open: an event
// has its time before anybody knows how the one before it fares, and what is
// measured counts from that time, also where the sender or the gateway was
// behind.
type play struct {
	url     string
	rate    int // records a second
	senders [][]dueEvent
	client  *http.Client
	refused atomic.Int64

	mu     sync.Mutex // guards behind
	behind []int64    // µs from due to sent
}

// dueEvent is one event at its place in the schedule. A copy says what its
// original said, byte for byte.
type dueEvent struct {
	after time.Duration // from the start
	what  numbered
	first time.Duration // when the original was due
}

// sendersMost are connections to the gateway. A player's events go over one of
// them, one after the other: their order is the sender's.
const sendersMost = 64

// newPlay lays records out at rate a second.
func newPlay(address string, plan []numbered, rate int) *play {
	p := &play{
		url: "http://" + address + "/v1/events", rate: rate, senders: make([][]dueEvent, sendersMost),
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: sendersMost}},
	}
	first := map[numbered]time.Duration{}
	for i, what := range plan {
		after := time.Duration(float64(i) / float64(rate) * float64(time.Second))
		if _, copied := first[what]; !copied {
			first[what] = after
		}
		s := what.player % sendersMost
		p.senders[s] = append(p.senders[s], dueEvent{after, what, first[what]})
	}
	return p
}

// run sends everything from start on.
func (p *play) run(ctx context.Context, start time.Time) error {
	defer p.client.CloseIdleConnections()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var sending sync.WaitGroup
	for _, events := range p.senders {
		sending.Go(func() {
			for _, e := range events {
				if err := p.send(ctx, start, e); err != nil {
					fail(err)
					return
				}
			}
		})
	}
	sending.Wait()
	slices.Sort(p.behind)
	return context.Cause(ctx)
}

// send sends one event when it is due, until it is taken.
func (p *play) send(ctx context.Context, start time.Time, e dueEvent) error {
	due := start.Add(e.after)
	select {
	case <-time.After(time.Until(due)):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	p.behind = append(p.behind, time.Since(due).Microseconds())
	p.mu.Unlock()
	at := start.Add(e.first).UTC()
	body := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/bench/%s","type":"clue.found","time":%q,"partitionkey":%q,"data":{"number":%d,"due":%d,"points":100}}`,
		e.what.number, playerName(e.what.player), at.Format(time.RFC3339Nano), playerName(e.what.player), e.what.number, at.UnixMicro())
	for {
		pause, err := p.post(ctx, body)
		if err != nil || pause == 0 {
			return err
		}
		p.refused.Add(1)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// post makes one request, and returns how long to wait before the next where it
// was refused for the time being.
func (p *play) post(ctx context.Context, body string) (pause time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("send an event: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return 0, fmt.Errorf("send an event: %w", err)
	case resp.StatusCode == http.StatusAccepted:
		return 0, nil
	case resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return time.Duration(max(seconds, 1)) * time.Second, nil
	}
	return 0, fmt.Errorf("send an event: %s: %s", resp.Status, text)
}
