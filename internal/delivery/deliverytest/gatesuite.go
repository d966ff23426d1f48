package deliverytest

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// GateSite is what a gate is checked with.
type GateSite struct {
	Gate interface {
		delivery.Gate
		delivery.Presence
		delivery.PreferenceStore
	}
	Inbox delivery.Inbox // that it compares with
	// Forget makes the inbox lose where a participant stood, as a store does that
	// lost data.
	Forget func(t *testing.T, participant string)
}

// GateSuite checks what decides about pushes. make returns an empty one.
func GateSuite(t *testing.T, make func(t *testing.T) GateSite) {
	t.Helper()
	for name, test := range map[string]func(*gateCase){
		"asked again, the answer is the same":          gateSame,
		"a push to many devices is counted once":       gateDevices,
		"no more are admitted than allowed":            gateRace,
		"an update of what is in a digest stays there": gateUpdate,
		"one opens the digest of each target":          gateOpens,
		"where the opener is retracted another opens":  gateOpensAgain,
		"a window ends and another begins":             gateRolls,
		"a digest counts what was not acknowledged":    gateUnseen,
		"a digest counts by the newest entry":          gateUnseenUpdate,
		"a digest counts nothing that was retracted":   gateUnseenRetracted,
		"a digest of another window is another":        gateUnseenOther,
		"a count closes its window":                    gateCloses,
		"what is pushed leaves its digest":             gateLeaves,
		"what was acknowledged is seen":                gateSeen,
		"what another life acknowledged is not seen":   gateSeenOtherLife,
		"presence ends": gatePresence,
		"preferences are kept until they are taken out": gatePreferences,
		"participants are told apart by the gate":       gateParticipants,
	} {
		t.Run(name, func(t *testing.T) { test(&gateCase{t, make(t)}) })
	}
}

type gateCase struct {
	*testing.T
	GateSite
}

// ask returns a request for number i in an hour of at most pushes.
func ask(i, revision, most int) delivery.AdmitRequest {
	return delivery.AdmitRequest{
		Notification: Note("", i).ID, Revision: revision, Channel: "fcm", Target: "phone", Max: most, Window: time.Hour,
	}
}

func on(r delivery.AdmitRequest, channel, target string) delivery.AdmitRequest {
	r.Channel, r.Target = channel, target
	return r
}

func (c *gateCase) admit(who string, r delivery.AdmitRequest) delivery.Admission {
	c.Helper()
	a, err := c.Gate.Admit(c.Context(), who, r)
	if err != nil {
		c.Fatal(err)
	}
	if a.Admitted && a != (delivery.Admission{Admitted: true}) || !a.Admitted && (a.Window <= 0 || a.Left <= 0 || a.Left > r.Window) {
		c.Fatalf("of %+v it says %+v", r, a)
	}
	return a
}

func (c *gateCase) admitted(who string, r delivery.AdmitRequest) {
	c.Helper()
	if a := c.admit(who, r); !a.Admitted {
		c.Fatalf("%+v of %s was not admitted: %+v", r, who, a)
	}
}

// digested checks that a request is counted in a digest, and returns its window.
func (c *gateCase) digested(who string, r delivery.AdmitRequest, opens bool) int64 {
	c.Helper()
	a := c.admit(who, r)
	if a.Admitted || a.Opens != opens {
		c.Fatalf("%+v of %s gave %+v, want one in a digest that opens: %v", r, who, a, opens)
	}
	return a.Window
}

func (c *gateCase) unseen(who string, window int64, want int) {
	c.Helper()
	if n, err := c.Gate.Unseen(c.Context(), who, window); err != nil || n != want {
		c.Fatalf("the digest counts %d, %v; want %d", n, err, want)
	}
}

func (c *gateCase) withdraw(who string, i int) {
	c.Helper()
	if err := c.Gate.Withdraw(c.Context(), who, Note("", i).ID); err != nil {
		c.Fatal(err)
	}
}

// enters appends a revision of number i to an inbox and returns its offset.
func (c *gateCase) enters(who string, i, revision int, op delivery.Op) int64 {
	c.Helper()
	n := Note(who, i)
	n.Revision, n.Op = revision, op
	_, offset, err := c.Inbox.Append(c.Context(), n)
	if err != nil || offset == 0 {
		c.Fatalf("appended at %d, %v", offset, err)
	}
	return offset
}

func (c *gateCase) ack(who string, offset int64) {
	c.Helper()
	if got, err := c.Inbox.Ack(c.Context(), who, offset); err != nil || got != offset {
		c.Fatalf("acknowledged %d, %v; want %d", got, err, offset)
	}
}

func (c *gateCase) look(who string, i int) delivery.Standing {
	c.Helper()
	s, err := c.Gate.Look(c.Context(), who, Note("", i).ID)
	if err != nil {
		c.Fatal(err)
	}
	return s
}

func (c *gateCase) seen(who string, i int, want bool) {
	c.Helper()
	if s := c.look(who, i); s.Seen != want {
		c.Fatalf("number %d of %s is seen: %v", i, who, s.Seen)
	}
}

func gateSame(c *gateCase) {
	var window int64
	for range 3 {
		c.admitted("ada", ask(1, 1, 2))
		c.admitted("ada", ask(2, 1, 2))
		window = c.digested("ada", ask(3, 1, 2), true)
		if again := c.digested("ada", ask(4, 1, 2), false); again != window {
			c.Fatalf("one window has the names %d and %d", window, again)
		}
	}
	c.digested("ada", ask(3, 1, 9), true) // nor does another allowance change it
	c.admitted("ada", ask(1, 1, 0))
	c.unseen("ada", window, 2)
}

func gateDevices(c *gateCase) {
	for _, target := range []string{"phone", "tablet", "watch"} {
		c.admitted("ada", on(ask(1, 1, 2), "fcm", target))
		c.admitted("ada", on(ask(2, 1, 2), "apns", target))
	}
	c.digested("ada", ask(3, 1, 2), true)
	c.digested("ada", ask(1, 2, 2), false) // a revision is another push
}

func gateRace(c *gateCase) {
	const most, each, devices = 5, 40, 2
	for round := range 5 {
		who := fmt.Sprint("ada", round)
		var answers [each][devices]delivery.Admission
		var opens atomic.Int64
		var all sync.WaitGroup
		for i := range each * devices {
			n, device := i/devices, i%devices
			all.Go(func() {
				r := on(ask(n, 1, most), "fcm", fmt.Sprint("device", device))
				a, err := c.Gate.Admit(c.Context(), who, r)
				if err != nil {
					c.Error(err)
				}
				if a.Opens {
					opens.Add(1)
				}
				answers[n][device] = a
			})
		}
		all.Wait()
		admitted := 0
		for n, a := range answers {
			if a[0].Admitted != a[1].Admitted || a[0].Window != a[1].Window {
				c.Fatalf("number %d got %+v at its devices", n, a)
			}
			if a[0].Admitted {
				admitted++
			}
		}
		if admitted != most || opens.Load() != devices {
			c.Fatalf("%d were admitted, want %d, and %d open a digest, want %d", admitted, most, opens.Load(), devices)
		}
	}
}

func gateUpdate(c *gateCase) {
	window := c.digested("ada", ask(1, 1, 0), true)
	c.digested("ada", ask(1, 2, 5), true) // there is room by now, and it is in the digest
	c.admitted("ada", ask(2, 1, 5))
	c.digested("ada", on(ask(1, 3, 5), "fcm", "tablet"), true)
	c.unseen("ada", window, 1)
}

func gateOpens(c *gateCase) {
	c.admitted("ada", ask(1, 1, 1))
	for range 2 {
		c.digested("ada", ask(2, 1, 1), true)
		c.digested("ada", ask(3, 1, 1), false)
		c.digested("ada", on(ask(3, 1, 1), "apns", "phone"), true)
		c.digested("ada", on(ask(2, 1, 1), "apns", "phone"), false)
		c.digested("ada", on(ask(4, 1, 1), "a:b", "c"), true)
		c.digested("ada", on(ask(5, 1, 1), "a", "b:c"), true)
	}
	// Its update may come in its place: the lane leaves out what is behind by then.
	c.digested("ada", ask(2, 2, 1), true)
}

func gateOpensAgain(c *gateCase) {
	window := c.digested("ada", ask(1, 1, 0), true)
	c.withdraw("ada", 1)
	c.withdraw("ada", 7) // never there
	c.digested("ada", ask(2, 1, 0), true)
	c.digested("ada", ask(3, 1, 0), false)
	c.digested("ada", ask(2, 1, 0), true)
	c.unseen("ada", window, 2)
}

// short returns a participant with one push admitted, number 1, and number 2 in
// the digest of a window that ends soon. A slow machine gets a longer one.
func (c *gateCase) short() (who string, window time.Duration, a delivery.Admission) {
	for window = 200 * time.Millisecond; ; window *= 2 {
		who = fmt.Sprint("ada", window)
		r := ask(1, 1, 1)
		r.Window = window
		c.admitted(who, r)
		r.Notification = Note("", 2).ID
		if a = c.admit(who, r); !a.Admitted {
			return who, window, a
		}
	}
}

func gateRolls(c *gateCase) {
	began := time.Now()
	who, window, a := c.short()
	r := ask(3, 1, 1)
	for r.Window = window; !c.admit(who, r).Admitted; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			c.Fatalf("a window of %v does not end", window)
		}
	}
	// The store's milliseconds are whole ones.
	if lasted := time.Since(began); lasted < a.Left-5*time.Millisecond {
		c.Fatalf("after %v another window began, and the first had %v left", lasted, a.Left)
	}
	c.unseen(who, a.Window, 1)
	r.Window = time.Hour // of the next one, at whose end nobody waits
	for i := 10; ; i++ {
		r.Notification = Note("", i).ID
		if next := c.admit(who, r); !next.Admitted {
			if next.Window <= a.Window {
				c.Fatalf("the window after %d is %d", a.Window, next.Window)
			}
			break
		}
	}
	c.unseen(who, a.Window, 1)
}

func gateUnseen(c *gateCase) {
	var window int64
	for i := 1; i <= 4; i++ {
		c.enters("ada", i, 1, delivery.Send)
		window = c.digested("ada", ask(i, 1, 0), i == 1)
	}
	c.digested("ada", ask(5, 1, 0), false) // not in the inbox, so nobody saw it there
	c.unseen("ada", window, 5)
	c.ack("ada", 3)
	c.unseen("ada", window, 2)
	c.ack("ada", 4)
	c.unseen("ada", window, 1)
	c.unseen("ada", window, 1)
}

func gateUnseenUpdate(c *gateCase) {
	c.enters("ada", 1, 1, delivery.Send)
	c.ack("ada", c.enters("ada", 2, 1, delivery.Send))
	window := c.digested("ada", ask(1, 1, 0), true)
	c.unseen("ada", window, 0)
	offset := c.enters("ada", 1, 2, delivery.Update)
	c.unseen("ada", window, 1)
	c.ack("ada", offset)
	c.unseen("ada", window, 0)
}

// A retraction may come while the notification waits for a time to be pushed, and
// so before it is in a digest.
func gateUnseenRetracted(c *gateCase) {
	for i := 1; i <= 3; i++ {
		c.enters("ada", i, 1, delivery.Send)
	}
	window := c.digested("ada", ask(1, 1, 0), true)
	c.digested("ada", ask(2, 1, 0), false)
	c.enters("ada", 2, 2, delivery.Retract)
	c.withdraw("ada", 2)
	c.enters("ada", 3, 2, delivery.Retract)
	c.withdraw("ada", 3)
	c.digested("ada", ask(3, 1, 0), false)
	n := Note("ada", 4)
	n.Body = `{"op":"retract"}` // a text is no field
	if _, _, err := c.Inbox.Append(c.Context(), n); err != nil {
		c.Fatal(err)
	}
	c.digested("ada", ask(4, 1, 0), false)
	c.unseen("ada", window, 2)
}

// gateCloses counts a digest before its window has ended, as a notifier whose
// clock is fast does. What comes later is of another window.
func gateCloses(c *gateCase) {
	c.admitted("ada", ask(1, 1, 1))
	first := c.digested("ada", ask(2, 1, 1), true)
	c.unseen("ada", first, 1)
	c.unseen("ada", first-1, 0) // closes nothing
	c.admitted("ada", ask(3, 1, 1))
	second := c.digested("ada", ask(4, 1, 1), true)
	if second <= first {
		c.Fatalf("the window after %d is %d", first, second)
	}
	c.unseen("ada", first, 1)
	c.digested("ada", ask(5, 1, 1), false) // an earlier window's count does not close this one
	c.unseen("ada", second, 2)
}

// gateLeaves lets what is in a window's digest be pushed in the next window: it is
// told once.
func gateLeaves(c *gateCase) {
	first := c.digested("ada", ask(1, 1, 0), true)
	c.digested("ada", ask(2, 1, 0), false)
	c.unseen("ada", first, 2)
	c.admitted("ada", ask(1, 1, 1))
	c.unseen("ada", first, 1)
	c.digested("ada", ask(2, 1, 1), true)
	c.unseen("ada", first, 0)
}

func gateUnseenOther(c *gateCase) {
	window := c.digested("ada", ask(1, 1, 0), true)
	c.unseen("ada", window-1, 0)
	c.unseen("ada", window+1, 0)
	c.unseen("bob", window, 0)
	c.unseen("ada", window, 1)
}

func gateSeen(c *gateCase) {
	c.seen("ada", 1, false)
	c.enters("ada", 1, 1, delivery.Send)
	c.enters("ada", 2, 1, delivery.Send)
	c.seen("ada", 1, false)
	c.ack("ada", 1)
	c.seen("ada", 1, true)
	c.seen("ada", 2, false)
	c.seen("ada", 3, false)
	offset := c.enters("ada", 1, 2, delivery.Update)
	c.seen("ada", 1, false)
	c.ack("ada", offset)
	c.seen("ada", 1, true)
	c.seen("ada", 2, true)
	c.seen("bob", 1, false)
}

func gateSeenOtherLife(c *gateCase) {
	c.enters("ada", 1, 1, delivery.Send)
	c.ack("ada", c.enters("ada", 2, 1, delivery.Send))
	window := c.digested("ada", ask(2, 1, 0), true)
	c.Forget(c.T, "ada")
	c.seen("ada", 1, false)
	c.unseen("ada", window, 1)
	c.enters("ada", 3, 1, delivery.Send)
	c.seen("ada", 1, false)
	c.seen("ada", 3, false)
	c.unseen("ada", window, 1)
}

func gatePresence(c *gateCase) {
	present := func(who string, life time.Duration) {
		c.Helper()
		if err := c.Gate.Present(c.Context(), who, life); err != nil {
			c.Fatal(err)
		}
	}
	if c.look("ada", 1).Present {
		c.Fatal("ada is there before she came")
	}
	present("ada", time.Hour)
	present("bob", 20*time.Millisecond)
	if !c.look("ada", 1).Present || c.look("cleo", 1).Present {
		c.Fatal("ada is not there, or cleo is")
	}
	for began := time.Now(); c.look("bob", 1).Present; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			c.Fatal("bob is there for ever")
		}
	}
	if !c.look("ada", 1).Present {
		c.Fatal("ada went with bob")
	}
	present("bob", time.Hour)
	if !c.look("bob", 1).Present {
		c.Fatal("bob does not come back")
	}
}

func gatePreferences(c *gateCase) {
	has := func(who string, want delivery.Preferences) {
		c.Helper()
		got, err := c.Gate.Preferences(c.Context(), who)
		if err != nil || !reflect.DeepEqual(got, want) {
			c.Fatalf("%s prefers %+v, %v; want %+v", who, got, err, want)
		}
		if s := c.look(who, 1); !reflect.DeepEqual(s.Preferences, want) {
			c.Fatalf("a look finds that %s prefers %+v, want %+v", who, s.Preferences, want)
		}
	}
	set := func(who string, p delivery.Preferences) {
		c.Helper()
		if err := c.Gate.SetPreferences(c.Context(), who, p); err != nil {
			c.Fatal(err)
		}
	}
	full := func() delivery.Preferences {
		return delivery.Preferences{
			TimeZone: "Europe/Berlin", QuietHours: &delivery.QuietHours{From: "22:00", To: "07:00"},
			Classes: map[string]delivery.ClassPreference{"clue": {Channels: []string{}}, "score": {Channels: []string{"fcm", "webpush"}}},
		}
	}
	has("ada", delivery.Preferences{})
	given := full()
	set("ada", given)
	given.QuietHours.To, given.Classes["clue"] = "08:00", delivery.ClassPreference{Channels: []string{"apns"}}
	has("ada", full())
	has("bob", delivery.Preferences{})
	set("ada", delivery.Preferences{TimeZone: "Asia/Tokyo"})
	has("ada", delivery.Preferences{TimeZone: "Asia/Tokyo"})
	set("ada", delivery.Preferences{Classes: map[string]delivery.ClassPreference{}}) // says nothing
	has("ada", delivery.Preferences{})
	set("bob", delivery.Preferences{})
	has("bob", delivery.Preferences{})
}

func gateParticipants(c *gateCase) {
	for _, who := range []string{"ada", "bob", "{ada}", "a}d:a", "a%7Dd:a"} {
		c.admitted(who, ask(1, 1, 1))
		window := c.digested(who, ask(2, 1, 1), true)
		c.unseen(who, window, 1)
		c.withdraw(who, 2)
		c.unseen(who, window, 0)
	}
}
