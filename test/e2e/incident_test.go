package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

var writeIncident = flag.Bool("write-incident", false, "write docs/incident.md from what TestIncident sees")

const incidentPage = "../../docs/incident.md"

const incidentRules = `hunt: harbour
version: 1
order: {grace: 5s, max_ahead: 1m, max_tail: 256, ring: 16}
events:
  clue.found: {data: {clue: {type: int, min: 1, max: 1000}}}
state:
  found: {type: int}
rules:
  - name: found
    on: clue.found
    set: {found: state.found + 1}
    notify: [{name: "clue", class: clue, title: "Clue ${event.data.clue} found", body: "${state.found} so far"}]
classes:
  clue: {channels: [inbox], expires: 1h, on_unknown: resend, hold: 0s}
`

// incidentStory is what the page tells: figures and what the commands printed.
type incidentStory struct {
	CPUs, Players, Clues         int
	Before, After, Killed        incidentSeen
	Balancer                     string
	Behind, Then, Refused, Ready string
}

// TestIncident plays the hunt that Veltrix exists for: brokers behind a load balancer
// that each of them gives as its own address, and around them what tutorials do. Then
// it does what the doctor says, and plays it again.
//
// docs/incident.md is written from it: make incident.
func TestIncident(t *testing.T) {
	lb := balance(t, time.Second)
	behind, right := map[int]string{}, []string(nil)
	cluster := broker.Start(t, broker.Options{
		Nodes: 3, HeapMiB: 320, Lanes: 2,
		Advertise: func(node, lane int, listens string) (string, error) {
			if lane == 0 {
				return listens, nil // the brokers among themselves
			}
			behind[node] = listens
			return lb.address, nil
		},
		Config: map[string]string{"auto.create.topics.enable": "true", "num.partitions": "6", "default.replication.factor": "1"},
	})
	right = cluster.Addrs
	misled := []string{behind[1], behind[2], behind[3]}
	story := incidentStory{Balancer: lb.address, CPUs: runtime.NumCPU(), Players: incidentPlayers, Clues: incidentClues}

	lb.lead(misled...)
	story.Before = dayOfTheHunt(t, lb.address)
	t.Logf("as it was: %s", story.Before)
	// On a busy machine luck comes too late for anybody to be told anything: worse, and
	// nothing to write a page of.
	b := story.Before
	if b.missing+b.twice+b.disorder+b.late == 0 || *writeIncident && (b.twice == 0 || b.disorder == 0 || b.late == 0) {
		t.Fatal("the incident did not happen: nothing is shown")
	}

	redis := testredis.Start(t, map[string]string{"appendonly": "yes"}).Addr
	was := &deployment{t: t, rulesFile: filepath.Join(t.TempDir(), "rules.yaml"), env: []string{"VELTRIX_PROFILE=prod"}}
	if err := os.WriteFile(was.rulesFile, []byte(incidentRules), 0o600); err != nil {
		t.Fatal(err)
	}
	was.rt = app.Runtime{Config: config.Default()}
	was.rt.Config.Prefix, was.rt.Config.Kafka.Brokers, was.rt.Config.Redis.Addrs = "hunt", []string{lb.address}, []string{redis}
	story.Behind = was.doctor("--only", "K01", "K01")
	lb.lead(right...)
	story.Then = was.doctor("", "", "K02", "K04", "K09", "P02", "P04")

	d := deploy(t, place{brokers: []string{lb.address}, redis: redis, copies: 3, profile: "prod"}, 3, []byte(incidentRules))
	waivers := filepath.Join(t.TempDir(), "waivers.yaml")
	d.must(os.WriteFile(waivers, []byte("- {id: K04, reason: off at the next restart of the brokers, expires: 2999-01-01}\n"), 0o600))
	d.env = []string{"VELTRIX_PROFILE=prod", "VELTRIX_DOCTOR_WAIVERS_FILE=" + waivers, "VELTRIX_START_TIMEOUT=90s", "VELTRIX_PROCESSOR_SLOTS=1", "VELTRIX_PRODUCER_LISTEN=127.0.0.1:0", "VELTRIX_NOTIFIER_LISTEN=127.0.0.1:0"}
	lb.lead(misled...)
	story.Refused = d.refusedStart("processor", "K01")
	lb.lead(right...)
	story.Ready = d.doctor("", "")

	story.After, story.Killed = d.playAgain()
	t.Logf("as it should have been: %s", story.After)
	t.Logf("with a processor that dies: %s", story.Killed)
	for _, a := range []incidentSeen{story.After, story.Killed} {
		if a.missing+a.twice+a.disorder > 0 {
			t.Errorf("the hunt went wrong again: %s", a)
		}
	}
	if b.missing < b.sent/2 && story.After.most >= b.half {
		t.Errorf("the slowest clues took %s, no less than half of them before: %s", story.After.most, story.Before.half)
	}
	story.tell(t)
}

// dayOfTheHunt plays the hunt as it was.
func dayOfTheHunt(t *testing.T, brokers string) incidentSeen {
	t.Helper()
	const topic = "hunt.events"
	hunt := newIncidentHunt(1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	web := balance(t, 0, naiveGateway(t, brokers, topic), naiveGateway(t, brokers, topic))
	consuming, stop := context.WithCancel(ctx)
	die, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		(&naiveConsumer{brokers, topic, hunt.tell}).run(consuming, t, die)
	}()
	defer func() {
		stop()
		<-ended
	}()
	defer time.AfterFunc(6*time.Second, func() {
		select {
		case die <- struct{}{}:
		case <-consuming.Done():
		}
	}).Stop()
	hunt.play(ctx, "http://"+web.address+"/v1/events")
	for end := time.Now().Add(20 * time.Second); hunt.seen().missing > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	return hunt.seen()
}

// playAgain plays it with two gateways behind a load balancer, which is what one is
// for, and with two processors; and once more, while one of them is killed.
func (d *deployment) playAgain() (well, killed incidentSeen) {
	d.t.Helper()
	_, one := d.gatewayProcess()
	_, two := d.gatewayProcess()
	web := balance(d.t, 0, one, two)
	first := d.start("processor", "the first processor")
	d.start("processor", "the second processor")
	notifier := d.start("notifier", "the notifier")
	inbox := "http://" + notifier.says(notifier.serves)
	first.works("veltrix_processor_partitions", 1)
	// Brokers that were started a moment ago are slow for a while: a first hunt warms
	// them up, as the days before the real one would.
	d.huntThrough(web.address, inbox, newIncidentHunt(1), func() {})
	well = d.huntThrough(web.address, inbox, newIncidentHunt(1+incidentClues), func() {})
	killed = d.huntThrough(web.address, inbox, newIncidentHunt(1+2*incidentClues), first.Kill)
	d.delivered()
	d.verified(map[string]int64{"applied": 3 * incidentPlayers * incidentClues})
	return well, killed
}

// huntThrough plays a hunt through gateways while the players watch their inboxes,
// and has something happen in the middle of it.
func (d *deployment) huntThrough(gateways, inbox string, hunt *incidentHunt, middle func()) incidentSeen {
	d.t.Helper()
	watching, stop := context.WithCancel(d.t.Context())
	defer stop()
	streams := make(chan error, incidentPlayers)
	for n := range incidentPlayers {
		player := fmt.Sprintf("player-%02d", n)
		token, err := d.rt.Token(d.t.Context(), player, time.Hour)
		d.must(err)
		go func() { streams <- hunt.watch(watching, inbox, player, token) }()
	}
	time.AfterFunc(incidentClues*incidentPace/2, middle)
	hunt.play(d.t.Context(), "http://"+gateways+"/v1/events")
	d.processed()
	d.until(func() (bool, string) { s := hunt.seen(); return s.missing == 0, s.String() })
	stop()
	for range incidentPlayers {
		if err := <-streams; err != nil && watching.Err() == nil {
			d.t.Error(err)
		}
	}
	return hunt.seen()
}

// doctor runs the doctor as an operator does, holds what fails against what must,
// and returns what it printed.
func (d *deployment) doctor(flag, value string, fails ...string) string {
	d.t.Helper()
	args := []string{"doctor", "--profile", "prod", "--timeout", "60s"}
	if flag != "" {
		args = append(args, flag, value)
	}
	text, _, _ := d.veltrix(args...)
	out, _, code := d.veltrix(append(args, "--json")...)
	var report struct {
		Results []struct{ ID, State, Waived string }
	}
	d.must(json.Unmarshal([]byte(out), &report))
	var failed []string
	for _, r := range report.Results {
		if r.State == "fail" && r.Waived == "" {
			failed = append(failed, r.ID)
		}
	}
	for _, id := range fails {
		if !slices.Contains(failed, id) {
			d.t.Errorf("%s does not fail:\n%s", id, text)
		}
	}
	if len(fails) == 0 && (len(failed) > 0 || code == 1) {
		d.t.Errorf("%v fail, and it ends with %d:\n%s", failed, code, text)
	}
	return text
}

// refusedStart starts a command that must not start, and returns its last words.
func (d *deployment) refusedStart(command, id string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(d.t, command))
	cmd.Env = d.environment()
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err == nil || !strings.Contains(last, "refused to start: "+id) {
		d.t.Errorf("the %s ended with %v: %s", command, err, out)
	}
	return last
}

// tell holds the page against what was seen now, or writes it.
func (s *incidentStory) tell(t *testing.T) {
	t.Helper()
	if *writeIncident {
		text, err := os.ReadFile("testdata/incident.md")
		if err != nil {
			t.Fatal(err)
		}
		var page bytes.Buffer
		if err := template.Must(template.New("incident").Parse(string(text))).Execute(&page, s); err != nil {
			t.Fatal(err)
		}
		story := strings.NewReplacer(s.Balancer, "kafka.example:9092").Replace(page.String())
		cleaned := regexp.MustCompile(`(?m)[ \t]+$`).ReplaceAll([]byte(story), nil)
		if err := os.WriteFile(incidentPage, cleaned, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(incidentPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"K01", "K02", "K04", "K09", "P02", "P04"} {
		if !bytes.Contains(page, []byte("✗ "+id+" ")) {
			t.Errorf("docs/incident.md does not tell of %s: make incident", id)
		}
	}
}
