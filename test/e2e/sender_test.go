package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/wire"
)

// sender is a back end with one connection to the gateway. It has one request
// under way at a time, and sends each event until it is taken, as
// docs/ingest.md tells it to.
type sender struct {
	name     string
	url      string
	note     string // carried by each event, for its size
	client   *http.Client
	sent     int // events, from 0 on; those below taken were answered 202
	taken    int
	requests int
	took     []time.Duration // for a 202
	refused  map[string]int  // answers, by the problem's name
	broken   []string        // what no sender may ever see
}

var problems = func() map[string]ingest.Problem {
	all := map[string]ingest.Problem{}
	for _, p := range ingest.Problems() {
		all[p.Type] = p
	}
	return all
}()

// senders makes as many, whose connections are closed when the test ends.
func senders(t *testing.T, count int, address, note string) []*sender {
	all := make([]*sender, count)
	for i := range all {
		way := &http.Transport{MaxConnsPerHost: 1}
		t.Cleanup(way.CloseIdleConnections)
		all[i] = &sender{
			name: "sender-" + strconv.Itoa(i), url: "http://" + address + "/v1/events", note: note,
			client: &http.Client{Transport: way, Timeout: stall}, refused: map[string]int{},
		}
	}
	return all
}

// run sends until ctx ends, about one event in each pause. What is under way
// then gets its answer.
func (s *sender) run(ctx context.Context, pause time.Duration) {
	rest(ctx, rand.N(pause)) // or all would begin at once
	for ctx.Err() == nil {
		body := s.next()
		for {
			taken, wait := s.send(body)
			if taken {
				break
			}
			if rest(ctx, wait); ctx.Err() != nil {
				return
			}
		}
		rest(ctx, pause/2+rand.N(pause))
	}
}

func rest(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

func (s *sender) next() string {
	s.sent++
	return fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/load/%s","type":"clue.found","time":%q,"partitionkey":%q,"data":{"points":1,"note":%q}}`,
		s.sent-1, s.name, time.Now().UTC().Format(time.RFC3339Nano), s.name, s.note)
}

// send makes one request. What was not taken may be sent again after the wait.
func (s *sender) send(body string) (taken bool, wait time.Duration) {
	s.requests++
	began := time.Now()
	resp, err := s.client.Post(s.url, "application/cloudevents+json", strings.NewReader(body))
	if err != nil {
		s.broken = append(s.broken, err.Error())
		return false, time.Second
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.broken = append(s.broken, fmt.Sprintf("%s, and then: %v", resp.Status, err))
		return false, time.Second
	}
	if resp.StatusCode == http.StatusAccepted {
		s.taken++
		s.took = append(s.took, time.Since(began))
		return true, 0
	}
	var document struct {
		Type, Title, Detail string
		Status              int
	}
	err = json.Unmarshal(text, &document)
	problem, known := problems[document.Type]
	after, noWait := strconv.Atoi(resp.Header.Get("Retry-After"))
	late := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests
	if err != nil || !known || resp.Header.Get("Content-Type") != "application/problem+json" || document.Detail == "" ||
		document.Status != resp.StatusCode || problem.Status != resp.StatusCode || late && (noWait != nil || after < 1) {
		s.broken = append(s.broken, fmt.Sprintf("%s %v: %s", resp.Status, resp.Header, text))
		return false, time.Second
	}
	s.refused[problem.Name]++
	return false, time.Duration(after) * time.Second
}

// holdsTaken compares the log with what the senders were told: each event that
// was answered 202 is there, and nothing is that nobody sent. It returns how many
// records there are, and of how many events.
func (d *deployment) holdsTaken(all []*sender) (records, events int64) {
	d.t.Helper()
	bySource := map[string][]int{} // how often each event of a sender is in the log
	for _, s := range all {
		bySource["/load/"+s.name] = make([]int, s.sent)
	}
	for _, part := range d.bounds("events") {
		if part.Start == part.End {
			continue
		}
		d.must(kafkalog.ReadPartition(d.t.Context(), d.kafka, d.kafka.Topic("events"), part.Partition, part.Start, part.End, true, func(batch []wire.Record) error {
			for i := range batch {
				id, err := strconv.Atoi(string(batch[i].Header("ce_id")))
				copies := bySource[string(batch[i].Header("ce_source"))]
				if err != nil || id >= len(copies) {
					return fmt.Errorf("record %d of partition %d was sent by nobody: %v", batch[i].Offset, part.Partition, batch[i].Headers)
				}
				copies[id]++
				records++
			}
			return nil
		}))
	}
	for _, s := range all {
		for id, copies := range bySource["/load/"+s.name] {
			if copies > 0 {
				events++
			} else if id < s.taken {
				d.t.Errorf("event %d of %s was answered 202 and is not in the log", id, s.name)
			}
		}
	}
	return records, events
}

func (d *deployment) bounds(topic string) []kafkalog.PartitionBounds {
	d.t.Helper()
	bounds, err := kafkalog.Bounds(d.t.Context(), d.kafka, d.kafka.Topic(topic))
	d.must(err)
	return bounds
}

// figures are what a load came to.
type figures struct {
	requests, taken int
	refused         map[string]int
	half, most      time.Duration // of the time to a 202: the median, and the 99th of 100
}

func (f figures) String() string {
	return fmt.Sprintf("%d requests: %d answered 202 (p50 %s, p99 %s), refused %v", f.requests, f.taken,
		f.half.Round(100*time.Microsecond), f.most.Round(100*time.Microsecond), f.refused)
}

// sum adds up what the senders saw, and fails the test for what they may not see.
func sum(t *testing.T, all []*sender) figures {
	t.Helper()
	f := figures{refused: map[string]int{}}
	var took []time.Duration
	told := 0
	for _, s := range all {
		f.requests, f.taken, took = f.requests+s.requests, f.taken+s.taken, append(took, s.took...)
		for problem, n := range s.refused {
			f.refused[problem] += n
		}
		for _, what := range s.broken {
			if told++; told <= 10 {
				t.Errorf("%s: neither 202 nor a problem document: %s", s.name, what)
			}
		}
	}
	if told > 10 {
		t.Errorf("and %d more", told-10)
	}
	if len(took) > 0 {
		slices.Sort(took)
		f.half, f.most = took[len(took)/2], took[len(took)*99/100]
	}
	return f
}
