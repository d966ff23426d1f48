package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/verify"
)

// counts are what one broken world is reported as.
type counts struct{ lost, duplicated, wrong, unverifiable int64 }

func countsOf(r *verify.Report) counts {
	return counts{r.Lost, r.Duplicated, r.Wrong, r.Unverifiable}
}

func TestCleanWorld(t *testing.T) {
	w := newWorld(t)
	r, err := w.verify(t.Context())
	if err != nil || !r.Clean() || len(r.Findings) > 0 || r.Behind != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	if r.Records != partitions*events || r.States != partitions*players || r.Fates["applied"] != partitions*(events-1) || r.Outputs < partitions*events {
		t.Fatalf("compared too little: %+v", r)
	}
	if b, _ := json.Marshal(r); !strings.Contains(string(b), `"unverifiable":0`) {
		t.Fatalf("%s", b)
	}
}

// stamp returns a commit's metadata with one field changed.
func stamp(w *world, change func(*engine.Stamp)) {
	s, err := engine.ParseStamp(w.committed[0].Metadata)
	if err != nil {
		panic(err)
	}
	change(&s)
	w.committed[0].Metadata = s.String()
}

// refuseAll makes every event one that leaves no state.
func refuseAll(t *testing.T, w *world) {
	for i := range w.topics["events"][0] {
		w.topics["events"][0][i].Value = []byte("{")
	}
	w.topics["notifications"][0], w.topics["rejected"][0] = nil, nil
	w.process(t, 0, 0, events)
}

// ranked changes the first leaderboard.
func ranked(change func(all map[string]int64)) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) {
		w.rank = func(p int32, leaderboard int, all map[string]int64) {
			if p == 0 && leaderboard == 0 {
				change(all)
			}
		}
	}
}

// brokenWorlds break partition 0 in one way each.
var brokenWorlds = []struct {
	name  string
	spoil func(t *testing.T, w *world)
	want  counts
	says  string // in the first finding
}{
	{"meta lost", func(_ *testing.T, w *world) { w.metas[0] = engine.Meta{} }, counts{lost: players}, "its position is gone, and with it the states of 3 participants"},
	{"meta lost, nobody had a state", func(t *testing.T, w *world) { refuseAll(t, w); w.metas[0] = engine.Meta{} }, counts{wrong: 1}, "its position is gone"},
	{"meta and commit lost", func(_ *testing.T, w *world) {
		w.metas[0], w.committed[0] = engine.Meta{}, engine.Committed{Absent: true, Initialized: true}
	}, counts{wrong: 1}, "the group was deleted"},
	{"view of another token", func(_ *testing.T, w *world) { w.metas[0].Token = other }, counts{wrong: 1}, "the view belongs to"},
	{"view with another digest", func(_ *testing.T, w *world) { w.metas[0].Digest++ }, counts{wrong: 1}, "the view's digest at 10"},
	{"view with another chain", func(_ *testing.T, w *world) { w.metas[0].Chain++ }, counts{wrong: 1}, "the view's chain at 10"},
	{"view with a later start", func(_ *testing.T, w *world) { w.metas[0].Start = 2 }, counts{wrong: 1}, "the view starts at 2 and the commit at 10 says 0"},
	{"view with an earlier start", func(_ *testing.T, w *world) { w.metas[0].Start = -2 }, counts{wrong: 1}, "the view starts at -2"},
	{"view and stamp with a later start", func(_ *testing.T, w *world) {
		w.metas[0].Start = 2
		stamp(w, func(s *engine.Stamp) { s.Start = 2 })
	}, counts{wrong: 1}, "the state starts at 2 and the log at 0"},
	{"view beyond the log", func(_ *testing.T, w *world) { w.metas[0].Applied = 99 }, counts{wrong: 1}, "the view claims to be at 99"},
	{"view before the log", func(_ *testing.T, w *world) { w.metas[0].Applied = -1 }, counts{wrong: 1}, "the view claims to be at -1"},
	{"sentinel lost", func(_ *testing.T, w *world) { w.metas[0].Intact = false }, counts{wrong: 1}, "lost its sentinel"},
	{"other generation", func(_ *testing.T, w *world) { w.metas[0].Generation = "h" }, counts{lost: players}, "no state"},
	{"not on a leaderboard", ranked(func(all map[string]int64) { delete(all, namesOf(0)[0]) }), counts{lost: 1}, "is not on leaderboard score"},
	{"another number on a leaderboard", ranked(func(all map[string]int64) { all[namesOf(0)[0]]++ }), counts{wrong: 1}, "is on leaderboard score with"},
	{"somebody else on a leaderboard", ranked(func(all map[string]int64) { all["nobody"] = 5 }), counts{wrong: 1}, `"nobody" is on leaderboard score and has no accepted event`},
	{"no stamp", func(_ *testing.T, w *world) { w.committed[0].Metadata = "" }, counts{wrong: 1}, `the commit carries "" instead of a stamp`},
	{"stamp of another token", func(_ *testing.T, w *world) { stamp(w, func(s *engine.Stamp) { s.Token = other }) }, counts{wrong: 1}, "the commit at 10 belongs to"},
	{"stamp with another start", func(_ *testing.T, w *world) { stamp(w, func(s *engine.Stamp) { s.Start = 2 }) }, counts{wrong: 1}, "says 2"},
	{"stamp with another chain", func(_ *testing.T, w *world) { stamp(w, func(s *engine.Stamp) { s.Chain++ }) }, counts{wrong: 1}, "chain"},
	{"stamp with another digest", func(_ *testing.T, w *world) { stamp(w, func(s *engine.Stamp) { s.Digest++ }) }, counts{wrong: 1}, "digest"},
	{"notification from beyond the log", func(_ *testing.T, w *world) { w.again("notifications", 0, "999999") }, counts{wrong: 1}, "claims to be caused by 999999"},
	{"reject from the log's end", func(_ *testing.T, w *world) { w.again("rejected", 0, "10") }, counts{wrong: 1}, "claims to be caused by 10, and the log ends at 10"},
	{"notification from before the log", func(_ *testing.T, w *world) { w.again("notifications", 0, "-1") }, counts{wrong: 1}, "should not be there"},
	{"notification twice", func(_ *testing.T, w *world) { w.again("notifications", 0, "0") }, counts{duplicated: 1}, "was there before"},
	{"reject lost", func(_ *testing.T, w *world) { w.topics["rejected"][0] = nil }, counts{lost: 1}, "was never committed"},
	{"unparsable meta", func(_ *testing.T, w *world) { w.metaErr[0] = errors.New("read meta field applied") }, counts{unverifiable: 1}, "read meta field applied"},
	{"offset beyond the log", func(_ *testing.T, w *world) { w.committed[0].Offset = 11 }, counts{unverifiable: 1}, "the committed offset 11 is beyond the log's end 10"},
	{"view and offset beyond the log", func(_ *testing.T, w *world) {
		w.metas[0].Applied, w.committed[0].Offset = 12, 12
	}, counts{unverifiable: 1}, "the committed offset 12 is beyond the log's end 10"},
	{"emptied partition", func(_ *testing.T, w *world) { w.starts["events"][0] = events }, counts{unverifiable: 1}, "the log starts at 10 and the state at 0"},
	{"emptied partition, no meta, no stamp", func(_ *testing.T, w *world) {
		w.starts["events"][0], w.metas[0], w.committed[0] = events, engine.Meta{}, engine.Committed{Offset: 4}
	}, counts{wrong: 1, unverifiable: 1}, "instead of a stamp"},
	{"deleted notifications", func(_ *testing.T, w *world) { w.starts["notifications"][0] = 1 }, counts{unverifiable: 1}, "notifications starts at 1"},
	{"deleted notifications, reject lost", func(_ *testing.T, w *world) {
		w.starts["notifications"][0], w.topics["rejected"][0] = 1, nil
	}, counts{lost: 1, unverifiable: 1}, "notifications starts at 1"},
	{"gap in the log", func(_ *testing.T, w *world) { w.topics["events"][0][4].Offset++ }, counts{unverifiable: 1}, "offset 5 follows 3"},
	{"offset reset to 0", func(_ *testing.T, w *world) { w.committed[0] = engine.Committed{} }, counts{wrong: 1}, "the group's offset was reset from 10 to 0"},
	{"offset reset to 4, a state changed", func(_ *testing.T, w *world) {
		w.committed[0] = engine.Committed{Offset: 4}
		w.states[0][namesOf(0)[0]] = nil
	}, counts{wrong: 2}, "the group's offset was reset from 10 to 4"},
	{"offset reset to 4, reject lost", func(_ *testing.T, w *world) {
		w.committed[0], w.topics["rejected"][0] = engine.Committed{Offset: 4}, nil
	}, counts{lost: 1, wrong: 1}, "the group's offset was reset from 10 to 4"},
	{"group deleted", func(_ *testing.T, w *world) { w.committed[0] = engine.Committed{Absent: true, Initialized: true} }, counts{wrong: 1}, "nothing is committed, and the partition was processed before, in Redis up to 10"},
	{"state lost", func(_ *testing.T, w *world) { delete(w.states[0], namesOf(0)[0]) }, counts{lost: 1}, "no state"},
	{"state of nobody", func(_ *testing.T, w *world) { w.states[0]["nobody"] = []byte("x") }, counts{wrong: 1}, "no accepted event"},
}

// TestBrokenWorlds shows that each is found and counted exactly. Partition 1
// stays whole, and is compared in full every time.
func TestBrokenWorlds(t *testing.T) {
	for _, c := range brokenWorlds {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.spoil(t, w)
			r, err := w.verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := countsOf(r); got != c.want || r.Clean() {
				t.Errorf("%+v, want %+v: %+v", got, c.want, r.Findings)
			}
			if len(r.Findings) == 0 || !strings.Contains(r.Findings[0].Sentence, c.says) || !strings.HasSuffix(r.Findings[0].Where, "partition 0") {
				t.Errorf("findings %+v do not begin with %q", r.Findings, c.says)
			}
			if len(r.Partitions) != partitions || r.Partitions[1].Records != events || r.Partitions[1].States != players || r.Behind < 0 {
				t.Errorf("partition 1 was not compared: %+v", r)
			}
		})
	}
}

// TestUnfinishedWorlds have done nothing wrong: they are behind.
func TestUnfinishedWorlds(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, w *world)
		behind int64
	}{
		{"nothing processed", func(_ *testing.T, w *world) {
			w.metas[0], w.committed[0] = engine.Meta{}, engine.Committed{Absent: true}
			w.topics["notifications"][0], w.topics["rejected"][0] = nil, nil
		}, events},
		{"begun, nothing processed", func(_ *testing.T, w *world) {
			w.metas[0] = engine.Meta{Exists: true, Intact: true, Token: token, Generation: "g"}
			w.states[0], w.committed[0] = nil, engine.Committed{Absent: true}
			w.topics["notifications"][0], w.topics["rejected"][0] = nil, nil
		}, events},
		{"the view is behind the commit", func(t *testing.T, w *world) {
			w.states[0] = w.view(t, 0, 4, func(int64, *engine.Output) {})
			w.metas[0].Applied, w.metas[0].Chain, w.metas[0].Digest = 4, 1, 2
		}, events - 4},
		{"more was written since", func(_ *testing.T, w *world) {
			w.event(0, namesOf(0)[0], "new", 70*second, `{"clue":"new","points":1}`)
		}, 1},
		{"outputs committed since", func(t *testing.T, w *world) {
			w.event(0, namesOf(0)[0], "new", 70*second, `{"clue":"new","points":1}`)
			meta, committed, states := w.metas[0], w.committed[0], w.states[0]
			w.process(t, 0, events, events+1)
			w.metas[0], w.committed[0], w.states[0] = meta, committed, states
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.before(t, w)
			r, err := w.verify(t.Context())
			if err != nil || !r.Clean() || r.Behind != c.behind {
				t.Fatalf("%v, behind %d, want %d: %+v", err, r.Behind, c.behind, r.Findings)
			}
		})
	}
}

// An event and its outputs that come after the log's end was read are none of
// the comparison's business.
func TestEventsWrittenMeanwhile(t *testing.T) {
	w := newWorld(t)
	looked := false
	w.onBounds = func(topic string) {
		if topic != "notifications" || looked {
			return
		}
		looked = true
		w.event(0, namesOf(0)[0], "new", 70*second, `{"clue":"new","points":1}`)
		w.process(t, 0, events, events+1)
	}
	r, err := w.verify(t.Context())
	if err != nil || !looked || !r.Clean() {
		t.Fatalf("%v: %+v", err, r.Findings)
	}
}

// A view that moves is said to move: differences seen meanwhile mean nothing.
func TestMovingView(t *testing.T) {
	for _, c := range []struct {
		name string
		move func(w *world)
	}{
		{"moved", func(w *world) {
			w.metas[0].Applied++
			clear(w.states[0])
		}},
		{"gone, and begun again", func(w *world) { w.metas[0].Generation = "h" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.onMeta = func() { w.onMeta = nil; c.move(w) }
			r, err := w.verify(t.Context())
			if err != nil || countsOf(r) != (counts{unverifiable: 1}) || !strings.Contains(r.Findings[0].Sentence, verify.ErrMoving.Error()) {
				t.Fatalf("%v: %+v", err, r.Findings)
			}
		})
	}
}

func TestCancelledRunEnds(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.onBounds = func(topic string) {
		if topic == "rejected" {
			cancel()
		}
	}
	r, err := w.verify(ctx)
	if !errors.Is(err, context.Canceled) || len(r.Partitions) != 0 || r.Unverifiable != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
}
