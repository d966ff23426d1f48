package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/wire"
)

// left is what a peer left: outputs in their order, and states.
type left struct {
	outputs []arrivalOutput
	ids     []string
	states  map[string]string
}

// right returns what a peer leaves that did everything.
func right(t *testing.T, w *Workload) *left {
	t.Helper()
	a, err := newArrival(w, 3)
	if err != nil {
		t.Fatal(err)
	}
	l := &left{states: map[string]string{}}
	for _, id := range slices.Sorted(maps.Keys(a.outputs)) {
		for _, o := range a.outputs[id] {
			l.ids, l.outputs = append(l.ids, id), append(l.outputs, o)
		}
	}
	for who, s := range a.states {
		b, err := a.json(s)
		if err != nil {
			t.Fatal(err)
		}
		l.states[who] = string(b)
	}
	return l
}

// checked is what the comparison says of it.
func (l *left) checked(t *testing.T, w *Workload, once bool) (int64, error) {
	t.Helper()
	want, err := newArrival(w, 3)
	if err != nil {
		t.Fatal(err)
	}
	c := &check{want: want, once: once, found: PeerError{Name: "one"}}
	for i, o := range l.outputs {
		value, err := json.Marshal(map[string]string{"id": l.ids[i], "title": o.Title, "body": o.Body})
		if err != nil {
			t.Fatal(err)
		}
		c.output(o.Partition, &wire.Record{Key: []byte(o.Participant), Value: value})
	}
	for who, text := range l.states {
		if err := c.state(who, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return c.end(true)
}

// TestPeersAreCompared plants what a peer can do wrong, and finds each.
func TestPeersAreCompared(t *testing.T) {
	for _, name := range []string{"core", "rules", "disorder"} {
		w := small(t, name)
		if repeated, err := right(t, w).checked(t, w, true); err != nil || repeated != 0 {
			t.Errorf("%s: %d repeated, %v", name, repeated, err)
		}
	}
	w, who := small(t, "core"), "player-00007"
	change := func(l *left, old, new string) {
		was := l.states[who]
		if l.states[who] = strings.Replace(was, old, new, 1); l.states[who] == was {
			t.Fatalf("%q is not in %s", old, was)
		}
	}
	for name, c := range map[string]struct {
		plant              func(l *left)
		lost, again, wrong int64
	}{
		"a lost output":             {func(l *left) { l.outputs, l.ids = l.outputs[1:], l.ids[1:] }, 1, 0, 0},
		"a doubled output":          {func(l *left) { l.outputs, l.ids = append(l.outputs, l.outputs[5]), append(l.ids, l.ids[5]) }, 0, 1, 0},
		"an output nobody caused":   {func(l *left) { l.outputs, l.ids = append(l.outputs, l.outputs[5]), append(l.ids, "7") }, 0, 0, 1},
		"another body":              {func(l *left) { l.outputs[5].Body += " " }, 0, 0, 1},
		"another title":             {func(l *left) { l.outputs[5].Title = "Clue found" }, 0, 0, 1},
		"somebody else's output":    {func(l *left) { l.outputs[5].Participant = "player-x" }, 0, 0, 1},
		"an output on a partition":  {func(l *left) { l.outputs[5].Partition++ }, 0, 0, 1},
		"a lost state":              {func(l *left) { delete(l.states, who) }, 1, 0, 0},
		"a state of nobody":         {func(l *left) { l.states["player-x"] = l.states[who] }, 0, 0, 1},
		"a wrong number":            {func(l *left) { change(l, `"score":`, `"score":1`) }, 0, 0, 1},
		"a clue that was not found": {func(l *left) { change(l, `"found":[`, `"found":["c-x",`) }, 0, 0, 1},
		"a member too many":         {func(l *left) { change(l, `{`, `{"sprints":0,`) }, 0, 0, 1},
		"a state that is none":      {func(l *left) { l.states[who] = "" }, 0, 0, 1},
	} {
		l := right(t, w)
		c.plant(l)
		repeated, err := l.checked(t, w, true)
		var found *PeerError
		if !errors.As(err, &found) || found.Lost != c.lost || found.Repeated != c.again || found.Wrong != c.wrong || len(found.Findings) == 0 {
			t.Errorf("%s: %d repeated, %v", name, repeated, err)
		}
	}
	l := right(t, w)
	l.outputs, l.ids = append(l.outputs, l.outputs[5]), append(l.ids, l.ids[5])
	if repeated, err := l.checked(t, w, false); err != nil || repeated != 1 {
		t.Errorf("at least once: %d repeated, %v", repeated, err)
	}
}

// TestStatesOfTheProductsFoldAreCompared: one that the processor would have encoded
// otherwise is found, and so is one that is not there.
func TestStatesOfTheProductsFoldAreCompared(t *testing.T) {
	w := small(t, "core")
	for _, lost := range []bool{false, true} {
		want, err := newArrival(w, 3)
		if err != nil {
			t.Fatal(err)
		}
		clear(want.outputs)
		c := &check{want: want, stored: map[string][]byte{}}
		people := slices.Sorted(maps.Keys(want.states))
		for _, who := range people {
			c.stored[who] = []byte("of " + who)
		}
		if lost {
			people = people[1:]
		} else {
			c.stored[people[3]] = []byte("another")
		}
		for _, who := range people {
			if err := c.state(who, []byte("of "+who)); err != nil {
				t.Fatal(err)
			}
		}
		_, err = c.end(true)
		var found *PeerError
		if !errors.As(err, &found) || lost != (found.Lost == 1) || lost == (found.Wrong == 1) {
			t.Errorf("lost %t: %v", lost, err)
		}
	}
}

// TestPeerFindingsAreBounded: a peer that is wrong everywhere does not fill the terminal.
func TestPeerFindingsAreBounded(t *testing.T) {
	w := small(t, "core")
	l := right(t, w)
	for i := range l.outputs {
		l.outputs[i].Body = fmt.Sprint(i)
	}
	_, err := l.checked(t, w, true)
	var found *PeerError
	if !errors.As(err, &found) || found.Wrong != int64(len(l.outputs)) || len(found.Findings) != peerFindings {
		t.Errorf("%v", err)
	}
}
