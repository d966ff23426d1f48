package ingest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Options make a Gateway. The limits have no defaults here: config has them.
type Options struct {
	Appender Appender
	States   StateReader // nil: this gateway has no rules to read states by
	Boards   BoardReader // nil: nor leaderboards
	Trail    TrailReader // nil: nor what became of events
	// Schema is the rules' contract; nil checks envelopes and JSON only.
	Schema *participant.Schema
	// Keys returns the keys that are in force now; nil: everybody may do everything.
	Keys func() *Keys
	Limits
	// Follow returns the limits that are in force now, where they may change (Limits).
	Follow           func() Limits
	InflightBytesMax int64 // of all bodies that are held
	// Timeout bounds reading a body, and then appending it.
	Timeout time.Duration
	// Instance tells this gateway from the others behind one address: each answer
	// names it. Empty: none does.
	Instance string
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: silent
	Metrics  Metrics
}

// InstanceHeader names the gateway that answered.
const InstanceHeader = "Veltrix-Instance"

// Limits bound one request.
type Limits struct {
	RequestBytesMax int64 // of its body, decoded
	BatchEventsMax  int
}

// limits are those in force now.
func (g *Gateway) limits() Limits {
	if g.o.Follow == nil {
		return g.o.Limits
	}
	return g.o.Follow()
}

// Gateway is the HTTP side of ingest.
type Gateway struct {
	o      Options
	mux    *http.ServeMux
	clock  *clock
	budget budget
}

// New returns a gateway.
func New(o Options) *Gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{o: o, mux: http.NewServeMux(), clock: &clock{now: o.Now}}
	g.budget.max, g.budget.told = o.InflightBytesMax, g.o.Metrics.inflight
	g.mux.HandleFunc("POST /v1/events", g.postEvents)
	g.mux.HandleFunc("GET /v1/participants/{id}", g.getParticipant)
	g.mux.HandleFunc("GET /v1/leaderboards/{name}", g.getLeaderboard)
	if o.Trail != nil {
		g.mux.HandleFunc("GET /v1/events/{partition}/{offset}", g.getStatus)
		g.mux.HandleFunc("GET /v1/participants/{id}/events", g.getTrail)
		g.mux.HandleFunc("/v1/events/{partition}/{offset}", notAllowed("GET, HEAD"))
		g.mux.HandleFunc("/v1/participants/{id}/events", notAllowed("GET, HEAD"))
	}
	g.mux.HandleFunc("GET /{$}", help)
	g.mux.HandleFunc("/v1/events", notAllowed("POST"))
	g.mux.HandleFunc("/v1/participants/{id}", notAllowed("GET, HEAD"))
	g.mux.HandleFunc("/v1/leaderboards/{name}", notAllowed("GET, HEAD"))
	g.mux.HandleFunc("/{$}", notAllowed("GET, HEAD"))
	g.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		(&refusal{name: problemNotFound, detail: "GET / lists what is here"}).write(w)
	})
	return g
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.o.Instance != "" {
		w.Header().Set(InstanceHeader, g.o.Instance)
	}
	g.mux.ServeHTTP(w, r)
}

func notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		(&refusal{name: problemMethod, detail: "use " + allow, allow: allow}).write(w)
	}
}

// receipt answers a request that was accepted, in whole or in part.
type receipt struct {
	Accepted int `json:"accepted"`
	// Positions are those of the accepted events, in the order of the request.
	Positions []Position `json:"positions"`
	Refused   int        `json:"refused,omitempty"`
	Errors    []Fault    `json:"errors,omitempty"`
}

func (g *Gateway) postEvents(w http.ResponseWriter, r *http.Request) {
	// A slow sender must not hold its part of the budget for ever. Servers
	// without deadlines, such as a test's recorder, are served all the same.
	keys, key, bad := g.authorize(r)
	if bad != nil {
		g.o.Metrics.refused(bad.name, 1)
		unread(w, r)
		bad.write(w)
		return
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(g.o.Timeout))
	body, release, bad := g.body(w, r)
	defer release()
	if bad != nil {
		// The deadline stays: the server may read on, to the body's end, before
		// it closes the connection.
		g.o.Metrics.refused(bad.name, 1)
		unread(w, r)
		bad.write(w)
		return
	}
	_ = deadline.SetReadDeadline(time.Time{})
	partial, bad := wantsPartial(r)
	var items []item
	if bad == nil {
		items, bad = g.split(r, body)
	}
	if bad != nil {
		g.o.Metrics.refused(bad.name, 1)
		bad.write(w)
		return
	}
	records, faults := g.prepare(items, r.Header.Get("Traceparent"), key)
	if len(faults) > 0 && (!partial || len(records) == 0) {
		bad = &refusal{name: problemEvents, detail: summary(len(faults), len(items)), faults: faults}
		if !slices.ContainsFunc(faults, func(f Fault) bool { return f.Fate != "" }) {
			bad.name = problemForbidden
		}
		g.o.Metrics.refused(bad.name, len(items))
		bad.write(w)
		return
	}
	if key != nil {
		if wait := keys.take(key, len(records), g.o.Now()); wait > 0 {
			g.o.Metrics.refused(problemRate, len(items))
			(&refusal{name: problemRate, retryAfter: wait, detail: "the key " + key.Name + " may send " + strconv.Itoa(key.Rate) + " events a second: send the request again, unchanged"}).write(w)
			return
		}
	}
	positions, bad := g.append(r.Context(), records)
	release() // before the answer: whoever has it may send the next at once
	if bad != nil {
		g.o.Metrics.refused(bad.name, len(items))
		bad.write(w)
		return
	}
	g.o.Metrics.accepted(len(records))
	g.o.Metrics.refused(problemEvents, len(faults))
	if at := g.location(records, positions); at != "" {
		w.Header().Set("Location", at)
	}
	w.Header().Set("Content-Type", "application/json")
	status := http.StatusAccepted
	if len(faults) > 0 {
		status = http.StatusMultiStatus
	}
	w.WriteHeader(status)
	writeJSON(w, receipt{Accepted: len(records), Positions: positions, Refused: len(faults), Errors: faults})
}

// unread says that the rest of a request is not read. That ends a connection of
// HTTP/1; on one of HTTP/2 it ends the stream, and what is beside it goes on.
func unread(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor < 2 {
		w.Header().Set("Connection", "close")
	}
}

// wantsPartial says whether the good events are to be taken where others are
// bad. Whoever misspells what they want is told, and not guessed at.
func wantsPartial(r *http.Request) (bool, *refusal) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return false, &refusal{name: problemRequest, detail: "the query is malformed: the one parameter here is partial, true or false"}
	}
	switch values := query["partial"]; {
	case len(values) == 0, len(values) == 1 && values[0] == "false":
		return false, nil
	case len(values) == 1 && values[0] == "true":
		return true, nil
	}
	return false, &refusal{name: problemRequest, detail: "the parameter partial is true or false, and given once"}
}

func summary(faults, events int) string {
	if events == 1 {
		return "the event is not acceptable"
	}
	return strconv.Itoa(faults) + " of " + strconv.Itoa(events) + " events are not acceptable: correct them and send all again, or send with ?partial=true"
}

// authorize finds the request's key, which is nil where none is asked for.
func (g *Gateway) authorize(r *http.Request) (*Keys, *Key, *refusal) {
	if g.o.Keys == nil {
		return nil, nil, nil
	}
	keys := g.o.Keys()
	key, err := keys.find(r.Header.Get("Authorization"))
	if err != nil {
		return nil, nil, &refusal{name: problemNoKey, detail: err.Error()}
	}
	return keys, key, nil
}

// prepare makes records of what is acceptable. A request's trace is that of
// the events that have none. A nil key allows everything.
func (g *Gateway) prepare(items []item, trace string, key *Key) ([]wire.Record, []Fault) {
	p := preparer{schema: g.o.Schema, clock: g.clock}
	records := make([]wire.Record, 0, len(items))
	var faults []Fault
	for i := range items {
		it := &items[i]
		if it.ce.TraceParent == "" {
			it.ce.SetTraceParent(trace)
		}
		var record wire.Record
		if it.bad == nil {
			record, it.bad = p.record(&it.ce)
		}
		if it.bad != nil {
			faults = append(faults, Fault{Line: it.line, Field: it.bad.Field, Reason: it.bad.Reason, Fate: it.bad.Fate.String()})
			continue
		}
		if key != nil {
			if not := key.allows(&it.ce); not != nil {
				faults = append(faults, Fault{Line: it.line, Field: not.Field, Reason: not.Reason})
				continue
			}
		}
		records = append(records, record)
	}
	return records, faults
}

// append hands the records to the log. A client that goes away does not stop
// what has begun.
func (g *Gateway) append(ctx context.Context, records []wire.Record) ([]Position, *refusal) {
	if len(records) == 0 {
		return []Position{}, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.o.Timeout)
	defer cancel()
	start := time.Now()
	positions, err := g.o.Appender.Append(ctx, records)
	if err == nil {
		g.o.Metrics.appended(time.Since(start))
		return positions, nil
	}
	g.o.Logger.Warn("events were not acknowledged", "events", len(records), "error", err)
	if errors.Is(err, ErrTooLarge) {
		return nil, &refusal{name: problemTooLarge, detail: "an event is larger than the brokers take: put what is large elsewhere and send a reference"}
	}
	return nil, &refusal{name: problemUnavailable, retryAfter: 2, detail: "the brokers did not acknowledge all events: send the request again, unchanged. " +
		"Those that arrived all the same are recognised by source and id"}
}

// location returns where it is shown what becomes of the records: of one its
// status, of several of one participant the participant's trail.
func (g *Gateway) location(records []wire.Record, positions []Position) string {
	if g.o.Trail == nil {
		return ""
	}
	if len(positions) == 1 {
		return statusPath(positions[0])
	}
	if who := sole(records); who != "" {
		return trailPath(who)
	}
	return ""
}

// sole returns the participant that all records belong to, or nothing.
func sole(records []wire.Record) string {
	for i := range records {
		if string(records[i].Key) != string(records[0].Key) {
			return ""
		}
	}
	if len(records) == 0 {
		return ""
	}
	return string(records[0].Key)
}

// participantView answers GET /v1/participants/{id}.
type participantView struct {
	Participant string         `json:"participant"`
	State       map[string]any `json:"state"`
	Position    struct {
		Partition int32 `json:"partition"`
		Applied   int64 `json:"applied"`
		AsOf      int64 `json:"as_of"`
	} `json:"position"`
	Floor any `json:"floor"`
}

// mayRead refuses a request whose key may not read.
func (g *Gateway) mayRead(r *http.Request) *refusal {
	_, key, bad := g.authorize(r)
	if bad == nil && key != nil && !key.Read {
		bad = &refusal{name: problemForbidden, detail: "the key " + key.Name + " may not read states: make one with veltrix keys add --read"}
	}
	return bad
}

var participantRule = "a participant's name has 1 to " + strconv.Itoa(wire.ParticipantBytesMax) + " bytes of UTF-8"

func validParticipant(id string) bool {
	return id != "" && len(id) <= wire.ParticipantBytesMax && utf8.ValidString(id)
}

func (g *Gateway) getParticipant(w http.ResponseWriter, r *http.Request) {
	if bad := g.mayRead(r); bad != nil {
		bad.write(w)
		return
	}
	id := r.PathValue("id")
	if !validParticipant(id) {
		(&refusal{name: problemRequest, detail: participantRule}).write(w)
		return
	}
	if g.o.States == nil {
		(&refusal{name: problemNoRules, detail: "start it with the deployment's rules file: it says how to read them"}).write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.o.Timeout)
	defer cancel()
	p, err := g.o.States.Participant(ctx, id)
	if err != nil {
		g.o.Logger.Warn("a state cannot be read", "participant", id, "error", err)
		(&refusal{name: problemUnavailable, retryAfter: 2, detail: "the states cannot be read now; events are accepted all the same"}).write(w)
		return
	}
	if p == nil {
		(&refusal{name: problemUnknown, detail: "no event of this participant has been applied"}).write(w)
		return
	}
	view := participantView{Participant: id, State: p.State, Floor: p.Floor}
	view.Position.Partition, view.Position.Applied, view.Position.AsOf = p.Partition, p.Applied, p.AsOf
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, view)
}

const helpText = `Veltrix takes events here, and tells what became of them.

POST /v1/events               a CloudEvent; 202 when all replicas have it
GET  /v1/events/{partition}/{offset}
                              what became of it: the Location of the 202
GET  /v1/participants/{id}    a participant's state, and how far it is
GET  /v1/participants/{id}/events
                              its latest events, and what became of each
GET  /v1/leaderboards/{name}  who leads (?top=10), or who is next to one
                              (?around=ada&near=5)

  curl -i http://HOST/v1/events -H 'Content-Type: application/cloudevents+json' -d '
    {"specversion":"1.0","id":"1","source":"/me","type":"clue.found",
     "partitionkey":"ada","data":{"clue":"anchor"}}'

Several at once: a JSON array as application/cloudevents-batch+json, or one on
each line as application/x-ndjson. One bad event refuses all of a request, and
the answer lists every one; ?partial=true takes the others.
`

func help(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(helpText))
}
