package deliverytest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// DevicesSuite checks what keeps devices. make returns an empty one that takes
// DevicesMax of each participant.
func DevicesSuite(t *testing.T, make func(t *testing.T) delivery.Devices) {
	t.Helper()
	for name, test := range map[string]func(*devicesCase){
		"what was put is found":                          devicesFound,
		"a device takes a new token":                     devicesRenewed,
		"a deleted device is gone":                       devicesDeleted,
		"a token belongs to who registered it last":      devicesTaken,
		"a token belongs to one ID":                      devicesMoved,
		"what was taken does not come back":              devicesNoReturn,
		"a new device over the bound is refused":         devicesFull,
		"devices that lost their token make room":        devicesRoom,
		"a provider's word on a token ends that device":  devicesPruned,
		"a provider's word ends no other token":          devicesPruneOther,
		"a provider's word ends no later registration":   devicesPruneLater,
		"registered by many at once, a token is of one":  devicesRace,
		"a device renewed and changed at once is usable": devicesRaceOwn,
	} {
		t.Run(name, func(t *testing.T) { test(&devicesCase{t, make(t)}) })
	}
}

type devicesCase struct {
	*testing.T
	d delivery.Devices
}

// registered is long ago for a test, and exact in every encoding.
var registered = time.Date(2026, 5, 4, 10, 0, 0, int(123*time.Microsecond), time.UTC)

func device(id, token string) delivery.Device {
	return delivery.Device{
		ID: id, Channel: "webpush", Token: token, P256dh: "p" + token, Auth: "a" + token, Registered: registered,
	}
}

func (c *devicesCase) put(who string, d delivery.Device) {
	c.Helper()
	if err := c.d.Put(c.Context(), who, d); err != nil {
		c.Fatal(err)
	}
}

// has checks a participant's devices by List and Find.
func (c *devicesCase) has(who string, want ...delivery.Device) {
	c.Helper()
	got, err := c.d.List(c.Context(), who)
	if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		c.Fatalf("%s has %+v, %v; want %+v", who, got, err, want)
	}
	for _, d := range want {
		if found, err := c.d.Find(c.Context(), who, d.ID); err != nil || found == nil || *found != d {
			c.Fatalf("%s of %s is %+v, %v; want %+v", d.ID, who, found, err, d)
		}
	}
}

// hasNot checks that a device is not found.
func (c *devicesCase) hasNot(who, id string) {
	c.Helper()
	if found, err := c.d.Find(c.Context(), who, id); err != nil || found != nil {
		c.Fatalf("%s of %s is %+v, %v; want nothing", id, who, found, err)
	}
}

func (c *devicesCase) remove(who, id string) {
	c.Helper()
	if err := c.d.Delete(c.Context(), who, id); err != nil {
		c.Fatal(err)
	}
}

func (c *devicesCase) prune(who, id, token string, seen time.Time, want bool) {
	c.Helper()
	if done, err := c.d.Prune(c.Context(), who, id, token, seen); err != nil || done != want {
		c.Fatalf("prune of %s at %s is %v, %v; want %v", token, seen, done, err, want)
	}
}

func devicesFound(c *devicesCase) {
	c.has("ada")
	c.hasNot("ada", "phone")
	c.put("ada", device("phone", "t2"))
	c.put("ada", device("{b}:rowser", "t1"))
	c.put("b{o}:b", device("phone", "t3"))
	c.has("ada", device("phone", "t2"), device("{b}:rowser", "t1"))
	c.has("b{o}:b", device("phone", "t3"))
	c.put("ada", device("phone", "t2"))
	c.has("ada", device("phone", "t2"), device("{b}:rowser", "t1"))
}

func devicesRenewed(c *devicesCase) {
	c.put("ada", device("phone", "t1"))
	c.put("ada", device("phone", "t2"))
	c.has("ada", device("phone", "t2"))
	c.put("bob", device("phone", "t1")) // free again
	c.has("ada", device("phone", "t2"))
	c.has("bob", device("phone", "t1"))
}

func devicesDeleted(c *devicesCase) {
	c.remove("ada", "phone")
	c.put("ada", device("phone", "t1"))
	c.put("ada", device("tablet", "t2"))
	c.remove("ada", "phone")
	c.hasNot("ada", "phone")
	c.has("ada", device("tablet", "t2"))
	c.put("ada", device("phone", "t1"))
	c.has("ada", device("phone", "t1"), device("tablet", "t2"))
}

func devicesTaken(c *devicesCase) {
	c.put("ada", device("phone", "t"))
	c.put("bob", device("phone", "t"))
	c.has("ada")
	c.hasNot("ada", "phone")
	c.has("bob", device("phone", "t"))
	c.remove("ada", "phone") // does not end what is bob's
	c.has("bob", device("phone", "t"))
	c.put("ada", device("phone", "t"))
	c.has("bob")
	c.has("ada", device("phone", "t"))
}

func devicesMoved(c *devicesCase) {
	c.put("ada", device("phone", "t"))
	c.put("ada", device("renamed", "t"))
	c.hasNot("ada", "phone")
	c.has("ada", device("renamed", "t"))
}

func devicesNoReturn(c *devicesCase) {
	c.put("ada", device("phone", "t"))
	c.put("bob", device("phone", "t"))
	c.remove("bob", "phone")
	c.has("ada")
	c.hasNot("ada", "phone")
}

func devicesFull(c *devicesCase) {
	var want []delivery.Device
	for i := range DevicesMax {
		want = append(want, device(fmt.Sprintf("d%02d", i), fmt.Sprint("t", i)))
		c.put("ada", want[i])
	}
	c.put("bob", device("phone", "t"))
	for _, token := range []string{"fresh", "t"} {
		if err := c.d.Put(c.Context(), "ada", device("more", token)); !errors.Is(err, delivery.ErrDevicesFull) {
			c.Fatalf("one more gave %v", err)
		}
	}
	c.has("ada", want...)
	c.has("bob", device("phone", "t"))
	want[3].Token = "renewed"
	c.put("ada", want[3])
	c.remove("ada", "d00")
	c.put("ada", device("more", "t"))
	c.has("ada", append(want[1:], device("more", "t"))...)
	c.has("bob")
}

func devicesRoom(c *devicesCase) {
	for i := range DevicesMax {
		c.put("ada", device(fmt.Sprintf("d%02d", i), fmt.Sprint("t", i)))
	}
	c.put("bob", device("phone", "t5"))
	c.put("ada", device("more", "fresh"))
	if got, err := c.d.List(c.Context(), "ada"); err != nil || len(got) != DevicesMax {
		c.Fatalf("ada has %d devices, %v", len(got), err)
	}
	if err := c.d.Put(c.Context(), "ada", device("another", "fresher")); !errors.Is(err, delivery.ErrDevicesFull) {
		c.Fatalf("one more gave %v", err)
	}
}

func devicesPruned(c *devicesCase) {
	c.put("ada", device("phone", "t1"))
	c.put("ada", device("tablet", "t2"))
	c.prune("ada", "phone", "t1", registered, true)
	c.has("ada", device("tablet", "t2"))
	c.prune("ada", "phone", "t1", registered, false)
}

func devicesPruneOther(c *devicesCase) {
	c.put("ada", device("phone", "t2"))
	c.prune("ada", "phone", "t1", registered.Add(time.Hour), false)
	c.prune("bob", "phone", "t2", registered.Add(time.Hour), false)
	c.has("ada", device("phone", "t2"))
}

func devicesPruneLater(c *devicesCase) {
	c.put("ada", device("phone", "t"))
	c.prune("ada", "phone", "t", registered.Add(-time.Microsecond), false)
	c.has("ada", device("phone", "t"))
}

func devicesRace(c *devicesCase) {
	names := []string{"ada", "bob", "cleo", "dan"}
	for round := range 20 {
		token := fmt.Sprint("t", round)
		c.together(len(names), func(i int) error { return c.d.Put(c.Context(), names[i], device("phone", token)) })
		owners := 0
		for _, who := range names {
			found, err := c.d.Find(c.Context(), who, "phone")
			if err != nil {
				c.Fatal(err)
			}
			if found != nil {
				owners++
			}
		}
		if owners != 1 {
			c.Fatalf("%s is of %d participants", token, owners)
		}
	}
}

func devicesRaceOwn(c *devicesCase) {
	for range 20 {
		c.together(4, func(i int) error { return c.d.Put(c.Context(), "ada", device("phone", fmt.Sprint("t", i%2))) })
		if found, err := c.d.Find(c.Context(), "ada", "phone"); err != nil || found == nil {
			c.Fatalf("the device is %+v, %v", found, err)
		}
	}
}

func (c *devicesCase) together(n int, do func(i int) error) {
	c.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := do(i); err != nil {
				c.Error(err)
			}
		})
	}
	all.Wait()
}
