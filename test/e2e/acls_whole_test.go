package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/test/broker"
)

// TestRights holds the table of rights against brokers that check them, over
// SASL_SSL: what it says is enough, each right of it is used, and each is missed.
func TestRights(t *testing.T) {
	cluster := broker.Start(t, broker.Options{Secure: true})
	binary(t, "veltrix") // builds, which is not what is timed
	for name, test := range map[string]func(*guarded){"whole": rightsSuffice, "fewer": rightsAreMissed, "taken": rightsAreTaken, "beyond": rightsBeyond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(guard(t, cluster))
		})
	}
}

// rightsSuffice gives each command exactly its rights, has everything happen that
// a right is for, and asks the brokers' authorizers what each was used for.
func rightsSuffice(g *guarded) {
	all := g.whole(kafka.Commands(false)...)
	doctor := slices.IndexFunc(all, func(a account) bool { return a.user == g.whole("doctor")[0].user })
	all[doctor].rights = slices.Concat(all[doctor].rights, g.whole("checks")[0].rights)
	g.accounts(all...)
	g.laidOut()
	gateway := g.user("producer").start("producer", "the gateway")
	address := gateway.says(gateway.serves)
	posted, location := g.sent(address)
	g.user("lag").succeeds("veltrix", "lag")
	processor := g.user("processor").start("processor", "the processor")
	notifier := g.user("notifier").start("notifier", "the notifier")
	g.loaded(posted)
	g.delivered()
	g.get("http://" + address + location)
	g.get("http://" + address + "/v1/participants/ada/events")
	g.user("player").succeeds("veltrix", "player", "explain", "ada")
	g.user("advise").succeeds("veltrix", "advise", "grace", "--rules-file", g.rulesFile)
	g.looked()
	g.copied(processor)
	g.user("verify").succeeds("veltrix", "verify", "--rules-file", g.rulesFile)

	processor.Stop(stall)
	g.emptied()
	g.promoted()
	processor = g.user("processor").start("processor", "the processor under the next rules")
	g.must(g.send(g.t.Context(), g.client(), []string{g.line(posted, "ada")}))
	g.delivered()
	g.user("verify").succeeds("veltrix", "verify", "--rules-file", g.rulesFile)
	g.verified(nil)
	notifier.Stop(stall)
	g.must(g.send(g.t.Context(), g.client(), []string{g.line(posted+1, "ada")}))
	g.processed()
	g.user("lag").succeeds("veltrix", "lag") // notifications wait
	if !processor.alive() {
		g.t.Error("the processor ended")
	}
	g.used(all)
}

// laidOut makes every topic anew, and has one changed back, as the user of
// `veltrix topics`.
func (g *guarded) laidOut() {
	g.t.Helper()
	var names []string
	for name := range kafka.Declared().Topics {
		names = append(names, g.kafka.Topic(name))
	}
	gone, err := g.admin.DeleteTopics(g.t.Context(), names...)
	g.must(err)
	g.must(gone.Error())
	g.user("topics").succeeds("veltrix", "topics", "apply", "--profile", "dev", "--partitions", number(g.partitions))
	g.configure("receipts", "retention.ms", "3600000")
	g.user("topics").succeeds("veltrix", "topics", "apply", "--profile", "dev", "--yes")
}

// sent posts events, one of them twice, and has one stand on a wrong partition.
// It returns how many there are, and where the last one's fate is told.
func (g *guarded) sent(address string) (count int, location string) {
	g.t.Helper()
	const events = 20
	for i := range events {
		line := g.line(i, []string{"ada", "bob", "cyd"}[i%3])
		for range 1 + i%2 {
			code, at := g.post(address, line)
			if code != http.StatusAccepted {
				g.t.Fatalf("the gateway answered %d", code)
			}
			location = at
		}
	}
	stray := g.event(g.line(events, "ada"))
	stray.Partition = (stray.Partition + 1) % g.partitions
	g.must(g.client().ProduceSync(g.t.Context(), stray).FirstErr())
	return events + 1, location
}

// loaded loads a file, and goes on with it.
func (g *guarded) loaded(first int) {
	g.t.Helper()
	file := filepath.Join(g.t.TempDir(), "more.ndjson")
	g.must(os.WriteFile(file, []byte(g.line(first+1, "dan")+"\n"+g.line(first+2, "eve")+"\n"), 0o600))
	for range 2 {
		g.user("loader").succeeds("producer", "load", "--resume", file)
	}
}

// looked runs the doctor, whose warnings are about the deployment and not about
// rights.
func (g *guarded) looked() {
	g.t.Helper()
	d := g.user("doctor")
	if out, _ := d.command("veltrix", "doctor", "--only", "K,C,P01,P02,P04,P05", "--all"); strings.Contains(out, "may not") || strings.Contains(out, "? ") || !strings.Contains(out, "✓ K11") {
		g.t.Errorf("the doctor says\n%s", out)
	}
	d.succeeds("veltrix", "topics", "plan", "--profile", "dev")
}

// copied waits until every partition has a copy, takes Redis away, and waits until
// all is back.
func (g *guarded) copied(processor *process) {
	g.t.Helper()
	processor.works(`veltrix_processor_snapshots_total{result="saved"}`, int64(g.partitions))
	g.must(g.redis.FlushAll(g.t.Context()).Err())
	processor.works(`veltrix_processor_snapshots_total{result="restored"}`, 1)
	g.processed()
}

// promoted makes the next version of the rules live.
func (g *guarded) promoted() {
	g.t.Helper()
	next := filepath.Join(g.t.TempDir(), "next.yaml")
	g.must(os.WriteFile(next, []byte(strings.Replace(string(rightsRules), "version: 1", "version: 2", 1)), 0o600))
	g.user("repair").succeeds("veltrix", "rules", "promote", "--from", g.rulesFile, "--rules-file", next, "--reason", "a test", "--yes")
	g.rulesFile = next
	var err error
	g.program, err = rules.LoadFile(next)
	g.must(err)
}

// used holds what the authorizers said against the table: nothing was denied, and
// for each right something was allowed that no other right of its command gives.
func (g *guarded) used(all []account) {
	g.t.Helper()
	said, err := g.cluster.Decisions()
	g.must(err)
	optional := g.whole("checks")[0]
	for _, a := range all {
		uses := make([][]string, len(a.rights))
		for d := range said {
			if d.User != a.user {
				continue
			}
			if !d.Allowed && (len(grantors(optional, d)) > 0 || d.Request == "ListTransactions") {
				continue // its checks tried, and are unknown; a list leaves out what is another's
			}
			if !d.Allowed {
				g.t.Errorf("%s may not %s %s %s for %s, and does not need to", d.User, d.Operation, d.Kind, d.Name, d.Request)
			}
			if by := grantors(a, d); len(by) == 1 && string(a.rights[by[0]].Operation) == d.Operation && !asksForRights(d) {
				uses[by[0]] = append(uses[by[0]], d.Request)
			}
		}
		for i, r := range a.rights {
			slices.Sort(uses[i])
			if len(uses[i]) == 0 {
				g.t.Errorf("%s: nothing needed %s", a.user, r)
			} else {
				g.t.Logf("%s: %s for %s", a.user, r, strings.Join(slices.Compact(uses[i]), ", "))
			}
		}
	}
}

// grantors are the rights that allow what was decided.
func grantors(a account, d broker.Decision) (by []int) {
	for i, r := range a.rights {
		kind := strings.ReplaceAll(string(r.Kind), "-", "")
		if strings.EqualFold(kind, d.Kind) && r.Covers(d.Name) && r.Operation.Implies(kafka.Operation(d.Operation)) {
			by = append(by, i)
		}
	}
	return by
}

// asksForRights reports whether only the question for rights makes such a request.
func asksForRights(d broker.Decision) bool {
	return d.Request == "DescribeGroups" || d.Request == "DescribeTransactions" || d.Request == "FindCoordinator"
}

// alive reports whether a process runs.
func (p *process) alive() bool {
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}
