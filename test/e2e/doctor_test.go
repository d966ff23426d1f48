package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// patience is the time that the doctor is given for a whole look.
const patience = "5s"

// said is a report of the doctor, as programs read it.
type said struct {
	Exit        int                     `json:"exit"`
	Unreachable []preflight.Unreachable `json:"unreachable"`
	Results     []preflight.Result      `json:"results"`

	took time.Duration
}

// operator runs the veltrix command on a deployment as its operator does.
type operator struct {
	t   *testing.T
	env []string
}

func (o operator) run(args ...string) (out []byte, code int) {
	o.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary(o.t, "veltrix"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = o.env, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.t.Fatal(err)
	}
	if stderr.Len() > 0 {
		o.t.Logf("veltrix %s: %s", strings.Join(args, " "), &stderr)
	}
	return stdout.Bytes(), cmd.ProcessState.ExitCode()
}

func (o operator) doctor() (s said) {
	o.t.Helper()
	began := time.Now()
	out, code := o.run("doctor", "--profile", "prod", "--json", "--timeout", patience)
	if err := json.Unmarshal(out, &s); err != nil || s.Exit != code {
		o.t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	s.took = time.Since(began)
	for _, r := range s.Results {
		if strings.Contains(r.Observed, "no answer within") {
			o.t.Errorf("%s found no answer in time: %+v", r.ID, r)
		}
	}
	return s
}

// text is the report for people: the lines that say a server is away.
func (o operator) away() (lines []string) {
	o.t.Helper()
	out, _ := o.run("doctor", "--profile", "prod", "--timeout", patience)
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "cannot be reached") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestDoctor looks at three real brokers and a real Redis as production has them,
// then without one of the brokers, without Redis, and without any broker.
func TestDoctor(t *testing.T) {
	cluster := broker.Start(t, broker.Options{Nodes: 3, HeapMiB: 320})
	redis := testredis.Start(t, nil)
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "VELTRIX_") })
	o := operator{t, append(env,
		"VELTRIX_PREFIX="+unused("doctor"), "VELTRIX_KAFKA_BROKERS="+strings.Join(cluster.Addrs, ","), "VELTRIX_REDIS_ADDRS="+redis.Addr)}
	if out, code := o.run("topics", "apply", "--profile", "prod", "--yes"); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	committed(t, cluster.Addrs)
	healthy := o.doctor()
	for _, r := range healthy.Results {
		if r.State == preflight.Fail || r.State == preflight.Unknown {
			t.Errorf("%s is %s: %s", r.ID, r.State, r.Observed)
		}
	}
	var slowest preflight.Result
	for _, r := range healthy.Results {
		if r.Millis > slowest.Millis {
			slowest = r
		}
	}
	t.Logf("%d checks took %v with the process; the slowest, %s, %d ms", len(healthy.Results), healthy.took, slowest.ID, slowest.Millis)

	unlisted(t, cluster, 3)
	o.misses("kafka broker 3")
	redis.Kill()
	o.misses("kafka broker 3", "redis")
	cluster.Stop()
	o.misses("kafka", "redis")
}

// misses expects the servers that are away, each in one line, and nothing else
// unknown.
func (o operator) misses(servers ...string) {
	o.t.Helper()
	s := o.doctor()
	var missed []string
	for _, u := range s.Unreachable {
		missed = append(missed, u.Server)
	}
	slices.Sort(missed)
	if !slices.Equal(missed, servers) || s.Exit != preflight.ExitFail {
		o.t.Errorf("exit %d, away are %q, want %q", s.Exit, missed, servers)
	}
	for _, r := range s.Results {
		if r.State == preflight.Fail || r.State == preflight.Unknown && r.Missing == "" {
			o.t.Errorf("without %q, %s is %s: %s", servers, r.ID, r.State, r.Observed)
		}
	}
	if lines := o.away(); len(lines) != len(servers) {
		o.t.Errorf("without %q it says\n%s", servers, strings.Join(lines, ""))
	}
	o.t.Logf("without %q: %v with the process", servers, s.took)
}

// committed has the brokers make the topic of offsets, as a group's first commit does.
func committed(t *testing.T, brokers []string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var offsets kadm.Offsets
	offsets.AddOffset("none", 0, 0, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "a.group", offsets); err != nil {
		t.Logf("a commit for a topic that is not there: %v", err) // the offsets' topic is made all the same
	}
}

// unlisted kills a broker and waits until the others know.
func unlisted(t *testing.T, cluster *broker.Cluster, id int) {
	t.Helper()
	cluster.Kill(id)
	var left []string
	for i, addr := range cluster.Addrs {
		if i != id-1 {
			left = append(left, addr)
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(left...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	_, port, err := net.SplitHostPort(cluster.Addrs[id-1])
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < stall; time.Sleep(100 * time.Millisecond) {
		brokers, err := kadm.NewClient(cl).ListBrokers(t.Context())
		if err == nil && !slices.ContainsFunc(brokers, func(b kadm.BrokerDetail) bool { return strconv.Itoa(int(b.Port)) == port }) {
			return
		}
	}
	t.Fatal("the brokers do not miss the one that was killed")
}

// TestDoctorOfAStockBroker: a newcomer with one broker and one Redis, as both come,
// sees on one screen what is fine for trying out, and what is not for production.
func TestDoctorOfAStockBroker(t *testing.T) {
	t.Parallel()
	c := broker.Start(t, broker.Options{Config: map[string]string{
		"auto.create.topics.enable": "true", "transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000", "group.min.session.timeout.ms": "6000",
	}})
	o := operator{t, append(os.Environ(), "VELTRIX_PREFIX=stock", "VELTRIX_KAFKA_BROKERS="+c.Addrs[0],
		"VELTRIX_REDIS_ADDRS="+testredis.Start(t, map[string]string{"appendonly": "no"}).Addr)}
	if out, code := o.run("topics", "apply"); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	out, code := o.run("doctor")
	screen := string(out)
	if code != preflight.ExitWarn || strings.Count(screen, "\n") > 24 || strings.Count(screen, "✗") > 0 || strings.Count(screen, "! ") != 1 || !strings.Contains(screen, "! R02 ") {
		t.Errorf("it ends with %d:\n%s", code, screen)
	}
	_, later, _ := strings.Cut(screen, "Before production:\n")
	for _, id := range []string{"K02", "K03", "K04"} {
		if !strings.Contains(later, "  "+id+"  ") {
			t.Errorf("%s is not said to be for production:\n%s", id, screen)
		}
	}
	t.Log(screen)
}
