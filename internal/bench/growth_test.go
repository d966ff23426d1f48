package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
)

// courseOf returns how a point of a dimension is run.
func courseOf(t *testing.T, name string, events int64, points []int, at int) *course {
	t.Helper()
	for _, d := range dimensions {
		if d.name == name {
			d.points = points
			c, err := d.course(app.Runtime{Config: config.Default()}, events, at)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatalf("no dimension %s", name)
	return nil
}

// TestTailsAreAsLongAsTheySay folds each tail's events and looks at the histories.
func TestTailsAreAsLongAsTheySay(t *testing.T) {
	const events = 4000
	for _, at := range []int{1, 2, 16, 64} {
		c := courseOf(t, "tail", events, []int{1, 64}, at)
		if want := events / (fillings * 64); c.workload.Participants != want || c.rt.Config.Processor.CommitRecords != config.Default().Processor.CommitRecords*want/coreParticipants {
			t.Errorf("tail %d: %d participants and commits of %d records", at, c.workload.Participants, c.rt.Config.Processor.CommitRecords)
		}
		program, err := c.workload.Program()
		if err != nil {
			t.Fatal(err)
		}
		oracle, offset, longest, sum := fold.NewOracle(fold.New(program, 1), 0), int64(0), 0, 0
		err = c.workload.Each(1, func(r *kgo.Record) error {
			r.Offset, r.Timestamp = offset, began.AddDate(1, 0, 0)
			offset++
			_, err := oracle.Feed(&kafkalog.Records([]*kgo.Record{r})[0])
			open := len(oracle.State(string(r.Key)).Tail)
			longest, sum = max(longest, open), sum+open
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if applied := oracle.Fates()[participant.Applied]; longest != at || applied != events {
			t.Errorf("tail %d: the longest has %d events; %d of %d are applied", at, longest, applied, events)
		}
		if mean := float64(sum) / events; math.Abs(mean-c.along) > 1e-9 {
			t.Errorf("tail %d: the mean is %f, the slope is along %f", at, mean, c.along)
		}
	}
}

// TestRulesAreAsManyAsTheySay, and the first point's are core's own. The state is
// core's at every point.
func TestRulesAreAsManyAsTheySay(t *testing.T) {
	core, err := NewWorkload("core", 1, 1, Structured)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := core.Program()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{1, 2, 10, 50, rulesMost} {
		program, err := courseOf(t, "rules", 1000, []int{at}, at).workload.Program()
		if err != nil {
			t.Fatalf("%d rules: %v", at, err)
		}
		of := map[string]int{}
		for _, o := range program.(*rules.Program).Outlines() {
			for _, on := range o.On {
				of[on]++
			}
		}
		if of["player.walked"] != at || of["clue.found"] != at || len(of) != 2 {
			t.Errorf("%d rules for an event: %v", at, of)
		}
		if at == 1 && program.Schema().Digest != plain.Schema().Digest {
			t.Error("one rule for an event is not core")
		}
		if len(program.Schema().Slots) != len(plain.Schema().Slots) {
			t.Errorf("%d rules: %d slots", at, len(program.Schema().Slots))
		}
	}
}

func TestUnusableGrowth(t *testing.T) {
	rt := app.Runtime{Config: config.Default()}
	for want, change := range map[string]func(*GrowthOptions){
		"rounds":           func(o *GrowthOptions) { o.Rounds = 0 },
		"warm up":          func(o *GrowthOptions) { o.Warmups = -1 },
		`"width"; there`:   func(o *GrowthOptions) { o.Dimensions = []string{"width"} },
		"name it":          func(o *GrowthOptions) { o.Points = []int{1} },
		"not 0":            func(o *GrowthOptions) { o.Dimensions, o.Points = []string{"rules"}, []int{0} },
		"1 to 256":         func(o *GrowthOptions) { o.Dimensions, o.Points = []string{"tail"}, []int{257} },
		"512 or more":      func(o *GrowthOptions) { o.Dimensions, o.Points = []string{"tail"}, []int{2, 128} },
		"1 event or more":  func(o *GrowthOptions) { o.Events = 0 },
		"redis.cluster":    func(o *GrowthOptions) { o.Dimensions, rt.Config.Redis.Cluster = []string{"rules"}, true },
		"1 to 1000, not 2": func(o *GrowthOptions) { o.Dimensions, o.Points = []string{"partitions"}, []int{2000} },
	} {
		rt.Config.Redis.Cluster = false
		opts := GrowthOptions{Events: 100, Rounds: 1}
		change(&opts)
		err := growable(t, rt, opts)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// growable returns why a growth is refused before anything is contacted.
func growable(t *testing.T, rt app.Runtime, opts GrowthOptions) error {
	t.Helper()
	plan, err := opts.plan()
	for _, d := range plan {
		for _, at := range d.points {
			if _, wrong := d.course(rt, opts.Events, at); wrong != nil {
				return wrong
			}
		}
	}
	if err != nil || !rt.Config.Redis.Cluster {
		return err
	}
	_, err = Growth(t.Context(), rt, opts)
	return err
}

// TestGrowthEndToEnd takes small points of each dimension through all of the way: the
// figures mean nothing.
func TestGrowthEndToEnd(t *testing.T) {
	points := map[string][]int{"participants": {20, 200}, "partitions": {2, 5}, "tail": {2, 8}, "rules": {1, 3}}
	for _, name := range Dimensions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt, redis, adm := world(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			r, err := Growth(ctx, rt, GrowthOptions{Dimensions: []string{name}, Points: points[name], Events: 2000, Rounds: 2, Warmups: 1, Progress: t.Logf})
			if err != nil {
				t.Fatal(err)
			}
			if v := r.Verified; v.Rounds != 4 || v.Events != 8000 || v.Outputs != 800 || v.States < 4*20 {
				t.Errorf("compared %+v", v)
			}
			empty(t, redis, adm)
			grown(t, r, points[name])
		})
	}
}

// grown checks the figures of a report on one dimension, and its faces.
func grown(t *testing.T, r *GrowthReport, points []int) {
	t.Helper()
	figures, slope := r.Figures(r.Dimensions[0])
	if len(figures) != 2 || slope == nil || slope.Broker != nil || slope.Redis != nil {
		t.Fatalf("%d figures, slope %+v", len(figures), slope)
	}
	for i, f := range figures {
		if f.At != points[i] || len(f.Rounds) != 2 || !(f.EventsPerS > 0) || !(f.OwnNanos > 0) || f.Together != f.OwnNanos || f.BrokerNanos != nil {
			t.Errorf("%+v", f)
		}
		// Miniredis does not say it; the cache is not told of rounds that are too short.
		if f.RedisBytes != nil || f.CacheBytes != nil && (*f.CacheBytes < 200 || *f.CacheBytes > 100_000) {
			t.Errorf("a participant takes %s B in Redis and %s in the cache", orNone(f.RedisBytes), orNone(f.CacheBytes))
		}
	}
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Dimensions []struct {
			Name   string
			Points []map[string]any
			Slope  map[string]any
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || len(got.Dimensions) != 1 || len(got.Dimensions[0].Points) != 2 ||
		got.Dimensions[0].Points[1]["at"] != float64(points[1]) || got.Dimensions[0].Slope["per"] == nil || got.Dimensions[0].Points[0]["broker_cpu_ns_per_event"] != nil {
		t.Errorf("JSON: %v: %s", err, b.String())
	}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("a\n<!-- bench growth: begin -->\nearlier\n<!-- bench growth: end -->\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePage(page, "veltrix bench growth"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "$ veltrix bench growth\nworkload   core: 2,000") || strings.Contains(string(text), "earlier") || !strings.Contains(string(text), "An event takes ") {
		t.Errorf("the page says %s, %v", text, err)
	}
	html, err := r.HTML("veltrix bench growth")
	if err != nil {
		t.Fatal(err)
	}
	sound(t, html, 3)
}

// TestNoGrowthWithoutTheFold damages a state behind the processor's back.
func TestNoGrowthWithoutTheFold(t *testing.T) {
	rt, redis, adm := world(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go damage(ctx, redis)
	r, err := Growth(ctx, rt, GrowthOptions{Dimensions: []string{"rules"}, Points: []int{1, 2}, Events: 3000, Rounds: 1, Progress: t.Logf})
	var dirty *DirtyError
	if r != nil || !errors.As(err, &dirty) {
		t.Fatalf("a report: %t, error: %v", r != nil, err)
	}
	empty(t, redis, adm)
}

// TestCacheThatHoldsNotAllIsNoFigure: what is cached is then not of all participants.
func TestCacheThatHoldsNotAllIsNoFigure(t *testing.T) {
	started := window(1000, time.Second, false)
	started.WithStart = true
	for name, c := range map[string]struct {
		w      Window
		states int64
		held   cached
	}{
		"evicted":    {window(1000, time.Second, false), 10, cached{bytes: 20_000, evicted: 1}},
		"start":      {started, 10, cached{bytes: 20_000}},
		"few events": {window(1000, time.Second, false), 400, cached{bytes: 20_000}},
	} {
		p := &GrowthPoint{Result: Result{Name: "participants 10"}, At: 10, Along: 10}
		p.take(c.w, c.states, 460*c.states, c.held)
		r := &GrowthReport{Events: 1000, Processor: Settings{CacheBytes: 1 << 20}, Dimensions: []*Grown{{Name: "participants", Unit: "participant", Points: []*GrowthPoint{p}}}}
		figures, slope := r.Figures(r.Dimensions[0])
		if f := figures[0]; f.CacheBytes != nil || f.RedisBytes == nil || *f.RedisBytes != 460 || slope != nil {
			t.Errorf("%s: %+v, %+v", name, f, slope)
		}
		if notes := strings.Join(r.notes(), "\n"); !strings.Contains(notes, "participants 10: not all participants were in the cache at the end (processor.cache_bytes is 1 MiB") {
			t.Errorf("%s: notes: %s", name, notes)
		}
		p.take(window(1000, time.Second, false), 10, -1, cached{bytes: 20_000})
		if figures, _ := r.Figures(r.Dimensions[0]); *figures[0].CacheBytes != 2000 || len(p.RedisBytes) != 1 {
			t.Errorf("%s: %+v", name, figures[0])
		}
		if notes := strings.Join(r.notes(), "\n"); !strings.Contains(notes, "participants 10: Redis did not say") {
			t.Errorf("%s: notes: %s", name, notes)
		}
	}
}

// TestCacheIsOfAllThatWasFolded: what slots published before the end is not taken.
func TestCacheIsOfAllThatWasFolded(t *testing.T) {
	views := []*engine.View{
		{Status: []engine.Status{{Applied: 30}, {Applied: 20}}, CacheBytes: 500},
		nil,
		{Status: []engine.Status{{Applied: 50}}, CacheBytes: 400, Counts: engine.Counts{Evicted: 3}},
	}
	if held, done := published(views, 100); !done || held != (cached{bytes: 900, evicted: 3}) {
		t.Errorf("at the end: %+v, %t", held, done)
	}
	if _, done := published(views, 101); done {
		t.Error("an event is missing, and the cache is taken for whole")
	}
}
