package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/veltrix/veltrix/deploy/kafka"
)

// exitDenied is what a command ends with that the brokers allow too little.
const exitDenied = 77

// rightsAreMissed runs each command with one right fewer than its table says, for
// every right of the table. Each ends soon, and names the right. What only the
// checks at the start need they name instead, and the service goes on.
func rightsAreMissed(g *guarded) {
	var all []account
	type fewer struct {
		command, user string
		lacks         kafka.Right
	}
	var tries []fewer
	for _, command := range kafka.Commands(false) {
		of := g.whole(command)[0]
		for i, r := range of.rights {
			user := fmt.Sprintf("%s-%d", of.user, i)
			all = append(all, account{user, slices.Delete(slices.Clone(of.rights), i, i+1)})
			tries = append(tries, fewer{command, user, r})
		}
	}
	g.accounts(all...)
	for _, f := range tries {
		g.t.Run(f.user, func(t *testing.T) {
			t.Parallel()
			sentence := fmt.Sprintf("user %s may not %s: veltrix topics acls --command %s shows what it needs", f.user, f.lacks, f.command)
			one := g.as(f.user)
			one.t = t
			one.env = append(one.env, "VELTRIX_START_TIMEOUT=1h") // whoever waits in silence never ends
			one.misses(f.command, f.lacks.Gate, sentence)
		})
	}
}

// how each command of the table is run.
func (g *guarded) invocation(command string) []string {
	return map[string][]string{
		"producer":  {"producer"},
		"loader":    {"producer", "load", "/dev/null"},
		"processor": {"processor"},
		"notifier":  {"notifier"},
		"topics":    {"veltrix", "topics", "apply", "--profile", "dev"},
		"doctor":    {"veltrix", "doctor", "--only", "K"},
		"verify":    {"veltrix", "verify", "--rules-file", g.rulesFile},
		"player":    {"veltrix", "player", "explain", "ada"},
		"repair":    {"veltrix", "rebuild", "--all", "--rules-file", g.rulesFile, "--reason", "a test", "--yes"},
		"lag":       {"veltrix", "lag"},
		"advise":    {"veltrix", "advise", "grace", "--rules-file", g.rulesFile},
	}[command]
}

// misses runs a command that lacks a right.
func (g *guarded) misses(command string, gate bool, sentence string) {
	args := g.invocation(command)
	switch {
	case len(args) == 0:
		g.t.Errorf("the test does not know how %s is run", command)
	case gate:
		p := g.start(args[0], "the "+command)
		defer p.Kill()
		for began := time.Now(); !strings.Contains(p.log.String(), sentence); time.Sleep(50 * time.Millisecond) {
			if !p.alive() || time.Since(began) > stall {
				g.t.Errorf("%s should start and say %q; it says\n%s", command, sentence, p.log)
				return
			}
		}
	case command == "doctor": // it says what it could not see, and goes on to the next check
		if out, code := g.command(args[0], args[1:]...); code != 1 || !strings.Contains(out, sentence) {
			g.t.Errorf("%s should end with 1 and say %q; it ended with %d and says\n%s", command, sentence, code, out)
		}
	default:
		out, code := g.command(args[0], args[1:]...)
		last := strings.TrimSpace(out)
		last = last[strings.LastIndexByte(last, '\n')+1:]
		if code != exitDenied || !strings.HasSuffix(last, sentence) {
			g.t.Errorf("%s should end with %d and say %q; it ended with %d and says\n%s", command, exitDenied, sentence, code, out)
		}
	}
}

// rightsAreTaken takes rights away from services that run, and gives them back.
func rightsAreTaken(g *guarded) {
	all := g.whole("producer", "processor", "notifier")
	g.accounts(all...)
	gateway := g.user("producer").start("producer", "the gateway")
	address := gateway.says(gateway.serves)
	processor := g.user("processor").start("processor", "the processor")
	notifier := g.user("notifier").start("notifier", "the notifier")
	id := 0
	post := func() (code int) {
		id++
		code, _ = g.post(address, g.line(id, "ada"))
		return code
	}
	post()
	g.delivered()
	for _, c := range []struct {
		p     *process
		which int // account
		lacks string
	}{
		{gateway, 0, "WRITE topic " + g.kafka.Topic("events")},
		{processor, 1, "WRITE topic " + g.kafka.Topic("notifications")},
		{processor, 1, "READ topic " + g.kafka.Topic("events")},
		{processor, 1, "READ group " + g.kafka.ProcessorGroup()},
		{processor, 1, "WRITE transactional-id " + g.kafka.Prefix + ".processor.*"},
		{notifier, 2, "WRITE topic " + g.kafka.Topic("receipts")},
	} {
		a := all[c.which]
		r := a.rights[slices.IndexFunc(a.rights, func(r kafka.Right) bool { return r.String() == c.lacks })]
		g.take(a.user, r)
		sentence := fmt.Sprintf("user %s may not %s", a.user, c.lacks)
		if c.p != gateway {
			post() // what needs it
		}
		c.p.unready(sentence)
		g.until(func() (bool, string) { // the log comes through a pipe
			return strings.Contains(c.p.log.String(), sentence), fmt.Sprintf("%s does not log %q", c.p.name, sentence)
		})
		g.allow(account{a.user, []kafka.Right{r}})
		c.p.unready("")
		g.until(func() (bool, string) {
			code := post()
			return code == http.StatusAccepted, fmt.Sprintf("the gateway answers %d", code)
		})
		g.delivered()
	}
	g.verified(nil)

	// A notifier that may not read ends, and its next start names what is missing.
	a := all[2]
	g.take(a.user, a.rights[slices.IndexFunc(a.rights, func(r kafka.Right) bool { return r.Kind == kafka.GroupKind })])
	select {
	case <-notifier.Done():
	case <-time.After(stall):
		g.t.Fatal("the notifier goes on without the right to its group")
	}
	if sentence := fmt.Sprintf("user %s may not READ group %s", a.user, g.kafka.NotifierGroup()); !strings.Contains(notifier.log.String(), sentence) {
		g.t.Errorf("the notifier should end with %q; it says\n%s", sentence, notifier.log)
	}
}

// rightsBeyond are what the brokers do not tell, and what nothing needs that runs
// well.
func rightsBeyond(g *guarded) {
	a := g.whole("processor")[0]
	named := account{a.user + "-named", slices.Clone(a.rights)}
	for i, r := range named.rights {
		if r.Kind == kafka.TransactionalKind && r.Prefixed {
			named.rights[i].Operation = kafka.Describe // brokers tell this from WRITE only where it is tried
		}
	}
	extra := account{a.user, g.whole("left-open")[0].rights}
	g.accounts(a, named)
	p := g.as(named.user).start("processor", "the processor that cannot begin a transaction")
	p.unready("user " + named.user + " was refused by the brokers: take the transactional ID of slot ")

	mark := kadm.TxnMarkers{ProducerID: 1 << 40, Topics: kadm.TopicsSet{}} // of nobody's transaction
	mark.Topics.Add(g.kafka.Topic("notifications"), 0)
	as := kadm.NewClient(g.clientOf(a.user))
	written := func() error {
		answer, err := as.WriteTxnMarkers(g.t.Context(), mark)
		answer.EachPartition(func(r kadm.TxnMarkersPartitionResponse) { err = errors.Join(err, r.Err) })
		return err
	}
	if err := written(); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		g.t.Errorf("a processor with the least rights ends others' transactions: %v", err)
	}
	g.allow(extra)
	g.until(func() (bool, string) {
		err := written()
		return err == nil, fmt.Sprintf("with the rights of left-open: %v", err)
	})
}
