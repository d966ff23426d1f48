package ingest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/veltrix/veltrix/internal/trail"
	"github.com/veltrix/veltrix/internal/wire"
)

// TrailReader tells what became of events; trail.Teller is one.
type TrailReader interface {
	Find(ctx context.Context, partition int32, offset int64) (*trail.Entry, int64, error)
	Trail(ctx context.Context, who string, w trail.Window, progress func(records int64)) (*trail.Trail, error)
}

// trailRecords bounds the records of a partition that one request for a
// participant's trail looks through.
const trailRecords = 20_000

// statusPath is where an event's status is shown.
func statusPath(at Position) string {
	return "/v1/events/" + strconv.Itoa(int(at.Partition)) + "/" + strconv.FormatInt(at.Offset, 10)
}

// trailPath is where a participant's events are shown.
func trailPath(who string) string { return "/v1/participants/" + url.PathEscape(who) + "/events" }

// statusView answers GET /v1/events/{partition}/{offset}.
type statusView struct {
	*trail.Entry
	// Committed is up to where the processors have committed the partition; nil
	// where that is not known now, which Note says.
	Committed *int64 `json:"committed"`
	// InState says whether the state that is shown contains it; nil where that is
	// not known.
	InState *bool  `json:"in_state"`
	Note    string `json:"note,omitempty"`
}

func (g *Gateway) getStatus(w http.ResponseWriter, r *http.Request) {
	_, key, bad := g.authorize(r)
	partition, err1 := strconv.ParseInt(r.PathValue("partition"), 10, 32)
	offset, err2 := strconv.ParseInt(r.PathValue("offset"), 10, 64)
	if bad == nil && (err1 != nil || err2 != nil) {
		bad = &refusal{name: problemRequest, detail: "an event's place is two numbers: /v1/events/PARTITION/OFFSET"}
	}
	if bad != nil {
		bad.write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.o.Timeout)
	defer cancel()
	entry, committed, err := g.o.Trail.Find(ctx, int32(partition), offset)
	switch {
	case errors.Is(err, trail.ErrUnknown):
		bad = &refusal{name: problemNotFound, detail: "there is no event at this place: it is in the answer to the request that brought it"}
	case errors.Is(err, trail.ErrGone):
		bad = &refusal{name: problemNotFound, detail: "the event at this place is older than the log"}
	case entry == nil:
		g.o.Logger.Warn("an event's status cannot be read", "partition", partition, "offset", offset, "error", err)
		bad = &refusal{name: problemUnavailable, retryAfter: 2, detail: "the log cannot be read now; what was accepted is in it"}
	case !mayFollow(key, entry):
		bad = &refusal{name: problemForbidden, detail: "the key " + key.Name + " may follow the events that it may send: make one with veltrix keys add --read for others"}
	}
	if bad != nil {
		bad.write(w)
		return
	}
	view := statusView{Entry: entry}
	if err == nil {
		view.Committed = &committed
	} else {
		// It is in the log, whatever the rest of the pipeline is at.
		g.o.Logger.Warn("an event's outcome cannot be read", "partition", partition, "offset", offset, "error", err)
		*entry = trail.Entry{Partition: entry.Partition, Offset: entry.Offset, Arrived: entry.Arrived, Event: entry.Event, Status: trail.Accepted}
		view.Note = "it is in the log; whether it was processed cannot be read now: ask again"
	}
	switch {
	case key != nil && !key.Read:
		for i := range entry.Notifications {
			entry.Notifications[i].Title = "" // it may tell the state
		}
	case err == nil:
		view.InState = g.inState(ctx, entry)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, view)
}

// mayFollow says whether a key may see an event's status: it may read, or send
// such events itself.
func mayFollow(key *Key, e *trail.Entry) bool {
	return key == nil || key.Read || key.allows(&wire.CloudEvent{Source: e.Event.Source, Type: e.Event.Type}) == nil
}

// inState says whether the state of the event's participant is of a later offset.
func (g *Gateway) inState(ctx context.Context, e *trail.Entry) *bool {
	if g.o.States == nil || e.Event.Participant == "" {
		return nil
	}
	p, err := g.o.States.Participant(ctx, e.Event.Participant)
	if err != nil || p == nil || p.Partition != e.Partition {
		return nil
	}
	in := e.Status == trail.Applied && p.Applied > e.Offset
	return &in
}

// trailView answers GET /v1/participants/{id}/events.
type trailView struct {
	*trail.Trail
	// Older is where the records before these are, where there are any.
	Older string `json:"older,omitempty"`
}

func (g *Gateway) getTrail(w http.ResponseWriter, r *http.Request) {
	bad := g.mayRead(r)
	id := r.PathValue("id")
	if bad == nil && !validParticipant(id) {
		bad = &refusal{name: problemRequest, detail: participantRule}
	}
	window := trail.Window{Records: trailRecords}
	if bad == nil {
		window.Before, bad = parseBefore(r.URL.RawQuery)
	}
	if bad != nil {
		bad.write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.o.Timeout)
	defer cancel()
	found, err := g.o.Trail.Trail(ctx, id, window, nil)
	if err != nil {
		g.o.Logger.Warn("a trail cannot be read", "participant", id, "error", err)
		(&refusal{name: problemUnavailable, retryAfter: 2, detail: "the log cannot be read now; events are accepted all the same"}).write(w)
		return
	}
	view := trailView{Trail: found}
	if found.From > found.Start {
		view.Older = trailPath(id) + "?before=" + strconv.FormatInt(found.From, 10)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, view)
}

func parseBefore(raw string) (int64, *refusal) {
	values, err := url.ParseQuery(raw)
	before := int64(0)
	if err == nil && values.Has("before") {
		before, err = strconv.ParseInt(values.Get("before"), 10, 64)
	}
	if err != nil || before < 0 || values.Has("before") && (before == 0 || len(values["before"]) > 1) || len(values) > 1 || len(values) == 1 && !values.Has("before") {
		return 0, &refusal{name: problemRequest, detail: "the one parameter here is before, an offset above 0"}
	}
	return before, nil
}
