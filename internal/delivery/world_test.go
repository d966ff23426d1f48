package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// world is what outlives a process: the log, the stores and the people.
type world struct {
	t      *testing.T
	log    *deliverytest.Log
	ledger delivery.Ledger
	inbox  *deliverytest.Inbox
	out    *deliverytest.Channel
	gate   *deliverytest.Gate
	own    bool // out leads to participants' own devices
	opts   delivery.Options
	writer func() delivery.Receipts
}

// newWorld is called in a bubble of testing/synctest: whatever waits in it takes no time.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, log: deliverytest.NewLog(1), ledger: deliverytest.NewLedger(),
		inbox: deliverytest.NewInbox(1000, time.Hour), out: deliverytest.NewChannel("out"),
		opts: delivery.Options{
			ParkAfter: 100 * time.Millisecond, LeaseMargin: 30 * time.Millisecond, StoreTimeout: time.Second,
			DrainTimeout: 2 * time.Second, CommitEvery: 5 * time.Millisecond, Retention: 24 * time.Hour,
			Retries: []delivery.RetryTopic{{Name: "r.small", Delay: 50 * time.Millisecond}, {Name: "r.large", Delay: 150 * time.Millisecond}},
		},
	}
	w.gate = deliverytest.NewGate(w.inbox)
	w.writer = func() delivery.Receipts { return w.log.Writer() }
	return w
}

// apart is t.Run in a bubble of its own: time passes where all in it wait, so that a
// busy machine makes nothing late.
func apart(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}

// note is a notification for the inbox and the outside channel.
func note(who string, i int) *delivery.Notification {
	n := deliverytest.Note(who, i)
	n.Channels = []string{delivery.InboxChannel, "out"}
	return n
}

// process is a running notifier.
type process struct {
	stop  context.CancelFunc
	ended chan error
	d     *delivery.Dispatcher
}

// start runs a notifier. life may be nil; otherwise the process dies where it says.
func (w *world) start(life *mortal) *process {
	w.t.Helper()
	if life == nil {
		life = &mortal{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{stop: cancel, ended: make(chan error, 1)}
	ports := delivery.Ports{
		Ledger: mortalLedger{life, w.ledger}, Inbox: mortalInbox{life, w.inbox}, Receipts: mortalReceipts{life, w.writer()},
		Channels: []delivery.Channel{mortalChannel{life, w.out}}, Gate: mortalGate{life, w.gate},
	}
	if w.own {
		ports.Channels = []delivery.Channel{personal{mortalChannel{life, w.out}}}
	}
	p.d = delivery.New(ports, w.opts)
	go func() {
		p.ended <- p.d.Run(ctx, func(h delivery.Holder) (delivery.Source, error) {
			return mortalSource{life, w.log.Join(h, w.opts.Retries)}, nil
		})
	}()
	w.t.Cleanup(func() {
		cancel()
		time.Sleep(time.Minute) // in the bubble: for its time-outs; what is left of it then fails the test
	})
	return p
}

func (w *world) halt(p *process) {
	w.t.Helper()
	p.stop()
	select {
	case err := <-p.ended:
		if err != nil {
			w.t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		w.t.Fatal("the notifier did not stop within 10 s")
	}
}

// until waits for something to become true.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("after 10 s still not: %s\nreceipts %+v\ncopies %+v", what, w.log.Receipts(), w.out.Copies())
		}
	}
}

func (w *world) done() {
	w.t.Helper()
	w.until("everything is committed", w.log.Done)
}

// copies counts what reached the person, by notification ID.
func (w *world) copies() map[string]int {
	out := map[string]int{}
	for _, c := range w.out.Copies() {
		out[fmt.Sprint(c.Notification, ".", c.Revision)]++
	}
	return out
}

// outcomes lists the receipts of a channel.
func (w *world) outcomes(channel string) []delivery.Outcome {
	var out []delivery.Outcome
	for _, r := range w.log.Receipts() {
		if r.Channel == channel {
			out = append(out, r.Outcome)
		}
	}
	return out
}

// errDead is what a dead process gets from everything it touches.
var errDead = errors.New("the process is dead")

// mortal kills a process at the nth passing of a place: from then on nothing
// it does has any effect, exactly as if it had been killed there.
type mortal struct {
	place string
	nth   int32
	seen  atomic.Int32
	dead  atomic.Bool
	once  sync.Once
	died  chan struct{}
}

func dyingAt(place string, nth int32) *mortal {
	return &mortal{place: place, nth: nth, died: make(chan struct{})}
}

// pass reports whether the process is alive behind the place.
func (m *mortal) pass(place string) bool {
	if m.place == place && m.seen.Add(1) == m.nth {
		m.dead.Store(true)
		m.once.Do(func() { close(m.died) })
	}
	return !m.dead.Load()
}

type mortalLedger struct {
	*mortal
	delivery.Ledger
}

func (m mortalLedger) Claim(ctx context.Context, k delivery.Key, r delivery.ClaimRequest) (delivery.Claim, error) {
	if !m.pass("before claim") {
		return delivery.Claim{}, errDead
	}
	c, err := m.Ledger.Claim(ctx, k, r)
	if !m.pass("after claim") {
		return delivery.Claim{}, errDead
	}
	return c, err
}

func (m mortalLedger) Mark(ctx context.Context, k delivery.Key, o string, a int, mark delivery.Mark) (bool, error) {
	if !m.pass("before mark") {
		return false, errDead
	}
	ok, err := m.Ledger.Mark(ctx, k, o, a, mark)
	if !m.pass("after mark") {
		return false, errDead
	}
	return ok, err
}

type mortalInbox struct {
	*mortal
	delivery.Inbox
}

func (m mortalInbox) Append(ctx context.Context, n *delivery.Notification) (delivery.AppendOutcome, int64, error) {
	if !m.pass("before append") {
		return "", 0, errDead
	}
	o, at, err := m.Inbox.Append(ctx, n)
	if !m.pass("after append") {
		return "", 0, errDead
	}
	return o, at, err
}

type mortalReceipts struct {
	*mortal
	delivery.Receipts
}

func (m mortalReceipts) Flush(ctx context.Context) error {
	if !m.pass("before flush") {
		return errDead
	}
	return m.Receipts.Flush(ctx)
}

func (m mortalReceipts) Park(ctx context.Context, topic string, p delivery.Parked) error {
	if !m.pass("before park") {
		return errDead
	}
	err := m.Receipts.Park(ctx, topic, p)
	if !m.pass("after park") {
		return errDead
	}
	return err
}

type mortalSource struct {
	*mortal
	delivery.Source
}

func (m mortalSource) Commit(ctx context.Context, o map[delivery.TopicPartition]int64) error {
	if !m.pass("before commit") {
		return errDead
	}
	err := m.Source.Commit(ctx, o)
	if !m.pass("after commit") {
		return errDead
	}
	return err
}

type mortalChannel struct {
	*mortal
	delivery.Channel
}

func (m mortalChannel) Deliver(ctx context.Context, a delivery.Attempt) delivery.Result {
	if !m.pass("before send") {
		<-ctx.Done()
		return delivery.Result{Reason: "dead"}
	}
	res := m.Channel.Deliver(ctx, a)
	if !m.pass("after send") {
		<-ctx.Done()
		return delivery.Result{Reason: "dead"}
	}
	return res
}

// personal is a channel to participants' own devices.
type personal struct{ mortalChannel }

func (personal) Personal() {}

type mortalGate struct {
	*mortal
	delivery.Gate
}

func (m mortalGate) Look(ctx context.Context, who, id string) (delivery.Standing, error) {
	if !m.pass("before look") {
		return delivery.Standing{}, errDead
	}
	return m.Gate.Look(ctx, who, id)
}

func (m mortalGate) Admit(ctx context.Context, who string, r delivery.AdmitRequest) (delivery.Admission, error) {
	if !m.pass("before admit") {
		return delivery.Admission{}, errDead
	}
	adm, err := m.Gate.Admit(ctx, who, r)
	if !m.pass("after admit") {
		return delivery.Admission{}, errDead
	}
	return adm, err
}

func (m mortalGate) Unseen(ctx context.Context, who string, window int64) (int, error) {
	if !m.pass("before unseen") {
		return 0, errDead
	}
	n, err := m.Gate.Unseen(ctx, who, window)
	if !m.pass("after unseen") {
		return 0, errDead
	}
	return n, err
}
