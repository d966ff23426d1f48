package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/testredis"
	"github.com/veltrix/veltrix/test/broker"
)

// rightsRules tell every event through the inbox and a webhook.
var rightsRules = []byte(`hunt: rights
version: 1
events:
  clue.found:
    data:
      points: {type: int, min: 0, max: 1000}
state:
  score: {type: int}
rules:
  - name: found
    on: clue.found
    set: {score: state.score + event.data.points}
    notify:
      - name: found
        class: clue
        title: "Well done"
        body: "${state.score} points"
classes:
  clue: {channels: [inbox, webhook], expires: 2h, on_unknown: drop}
`)

const password = "an open secret"

// guarded is a deployment on a broker that checks rights.
type guarded struct {
	*deployment
	cluster *broker.Cluster
}

func guard(t *testing.T, cluster *broker.Cluster) *guarded {
	t.Helper()
	d := deploy(t, place{brokers: cluster.Addrs, redis: testredis.Start(t, nil).Addr}, 2, rightsRules)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60") // longer than a notifier waits in memory
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(busy.Close)
	d.env = []string{
		"VELTRIX_KAFKA_BROKERS=" + strings.Join(cluster.Secured(), ","), "VELTRIX_KAFKA_TLS_ENABLED=true",
		"VELTRIX_KAFKA_TLS_CA_FILE=" + cluster.CAFile(), "VELTRIX_KAFKA_SASL_MECHANISM=scram-sha-512", "VELTRIX_KAFKA_SASL_PASSWORD=" + password,
		"VELTRIX_PRODUCER_LISTEN=127.0.0.1:0", "VELTRIX_NOTIFIER_LISTEN=127.0.0.1:0", "VELTRIX_METRICS_LISTEN=127.0.0.1:0",
		"VELTRIX_PROCESSOR_SNAPSHOT_INTERVAL=500ms", "VELTRIX_PROCESSOR_INSTANCE=one",
		"VELTRIX_NOTIFIER_WEBHOOK_URL=" + busy.URL, "VELTRIX_NOTIFIER_WEBHOOK_ALLOW=127.0.0.0/8",
		"VELTRIX_NOTIFIER_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	}
	return &guarded{d, cluster}
}

// as is the deployment as a user reaches it.
func (g *guarded) as(user string) *guarded {
	d := *g.deployment
	d.env = append(slices.Clone(d.env), "VELTRIX_KAFKA_SASL_USERNAME="+user)
	return &guarded{&d, g.cluster}
}

// account is a user and all that the brokers allow it.
type account struct {
	user   string
	rights []kafka.Right
}

// accounts has the brokers know each user, and waits until they do.
func (g *guarded) accounts(all ...account) {
	g.t.Helper()
	var users []kadm.UpsertSCRAM
	for _, a := range all {
		users = append(users, kadm.UpsertSCRAM{User: a.user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password})
	}
	g.allow(all...) // first: once a user is known, so is every right
	added, err := g.admin.AlterUserSCRAMs(g.t.Context(), nil, users)
	g.must(err)
	g.must(added.Error())
	g.known(users[len(users)-1].User)
}

// allow gives users rights.
func (g *guarded) allow(all ...account) {
	g.t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	for _, a := range all {
		req.Creations = append(req.Creations, g.entries(a)...)
	}
	answer, err := req.RequestWith(g.t.Context(), g.client())
	g.must(err)
	for _, r := range answer.Results {
		g.must(kerr.ErrorForCode(r.ErrorCode))
	}
}

func (g *guarded) entries(a account) (all []kmsg.CreateACLsRequestCreation) {
	g.t.Helper()
	for _, r := range a.rights {
		c := kmsg.NewCreateACLsRequestCreation()
		var err error
		c.ResourceType, err = kmsg.ParseACLResourceType(string(r.Kind))
		g.must(err)
		c.Operation, err = kmsg.ParseACLOperation(string(r.Operation))
		g.must(err)
		c.ResourcePatternType = kmsg.ACLResourcePatternTypeLiteral
		if r.Prefixed {
			c.ResourcePatternType = kmsg.ACLResourcePatternTypePrefixed
		}
		c.ResourceName, c.Principal, c.Host, c.PermissionType = r.Name, "User:"+a.user, "*", kmsg.ACLPermissionTypeAllow
		all = append(all, c)
	}
	return all
}

// take takes one right away from a user.
func (g *guarded) take(user string, r kafka.Right) {
	g.t.Helper()
	req := kmsg.NewPtrDeleteACLsRequest()
	for _, c := range g.entries(account{user, []kafka.Right{r}}) {
		f := kmsg.NewDeleteACLsRequestFilter()
		f.ResourceType, f.ResourceName, f.ResourcePatternType = c.ResourceType, &c.ResourceName, c.ResourcePatternType
		f.Principal, f.Operation, f.PermissionType = &c.Principal, c.Operation, c.PermissionType
		req.Filters = append(req.Filters, f)
	}
	answer, err := req.RequestWith(g.t.Context(), g.client())
	g.must(err)
	if n := len(answer.Results[0].MatchingACLs); n != 1 {
		g.t.Fatalf("taking %s away from %s removed %d entries", r, user, n)
	}
}

// reached is how a user of this process reaches the brokers.
func (g *guarded) reached(user string) kafkalog.Config {
	g.t.Helper()
	rt := g.rt
	cfg := *rt.Config
	cfg.Kafka.Brokers, cfg.Kafka.TLS.Enabled, cfg.Kafka.TLS.CAFile = g.cluster.Secured(), true, g.cluster.CAFile()
	cfg.Kafka.SASL = config.SASL{Mechanism: "scram-sha-512", Username: user, Password: config.NewSecret(password)}
	rt.Config = &cfg
	where, err := rt.Kafka("test")
	g.must(err)
	return where
}

// clientOf returns a user's client.
func (g *guarded) clientOf(user string) *kgo.Client {
	g.t.Helper()
	cl, err := kgo.NewClient(g.reached(user).Options()...)
	g.must(err)
	g.t.Cleanup(cl.Close)
	return cl
}

// known waits until the brokers let a user in.
func (g *guarded) known(user string) {
	g.t.Helper()
	where := g.reached(user)
	g.until(func() (bool, string) {
		err := kafkalog.Ping(g.t.Context(), where)
		return err == nil, fmt.Sprintf("%s is not let in: %v", user, err)
	})
}

// whole returns the accounts of the commands with exactly their rights.
func (g *guarded) whole(commands ...string) (all []account) {
	for _, command := range commands {
		of, ok := kafka.RightsOf(g.kafka.Prefix, command)
		if !ok {
			g.t.Fatalf("no rights of %s", command)
		}
		all = append(all, account{of.User, of.Rights})
	}
	return all
}

// user is the account of a command.
func (g *guarded) user(command string) *guarded {
	g.t.Helper()
	return g.as(g.whole(command)[0].user)
}

func (g *guarded) line(id int, who string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/test","type":"clue.found","time":"%s","partitionkey":"%s","data":{"points":1}}`,
		id, time.Now().UTC().Format(time.RFC3339Nano), who)
}

// post sends one event to a gateway and returns the status and the resource that
// tells what becomes of it.
func (g *guarded) post(address, line string) (status int, location string) {
	g.t.Helper()
	resp, err := http.Post("http://"+address+"/v1/events", "application/cloudevents+json", strings.NewReader(line))
	g.must(err)
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// get waits until a resource is there.
func (g *guarded) get(url string) {
	g.t.Helper()
	g.until(func() (bool, string) {
		resp, err := http.Get(url)
		g.must(err)
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status + " for " + url
	})
}

// command runs a command as its operator does, until it ends by itself.
func (g *guarded) command(name string, args ...string) (said string, code int) {
	g.t.Helper()
	file := binary(g.t, name)
	ctx, cancel := context.WithTimeout(g.t.Context(), stall)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Env = g.environment()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		g.t.Fatalf("%s %q: %v %v: %s", name, args, err, ctx.Err(), out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// succeeds runs a command and fails the test where it fails.
func (g *guarded) succeeds(name string, args ...string) {
	g.t.Helper()
	g.until(func() (bool, string) {
		out, code := g.command(name, args...)
		saw := fmt.Sprintf("%s %q ended with %d: %s", name, args, code, out)
		// A busy machine may not let it ask in time; a missing right is said at once.
		if code != 0 && !strings.Contains(out, "context deadline exceeded") {
			g.t.Fatal(saw)
		}
		return code == 0, saw
	})
}

// unready waits until a process says that it is not ready, and why; an empty text
// is ready.
func (p *process) unready(text string) {
	p.t.Helper()
	if p.address == "" {
		p.address = p.says(p.metrics)
	}
	saw := ""
	for began := time.Now(); time.Since(began) < stall; time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get("http://" + p.address + "/readyz")
		if err != nil {
			p.t.Fatalf("%s: %v", p.name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		saw = string(body)
		if ready := resp.StatusCode == http.StatusOK; ready == (text == "") && strings.Contains(saw, text) {
			return
		}
	}
	p.t.Fatalf("%s should say %q; it says %s and logs\n%s", p.name, text, saw, p.log)
}
