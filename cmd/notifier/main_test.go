package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/testredis"
)

const (
	prefix      = "vt"
	partitions  = 4
	hookSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	tokenSecret = "0123456789abcdef0123456789abcdef"
)

// hook is a webhook endpoint that counts verified copies.
type hook struct {
	mu     sync.Mutex
	copies map[string]int
	t      *testing.T
}

func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed
	}
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err == nil {
		err = verifier.Verify(body, r.Header)
	}
	if err != nil {
		h.t.Errorf("a webhook does not verify: %v", err)
	}
	time.Sleep(2 * time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.copies[r.Header.Get("webhook-id")]++
}

// site is what the notifiers work with.
type site struct {
	t      *testing.T
	binary string
	kafka  kafkalog.Config
	env    []string
	hook   *hook
}

func newSite(t *testing.T) *site {
	t.Helper()
	redis := testredis.Start(t, nil)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := &site{
		t: t, binary: filepath.Join(t.TempDir(), "notifier"), hook: &hook{copies: map[string]int{}, t: t},
		kafka: kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: prefix},
	}
	if out, err := exec.Command("go", "build", "-o", s.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	srv := httptest.NewServer(s.hook)
	t.Cleanup(srv.Close)
	s.env = append(os.Environ(),
		"VELTRIX_PREFIX="+prefix, "VELTRIX_KAFKA_BROKERS="+strings.Join(s.kafka.Brokers, ","),
		"VELTRIX_REDIS_ADDRS="+redis.Addr, "VELTRIX_NOTIFIER_LISTEN=127.0.0.1:0", "VELTRIX_METRICS_LISTEN=127.0.0.1:0",
		"VELTRIX_NOTIFIER_TOKEN_SECRET="+tokenSecret, "VELTRIX_NOTIFIER_SESSION_TIMEOUT=6s",
		"VELTRIX_NOTIFIER_WEBHOOK_URL="+srv.URL, "VELTRIX_NOTIFIER_WEBHOOK_SECRET="+hookSecret,
		"VELTRIX_NOTIFIER_WEBHOOK_ALLOW=127.0.0.0/8", "VELTRIX_NOTIFIER_WEBHOOK_TIMEOUT=1s",
	)
	s.topics()
	return s
}

// topics lays out the deployment.
func (s *site) topics() {
	s.t.Helper()
	if _, err := kafkalog.ApplyTopics(s.t.Context(), s.kafka, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: partitions}); err != nil {
		s.t.Fatal(err)
	}
}

// run starts a process that is killed when the test ends.
func run(t *testing.T, cmd *exec.Cmd, out io.Writer) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

var inboxAddress = regexp.MustCompile(`"serving inboxes","address":"([^"]+)"`)

// start runs a notifier and returns it with the address of its inboxes.
func (s *site) start() (*exec.Cmd, string, *output) {
	s.t.Helper()
	cmd, out := exec.Command(s.binary), &output{}
	cmd.Env = s.env
	run(s.t, cmd, out)
	s.t.Cleanup(func() {
		if out.mu.Lock(); s.t.Failed() {
			s.t.Logf("process %d said\n%s", cmd.Process.Pid, out.text.String())
		}
		out.mu.Unlock()
	})
	address := ""
	s.until("the notifier listens", func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		if m := inboxAddress.FindStringSubmatch(out.text.String()); m != nil {
			address = m[1]
		}
		return address != ""
	})
	return cmd, address, out
}

func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("after 60 s still not: %s", what)
		}
	}
}

// write appends notifications [from, to) in committed transactions.
func (s *site) write(from, to int) {
	s.t.Helper()
	cl, err := kgo.NewClient(s.kafka.Options(kgo.TransactionalID("test"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	if err := cl.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	for i := from; i < to; i++ {
		n := deliverytest.Note(who(i), i)
		n.Channels = []string{"inbox", "webhook"}
		if i%2 == 0 {
			n.OnUnknown = delivery.Drop
		}
		in := deliverytest.Record(n, int32(i%10%partitions))
		rec := &kgo.Record{Topic: s.kafka.Topic("notifications"), Partition: in.Partition, Key: in.Key, Value: in.Value}
		for _, h := range in.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		cl.Produce(ctx, rec, nil)
	}
	if err := cl.Flush(ctx); err != nil {
		s.t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		s.t.Fatal(err)
	}
}

func who(i int) string { return fmt.Sprint("player ", i%10) }

// inbox reads a participant's whole inbox through the API.
func (s *site) inbox(address, participant string) []delivery.Entry {
	s.t.Helper()
	token, err := inboxapi.IssueToken([]byte(tokenSecret), participant, time.Minute)
	if err != nil {
		s.t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+address+"/v1/inbox?after=&limit=200", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil // not up yet
	}
	defer resp.Body.Close()
	var page struct{ Entries []delivery.Entry }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return page.Entries
}

// TestKilledNotifier runs two notifiers over real sockets, kills one of them
// hard while both deliver, and counts: each notification is in its inbox once
// and in order, a webhook that may be sent again has a copy, and one that must
// not has at most one.
func TestKilledNotifier(t *testing.T) {
	s := newSite(t)
	const notes = 1200
	victim, _, _ := s.start()
	_, address, _ := s.start()
	s.write(0, notes/2)
	s.until("deliveries run", func() bool {
		s.hook.mu.Lock()
		defer s.hook.mu.Unlock()
		return len(s.hook.copies) > notes/10
	})
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.write(notes/2, notes)
	s.until("all inboxes are full", func() bool {
		sum := 0
		for i := range 10 {
			sum += len(s.inbox(address, who(i)))
		}
		return sum >= notes
	})
	for i := range 10 {
		for j, e := range s.inbox(address, who(i)) {
			if want := fmt.Sprintf("%032x", j*10+i); e.Notification != want || e.Offset != int64(j+1) {
				t.Fatalf("place %d of %s holds %s at offset %d, want %s", j, who(i), e.Notification, e.Offset, want)
			}
		}
	}
	odd := func() (missing, twice int) {
		s.hook.mu.Lock()
		defer s.hook.mu.Unlock()
		for i := range notes {
			copies := s.hook.copies[fmt.Sprintf("%032x", i)]
			if i%2 == 1 && copies == 0 {
				missing++
			}
			if i%2 == 0 && copies > 1 {
				twice++
			}
		}
		return missing, twice
	}
	s.until("every webhook that may be sent again has a copy", func() bool {
		missing, _ := odd()
		return missing == 0
	})
	if _, twice := odd(); twice > 0 {
		t.Errorf("%d webhooks with on_unknown: drop came twice", twice)
	}
}

// TestStopsGracefully checks that a signal drains, leaves the group, and ends
// with code 0 while a stream is open.
func TestStopsGracefully(t *testing.T) {
	s := newSite(t)
	cmd, address, said := s.start()
	s.write(0, 50)
	s.until("the inbox is filled", func() bool { return len(s.inbox(address, who(1))) == 5 })
	token, err := inboxapi.IssueToken([]byte(tokenSecret), who(1), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + address + "/v1/inbox/stream?access_token=" + token)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, said.text.String())
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the stop took %v:\n%s", took, said.text.String())
	}
	// What was delivered is marked and committed: the next one does the rest,
	// and nothing twice.
	s.start()
	s.until("every webhook has come", func() bool {
		s.hook.mu.Lock()
		defer s.hook.mu.Unlock()
		return len(s.hook.copies) == 50
	})
	s.hook.mu.Lock()
	defer s.hook.mu.Unlock()
	for id, copies := range s.hook.copies {
		if copies != 1 {
			t.Errorf("webhook %s came %d times around a graceful stop", id, copies)
		}
	}
}
