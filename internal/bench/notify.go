package bench

import (
	"context"
	"crypto/rand"
	_ "embed" // the rules
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
)

//go:embed notify.yaml
var notifyRules []byte

func notifyProgram() (participant.Program, error) {
	p, err := rules.Load("notify.yaml", notifyRules)
	if err != nil {
		return nil, fmt.Errorf("compile the rules of the bench: %w", err)
	}
	return p, nil
}

// NotifyOptions say what to measure of the notifier.
type NotifyOptions struct {
	Players    int           // who are shown what they are sent, each over a stream
	Records    int           // of a round's backlog, copies included
	Duplicates float64       // the share of all that is sent that are copies
	Rounds     int           // of backlogs drained, without streams and with
	Rate       int           // events a second of the open loop, copies included
	For        time.Duration // the open loop
	Partitions int32
	// Part returns the command that runs a part; see RunPart.
	Part     func(name string) *exec.Cmd
	Progress func(format string, args ...any)
}

// Limits of a run.
const (
	playersMost = 10_000 // a notifier holds no more streams
	recordsMost = 2_000_000
	rateMost    = 100_000
	forMost     = 10 * time.Minute
	spareFiles  = 500 // descriptors of a process beside its streams
	ringNumbers = 48  // the rules remember 64 of a player's events
	warmUpMost  = 10 * time.Second
	notifyStall = time.Minute // without anything new, nothing more will come
	warmUpShare = 5           // a fifth of a backlog, and of the open loop
	idleLeast   = 2 * time.Second
	idleMost    = 15 * time.Second
)

func (o *NotifyOptions) check(inboxMax int) error {
	originals := 1 - o.Duplicates
	switch {
	case o.Players < 1 || o.Players > playersMost:
		return fmt.Errorf("connect 1 to %d players, which is what one notifier holds, not %d", playersMost, o.Players)
	case o.Records < int(o.Partitions) || o.Records > recordsMost:
		return fmt.Errorf("a backlog has %d to %d records, not %d", o.Partitions, recordsMost, o.Records)
	case !(o.Duplicates >= 0 && o.Duplicates <= 0.9):
		return fmt.Errorf("a share of 0 to 0.9 is sent twice, not %v", o.Duplicates)
	case o.Rounds < 1 || o.Rounds > roundsMax:
		return fmt.Errorf("measure 1 to %d rounds, not %d", roundsMax, o.Rounds)
	case o.Rate < 1 || o.Rate > rateMost:
		return fmt.Errorf("send 1 to %d events a second, not %d", rateMost, o.Rate)
	case o.For < time.Second || o.For > forMost:
		return fmt.Errorf("send for 1s to %s, not %s", forMost, o.For)
	case o.Partitions < 1 || o.Partitions > partitionsMost:
		return fmt.Errorf("spread the events over 1 to %d partitions, not %d", partitionsMost, o.Partitions)
	}
	live := float64(o.Rate) * (o.For + o.warmUp()).Seconds() * originals / float64(o.Players)
	if live > ringNumbers {
		return fmt.Errorf("each player would be sent %.0f events, more than the %d whose copies the rules still know: give more --players, or a lower --rate or --for", live, ringNumbers)
	}
	all := live + float64(o.Records)*originals*(float64(o.Rounds)+1)/float64(o.Players)
	if all >= float64(inboxMax) {
		return fmt.Errorf("each inbox would get %.0f entries, and keeps %d: give more --players, or fewer --records or --rounds", all, inboxMax)
	}
	return nil
}

// warmUp is the part of the open loop, before it, that is not measured.
func (o *NotifyOptions) warmUp() time.Duration { return min(o.For/warmUpShare, warmUpMost) }

// files fails where the system does not let a process open as many files as it
// takes; the players' process needs fewer than the notifier. Go raises a
// process's soft limit to the hard one by itself.
func (o *NotifyOptions) files(hard uint64) error {
	need := uint64(o.Players) + spareFiles
	if need <= hard {
		return nil
	}
	return fmt.Errorf("a notifier with %d streams opens up to %d files, and a process may open %d here: raise the hard limit (as root `ulimit -Hn %d` in the shell that starts this, or LimitNOFILE= of its service), or give --players %d",
		o.Players, need, hard, need, max(int64(hard)-spareFiles, 1))
}

// notify is one run.
type notify struct {
	rt      app.Runtime
	opts    NotifyOptions
	meter   *Meter
	report  *NotifyReport
	prefix  string
	secret  string // of the players' tokens
	found   findings
	failing context.CancelCauseFunc
}

// Notify measures the notifier: how fast it works off a backlog, without and
// with streams, what a connected player costs, and how long an event takes from
// when it was due to be sent until the player's screen has the notification.
// Where a player was not shown each notification once and in order it returns a
// ShownError and no report.
func Notify(ctx context.Context, rt app.Runtime, opts NotifyOptions) (*NotifyReport, error) {
	if err := opts.check(rt.Config.Notifier.InboxMax); err != nil {
		return nil, err
	}
	if rt.Config.Redis.Cluster {
		return nil, errors.New("the bench needs a single Redis: it removes its keys by looking for them; unset redis.cluster")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("ask how many files a process may open: %w", err)
	}
	if err := opts.files(limit.Max); err != nil {
		return nil, err
	}
	ctx, failing := context.WithCancelCause(ctx)
	defer failing(nil)
	machine, meter, err := describe(ctx, rt)
	if err != nil {
		return nil, err
	}
	n := &notify{
		rt: rt, opts: opts, meter: meter, failing: failing, secret: rand.Text() + rand.Text(),
		prefix: "veltrix-bench-" + strings.ToLower(rand.Text()[:8]),
		report: &NotifyReport{
			Players: opts.Players, Partitions: opts.Partitions, Records: opts.Records, Duplicates: opts.Duplicates,
			Lanes: rt.Config.Notifier.Lanes, Machine: machine, Broker: meter.Broker, Redis: meter.Redis,
		},
	}
	n.say("a notifier without streams")
	if err := n.within(ctx, "a", n.alone); err != nil {
		return nil, err
	}
	n.say("a notifier with %s streams", thousands(float64(opts.Players)))
	if err := n.within(ctx, "b", n.watched); err != nil {
		return nil, err
	}
	return n.report, nil
}

func (n *notify) say(format string, args ...any) {
	if n.opts.Progress != nil {
		n.opts.Progress(format, args...)
	}
}

// within does something in a place of its own.
func (n *notify) within(ctx context.Context, name string, do func(context.Context, *place) error) error {
	return inPlace(ctx, n.rt, n.prefix+"-"+name, n.opts.Partitions, func(p *place) error { return do(ctx, p) })
}

// start starts a part of the place.
func (n *notify) start(p *place, name string) (*part, error) {
	return startPart(n.opts.Part(name), name, map[string]string{
		"VELTRIX_PREFIX":                p.kafka.Prefix,
		"VELTRIX_NOTIFIER_LISTEN":       "127.0.0.1:0",
		"VELTRIX_PRODUCER_LISTEN":       "127.0.0.1:0",
		"VELTRIX_METRICS_LISTEN":        "127.0.0.1:0",
		"VELTRIX_METRICS_PPROF":         "true",
		"VELTRIX_NOTIFIER_TOKEN_SECRET": n.secret,
		// What a configuration may say of these would keep the players out.
		"VELTRIX_NOTIFIER_TOKEN_SECRET_FILE": "",
		"VELTRIX_NOTIFIER_JWKS_URL":          "",
		"VELTRIX_NOTIFIER_TLS_CERT_FILE":     "",
		"VELTRIX_NOTIFIER_TLS_KEY_FILE":      "",
		"VELTRIX_PRODUCER_TLS_CERT_FILE":     "",
		"VELTRIX_PRODUCER_TLS_KEY_FILE":      "",
	}, n.failing)
}

// startServing starts a part that serves, and waits until it does.
func (n *notify) startServing(ctx context.Context, p *place, name string) (*part, error) {
	q, err := n.start(p, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.rt.Config.StartTimeout+time.Minute)
	defer cancel()
	if err := q.ready(ctx); err != nil {
		q.stop()
		return nil, err
	}
	return q, nil
}
