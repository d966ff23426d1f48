package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/wire"
)

// Log is where events lie, by partition.
type Log interface {
	// Ends returns the offset behind the newest record of each partition.
	Ends(ctx context.Context) (map[int32]int64, error)
	// Read hands on a partition's records from ≤ offset < to, committed or not.
	Read(ctx context.Context, partition int32, from, to int64, fn func([]wire.Record) error) error
}

// Order tries whether what is sent to a gateway's public URL lies in the log in the
// order in which it was sent.
type Order struct {
	URL string
	Key string // the API key; empty: none
	Run string // tells this probe's events from those of others
	Log Log
}

// lateFor is how long an event that was taken is waited for in the log. It is there
// before its 202; what comes after it was taken by somebody else.
const lateFor = 2 * time.Second

// place is where an event lies.
type place struct {
	partition int32
	offset    int64
	time      string // by which it is ordered
}

// Check sends, reads back and judges.
func (o Order) Check(ctx context.Context) preflight.Finding {
	before, err := o.Log.Ends(ctx)
	if err != nil {
		return preflight.NotSeen(err, readFix)
	}
	all := (&sender{url: o.URL, key: o.Key, run: o.Run}).all(ctx)
	look := &back{log: o.Log, run: o.Run, from: before, found: map[string][]place{}}
	if err := look.read(ctx); err != nil {
		return preflight.NotSeen(fmt.Errorf("read the events back: %w", err), readFix)
	}
	late := look.missing(all)
	for until := time.Now().Add(lateFor); len(look.missing(all)) > 0 && time.Now().Before(until); {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return preflight.NotSeen(errors.New("the time was over before all events were read back"), "give it more with --timeout")
		}
		if err := look.read(ctx); err != nil {
			return preflight.NotSeen(fmt.Errorf("read the events back: %w", err), readFix)
		}
	}
	return judge(all, look.found, late)
}

const readFix = "run this where the brokers can be reached, as a user that may describe and read the topic of events"

// back reads what was sent back out of the log, forwards and each record once.
type back struct {
	log   Log
	run   string
	from  map[int32]int64
	found map[string][]place // by ID, in the order of the offsets
}

func (b *back) read(ctx context.Context) error {
	ends, err := b.log.Ends(ctx)
	if err != nil {
		return err
	}
	for partition, to := range ends {
		from, ok := b.from[partition]
		if !ok || from >= to {
			continue
		}
		err := b.log.Read(ctx, partition, from, to, func(records []wire.Record) error {
			for i := range records {
				b.take(partition, &records[i])
			}
			return nil
		})
		if err != nil {
			return err
		}
		b.from[partition] = to
	}
	return nil
}

func (b *back) take(partition int32, r *wire.Record) {
	if string(r.Key) != Participant || string(r.Header("ce_source")) != Source {
		return
	}
	if id := string(r.Header("ce_id")); strings.HasPrefix(id, b.run+"-") {
		b.found[id] = append(b.found[id], place{partition, r.Offset, string(r.Header("ce_time"))})
	}
}

// missing are the events that were taken and are not in the log.
func (b *back) missing(all []series) map[string]bool {
	out := map[string]bool{}
	for _, s := range all {
		for _, e := range s.events {
			if e.taken && len(b.found[e.id]) == 0 {
				out[e.id] = true
			}
		}
	}
	return out
}

// verdict gathers what is wrong, and what is only told.
type verdict struct {
	broken, odd, told []string
	apart             []string // how events came that were not waited for
	fixes             []string
}

func (v *verdict) fail(fix, format string, args ...any) {
	v.broken = append(v.broken, fmt.Sprintf(format, args...))
	if !slices.Contains(v.fixes, fix) {
		v.fixes = append(v.fixes, fix)
	}
}

// The remedies.
const (
	standInFix   = "let nothing between the URL and the gateways answer in their stead, queue or repeat requests; see that doctor.gateway_url leads to this deployment"
	clocksFix    = "let the clocks of the gateways agree (NTP on each of them), or give each event its own time"
	partitionFix = "one partitioner and one number of partitions (veltrix topics apply shows it) for every gateway behind the URL"
)

// judge holds what was sent against what lies in the log.
func judge(all []series, found map[string][]place, late map[string]bool) preflight.Finding {
	if f, none := refused(all); none {
		return f
	}
	var v verdict
	v.lost(all, found, late)
	v.partitions(found)
	for _, s := range all {
		if s.promised {
			v.order(s, found)
		} else {
			v.spaced(s, found)
		}
	}
	v.copies(found)
	v.unanswered(all)
	if len(v.apart) > 0 {
		v.told = append(v.told, "sent on connections of their own without waiting, which no order is promised for, out of order: "+strings.Join(v.apart, ", "))
	}
	v.told = append(v.told, served(all))
	expected := "each event once and in one partition, and those of one sender, each sent after the 202 of the one before or on one HTTP/1.1 connection, in the order in which they were sent"
	switch {
	case len(v.broken) > 0:
		return preflight.Failed(strings.Join(slices.Concat(v.broken, v.odd, v.told), "; "), expected, strings.Join(v.fixes, "; "))
	case len(v.odd) > 0:
		return preflight.Finding{
			State: preflight.Warn, Observed: strings.Join(slices.Concat(v.odd, v.told), "; "), Expected: expected, Fix: standInFix,
			Players: "nothing yet: what is repeated counts once, and what was not taken is sent again by its sender",
		}
	}
	return preflight.Passed(strings.Join(v.told, "; "))
}

// refused answers where too little was taken to judge by.
func refused(all []series) (preflight.Finding, bool) {
	most, stood := 0, 0
	answers := map[string]int{}
	first, status := "", 0
	for _, s := range all {
		taken := 0
		for _, e := range s.events {
			if e.taken {
				taken++
				continue
			}
			if e.status == http.StatusAccepted {
				stood++
			}
			if answers[answerText(e)]++; first == "" {
				first, status = e.said, e.status
			}
		}
		if s.promised {
			most = max(most, taken)
		}
	}
	if stood > 0 {
		return preflight.Failed(counted("202 without a gateway's receipt", stood), "a gateway's own answer, with the positions of what it took", standInFix), true
	}
	if most >= 2 {
		return preflight.Finding{}, false
	}
	return preflight.NotSeen(fmt.Errorf("the gateway's URL took too few events to judge by (%s): %s", tally(answers), first), refusalFix(status)), true
}

func refusalFix(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "set doctor.gateway_key_file to an API key that may send " + EventType + " from " + Source + " (veltrix keys add)"
	case http.StatusForbidden:
		return "let the key of doctor.gateway_key_file send " + EventType + " from " + Source + " (veltrix keys add … --source " + Source + " --type " + EventType + ")"
	case http.StatusUnprocessableEntity:
		return "the rules refuse event types that they do not declare: declare " + EventType + ", with no data and no rule"
	case http.StatusTooManyRequests:
		return fmt.Sprintf("give the key a rate of at least %d events a second", EventsMax)
	case 0:
		return "see that doctor.gateway_url can be reached from here"
	}
	return "see that doctor.gateway_url leads to a gateway: GET / of it lists what is there"
}

func answerText(e sent) string {
	if e.status == 0 {
		return "no answer"
	}
	return fmt.Sprint(e.status)
}

func tally(answers map[string]int) string {
	var parts []string
	for _, a := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, counted(a, answers[a]))
	}
	return strings.Join(parts, ", ")
}

// lost are those that have a 202 and are not in the log, or came after it.
func (v *verdict) lost(all []series, found map[string][]place, late map[string]bool) {
	taken, gone, after := 0, 0, 0
	for _, s := range all {
		for _, e := range s.events {
			switch {
			case !e.taken:
				continue
			case len(found[e.id]) == 0:
				gone++
			case late[e.id]:
				after++
			}
			taken++
		}
	}
	if gone > 0 {
		v.fail(standInFix, "%d of %d events that were answered 202 are not in the log", gone, taken)
	}
	if after > 0 {
		v.fail(standInFix, "%d of %d events came into the log after they were answered 202", after, taken)
	}
	v.told = append(v.told, fmt.Sprintf("%d events taken", taken))
}

// partitions of one participant are one.
func (v *verdict) partitions(found map[string][]place) {
	in := map[int32]int{}
	for _, places := range found {
		for _, p := range places {
			in[p.partition]++
		}
	}
	if len(in) < 2 {
		return
	}
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(in)) {
		parts = append(parts, fmt.Sprintf("%d in partition %d", in[p], p))
	}
	v.fail(partitionFix, "one participant's events lie in %d partitions (%s)", len(in), strings.Join(parts, ", "))
}

// order holds a series whose order is promised against the log, and against the
// times by which its events are ordered.
func (v *verdict) order(s series, found map[string][]place) {
	inLog, inTime, last, newest := 0, 0, place{offset: -1}, ""
	by := map[string]bool{}
	placed := 0
	for _, e := range s.events {
		if !e.taken || len(found[e.id]) == 0 {
			continue
		}
		placed++
		p := found[e.id][0]
		if p.partition == last.partition && p.offset < last.offset {
			inLog++
		} else {
			last = p
		}
		if compareTimes(p.time, newest) < 0 {
			inTime++
			by[e.instance] = true
		} else {
			newest = p.time
		}
	}
	if inLog > 0 {
		v.fail(standInFix, "%s: %d of %d events lie in the log before one that was sent before them", s.name, inLog, placed)
	}
	if inTime > 0 {
		v.fail(clocksFix, "%s: %d of %d events were stamped with a time before that of one that was sent before them, by %s",
			s.name, inTime, placed, strings.Join(slices.Sorted(maps.Keys(by)), ", "))
	}
	if inLog == 0 && inTime == 0 && placed > 0 {
		v.told = append(v.told, fmt.Sprintf("%s (%d used): %d in order", s.name, s.connections, placed))
	}
}

// compareTimes compares two times as they are written in records; none is the oldest.
func compareTimes(a, b string) int {
	at, _ := time.Parse(time.RFC3339Nano, a)
	bt, _ := time.Parse(time.RFC3339Nano, b)
	return at.Compare(bt)
}

// spaced tells how events came that nobody promised an order for.
func (v *verdict) spaced(s series, found map[string][]place) {
	turned, placed, last := 0, 0, int64(-1)
	for _, e := range s.events {
		if len(found[e.id]) == 0 {
			continue
		}
		placed++
		if at := found[e.id][0].offset; at < last {
			turned++
		} else {
			last = at
		}
	}
	if placed > 0 {
		v.apart = append(v.apart, fmt.Sprintf("%s %d of %d", s.name, turned, placed))
	}
}

// copies were sent once, and lie in the log more than once.
func (v *verdict) copies(found map[string][]place) {
	twice := 0
	for _, places := range found {
		if len(places) > 1 {
			twice++
		}
	}
	if twice > 0 {
		v.odd = append(v.odd, fmt.Sprintf("%d events lie in the log more than once, although each was sent once: something repeats requests", twice))
	}
}

// unanswered were not taken, where others were.
func (v *verdict) unanswered(all []series) {
	answers := map[string]int{}
	total, cut := 0, 0
	for _, s := range all {
		for _, e := range s.events {
			switch {
			case e.taken:
			case s.name == burst && e.status == 0:
				cut++
			default:
				answers[answerText(e)]++
				total++
			}
		}
	}
	if cut > 0 { // a proxy may end a connection on which requests come before their answers
		v.told = append(v.told, fmt.Sprintf("%s: %d were not answered, so what is before the gateways takes one request at a time", burst, cut))
	}
	if total > 0 {
		v.odd = append(v.odd, fmt.Sprintf("%d events were not answered 202 (%s)", total, tally(answers)))
	}
}

// served says which gateways answered.
func served(all []series) string {
	by := map[string]int{}
	for _, s := range all {
		for _, e := range s.events {
			if e.instance != "" {
				by[e.instance]++
			}
		}
	}
	if len(by) == 0 {
		return "no answer names its gateway (Veltrix-Instance)"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, counted(name, by[name]))
	}
	return "served by " + strings.Join(parts, ", ")
}
