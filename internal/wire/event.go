package wire

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/veltrix/veltrix/internal/participant"
)

// Limits of an event's envelope, in bytes.
const (
	ParticipantBytesMax = 256
	AttributeBytesMax   = 1024 // each of id, source, type, sequence
)

// Headers of event records beside the CloudEvents attributes.
const (
	// HeaderTime with the value TimeByGateway marks a time that the gateway
	// stamped: it orders the event and is no part of its content.
	HeaderTime    = "veltrix-time"
	TimeByGateway = "gateway"
	// HeaderReroutedFrom names the partition/offset that a record was copied
	// from, because its key belongs to another partition.
	HeaderReroutedFrom = "veltrix-rerouted-from"
	// HeaderLoaded names the file/line that a record was loaded from, where the
	// load is one that can be continued. It is no part of the event.
	HeaderLoaded = "veltrix-loaded"

	headerContentType = "content-type"
	headerTrace       = "traceparent"
	contentTypeJSON   = "application/json"
	contentTypeEvent  = "application/cloudevents+json"
)

// Problem is what is wrong with an event. Field names the attribute, or the
// data's field as "data.name"; it is empty where no single one is at fault.
type Problem struct {
	participant.Rejection
	Field string
}

func problem(fate participant.Fate, field, reason string) *Problem {
	return &Problem{participant.Rejection{Fate: fate, Reason: reason}, field}
}

// DecodeEvent reads a record of the events topic into e, whose memory it
// reuses; what it stores there outlives the record, and the texts also the next
// use of e, unless e.Texts has room for them. It is nil when the event
// is ready to fold, or the record's fate: too-large, malformed, no-participant
// or schema. On a rejection, e holds what could be read of its identity,
// participant, type and trace. A nil schema declares no types.
func DecodeEvent(r *Record, schema *participant.Schema, e *participant.Event) *participant.Rejection {
	if p := CheckEvent(r, schema, e); p != nil {
		return &p.Rejection
	}
	return nil
}

// CheckEvent is DecodeEvent for whoever wants to know which field is at fault.
func CheckEvent(r *Record, schema *participant.Schema, e *participant.Event) *Problem {
	clear(e.Fields)
	*e = participant.Event{
		Texts: e.Texts[:0], Fields: e.Fields[:0], TypeIndex: -1, Time: r.Timestamp,
		Arrival: participant.Arrival{Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp},
	}
	v := envelope{schema: schema, event: e}
	v.structured = v.readHeaders(r)
	p := v.tooLarge(r, schema)
	if p == nil && v.structured {
		p = v.readValue(r.Value)
	}
	if !v.structured {
		v.data = r.Value
	}
	stranger := v.identify(r.Key, e)
	if p == nil {
		p = v.incomplete(e, r)
	}
	if p != nil {
		clear(e.Fields)
		e.Packed = ""
		return p
	}
	if schema != nil {
		if e.TypeIndex = schema.TypeIndex(e.Type); e.TypeIndex >= 0 {
			e.Type = schema.Types[e.TypeIndex].Name
		}
	}
	if p = v.readData(schema, e); p != nil && p.Fate == participant.Malformed {
		return p
	}
	if stranger != nil {
		return stranger
	}
	return p
}

// envelope holds an event's attributes as bytes of its record; nil is absent.
type envelope struct {
	structured                         bool
	spec, id, source, kind             []byte
	time, key, sequence, trace, format []byte
	data                               []byte
	base64                             bool // data came as data_base64

	// Where a structured event says its type before its data, its fields are read
	// into event as they are met: read, and whether with white space.
	schema       *participant.Schema
	event        *participant.Event
	read, spaced bool
}

// readHeaders takes the attributes of binary mode, and says whether the record
// is in structured mode instead.
func (v *envelope) readHeaders(r *Record) (structured bool) {
	for i := range r.Headers {
		h := &r.Headers[i]
		if h.Key == headerTrace && v.trace == nil {
			v.trace = h.Value
			continue
		}
		name, ok := strings.CutPrefix(h.Key, "ce_")
		if !ok {
			if strings.EqualFold(h.Key, headerContentType) {
				v.format = h.Value
			}
			continue
		}
		if at := v.attribute(name); at != nil {
			*at = h.Value
		}
	}
	if !strings.HasPrefix(mediaType(v.format), "application/cloudevents") {
		return false
	}
	*v = envelope{trace: v.trace, format: v.format, schema: v.schema, event: v.event}
	return true
}

// attribute returns the place of one that an event is made of, or nil.
func (v *envelope) attribute(name string) *[]byte {
	switch name {
	case "specversion":
		return &v.spec
	case "id":
		return &v.id
	case "source":
		return &v.source
	case "type":
		return &v.kind
	case "time":
		return &v.time
	case "partitionkey":
		return &v.key
	case "sequence":
		return &v.sequence
	case "traceparent":
		return &v.trace
	}
	return nil
}

func (v *envelope) tooLarge(r *Record, schema *participant.Schema) *Problem {
	limit := participant.DefaultEventBytesMax
	if schema != nil && schema.EventBytesMax > 0 {
		limit = schema.EventBytesMax
	}
	if len(r.Value) <= limit {
		return nil
	}
	return problem(participant.TooLarge, "data", "its value has "+strconv.Itoa(len(r.Value))+
		" bytes, and "+strconv.Itoa(limit)+" are allowed: send a reference to what is large")
}

// name is how an attribute is called where the event carries it.
func (v *envelope) name(attribute string) string {
	if v.structured {
		return "attribute " + attribute
	}
	return "header ce_" + attribute
}

// identify stores in e what names the event, as far as it is sound, and says
// when the participant is not.
func (v *envelope) identify(key []byte, e *participant.Event) *Problem {
	id, source, kind, sequence := v.sound(v.id), v.sound(v.source), v.sound(v.kind), v.sound(v.sequence)
	trace := v.trace
	if !isTraceParent(trace) {
		trace = nil
	}
	p := v.stranger(key)
	if p != nil {
		key = nil
	}
	b, n := e.Texts[:0], len(id)+len(source)+len(kind)+len(sequence)+len(trace)+len(key)
	if cap(b) < n {
		b = make([]byte, 0, n) // one allocation for all of them
	}
	b = append(append(append(b, id...), source...), kind...)
	b = append(append(append(b, sequence...), trace...), key...)
	all := unsafe.String(unsafe.SliceData(b), len(b))
	e.ID, all = all[:len(id)], all[len(id):]
	e.Source, all = all[:len(source)], all[len(source):]
	e.Type, all = all[:len(kind)], all[len(kind):]
	e.Sequence, all = all[:len(sequence)], all[len(sequence):]
	e.TraceParent, e.Participant = all[:len(trace)], all[len(trace):]
	if e.ID != "" && e.Source != "" {
		e.Identity = participant.IdentityOf(e.Source, e.ID)
	}
	return p
}

// sound returns an attribute that may be repeated in an answer, or nil.
func (v *envelope) sound(b []byte) []byte {
	if len(b) > AttributeBytesMax || !v.text(b) {
		return nil
	}
	return b
}

// text says whether a part is UTF-8. What stands in a JSON envelope is: all of
// it was looked at before.
func (v *envelope) text(b []byte) bool { return v.structured || utf8.Valid(b) }

func (v *envelope) stranger(key []byte) *Problem {
	wrong := func(reason string) *Problem {
		return problem(participant.NoParticipant, "partitionkey", reason)
	}
	switch {
	case NamesParticipant(key) && (v.key == nil || string(v.key) == string(key)):
		return nil
	case len(key) == 0:
		return wrong("its record has no key: the key names the participant")
	case len(key) > ParticipantBytesMax:
		return wrong("its record's key has " + strconv.Itoa(len(key)) + " bytes, and a participant's name has at most " + strconv.Itoa(ParticipantBytesMax))
	case !utf8.Valid(key):
		return wrong("its record's key is not UTF-8 text")
	}
	return wrong("its " + v.name("partitionkey") + " is " + excerpt(v.key) + " and its record's key is " + excerpt(key) + ": both must name the same participant")
}

// NamesParticipant says whether a record's key can be a participant's name.
func NamesParticipant(key []byte) bool {
	return 0 < len(key) && len(key) <= ParticipantBytesMax && utf8.Valid(key)
}

// incomplete checks the attributes and stores the time.
func (v *envelope) incomplete(e *participant.Event, r *Record) *Problem {
	if p := v.attributes(); p != nil {
		return p
	}
	if v.time == nil {
		return nil
	}
	us, ok := parseTime(v.time)
	if !ok {
		return badTime(v.name("time"), v.time)
	}
	e.Time, e.TimeGiven = us, string(r.Header(HeaderTime)) != TimeByGateway
	return nil
}

func badTime(name string, text []byte) *Problem {
	return problem(participant.Malformed, "time", "its "+name+" is "+excerpt(text)+", which is not an RFC 3339 time such as 2026-05-01T12:00:00Z")
}

// attributes checks all attributes but time and partitionkey.
func (v *envelope) attributes() *Problem {
	for _, a := range [...]struct {
		name  string
		value []byte
	}{{"specversion", v.spec}, {"id", v.id}, {"source", v.source}, {"type", v.kind}} {
		if len(a.value) == 0 {
			return problem(participant.Malformed, a.name, "its "+v.name(a.name)+" is missing"+v.hint())
		}
		if p := v.unsound(a.name, a.value); p != nil {
			return p
		}
	}
	if p := v.unsound("sequence", v.sequence); p != nil {
		return p
	}
	if string(v.spec) != "1.0" {
		return problem(participant.Malformed, "specversion", "its "+v.name("specversion")+" is "+excerpt(v.spec)+"; only 1.0 is known")
	}
	if v.data != nil && v.format != nil && !v.base64 && !isJSON(mediaType(v.format)) {
		return problem(participant.Malformed, "datacontenttype", "its data is of type "+excerpt(v.format)+"; only JSON is read")
	}
	return nil
}

// hint helps whoever sent something that is no CloudEvent at all.
func (v *envelope) hint() string {
	if v.structured || v.spec != nil || v.id != nil || v.source != nil || v.kind != nil {
		return ""
	}
	return ": the record has no ce_ headers, and no content type of application/cloudevents+json"
}

func (v *envelope) unsound(name string, value []byte) *Problem {
	if len(value) > AttributeBytesMax {
		return problem(participant.Malformed, name, "its "+v.name(name)+" has "+strconv.Itoa(len(value))+" bytes, and "+strconv.Itoa(AttributeBytesMax)+" are allowed")
	}
	if !v.text(value) {
		return problem(participant.Malformed, name, "its "+v.name(name)+" is not UTF-8 text")
	}
	return nil
}

// readData reads the data by the event's type and stores fields and content.
// A malformed text is reported before a schema's problem, wherever they are.
func (v *envelope) readData(schema *participant.Schema, e *participant.Event) *Problem {
	if (v.base64 || !v.structured) && !utf8.Valid(v.data) {
		return problem(participant.Malformed, "data", "its data is not UTF-8 text")
	}
	if v.read {
		e.Content = contentOf(e, v.data, v.spaced)
		return nil
	}
	s := scanner{b: v.data}
	if s.space() == 'n' && s.word("null") && s.end() {
		v.data = nil // says the same as leaving the data out
	}
	s = scanner{b: v.data}
	var p *Problem
	if e.TypeIndex >= 0 {
		p = readFields(&s, &schema.Types[e.TypeIndex], e)
	} else if len(v.data) > 0 {
		var t token
		if !s.value(&t) || !s.end() {
			p = malformed(&s)
		}
	}
	if p == nil {
		e.Content = contentOf(e, v.data, s.spaced)
	}
	return p
}

func malformed(s *scanner) *Problem {
	return problem(participant.Malformed, "data", "its data cannot be read: "+s.complaint())
}

// contentOf hashes what makes two events with one identity the same.
func contentOf(e *participant.Event, data []byte, spaced bool) uint64 {
	var scratch [128]byte
	head := append(scratch[:0], byte(len(e.Type)), byte(len(e.Type)>>8))
	head = append(head, e.Type...)
	if e.TimeGiven {
		t := uint64(e.Time)
		head = append(head, byte(t), byte(t>>8), byte(t>>16), byte(t>>24), byte(t>>32), byte(t>>40), byte(t>>48), byte(t>>56))
	}
	if spaced {
		data = appendCompact(make([]byte, 0, len(data)), data)
	}
	return xxh3.HashSeed(data, xxh3.Hash(head))
}

// The times that RFC 3339 can write in UTC, µs since the Unix epoch.
var (
	timeMin = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	timeMax = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()
)

// parseTime reads an RFC 3339 time, to the µs.
func parseTime(b []byte) (us int64, ok bool) {
	if us, ok := parseUTC(b); ok {
		return us, true
	}
	var t time.Time
	if t.UnmarshalText(b) != nil {
		return 0, false
	}
	us = t.UnixMicro()
	return us, timeMin <= us && us <= timeMax
}

// mediaType returns a content type without its parameters, in lower case. The
// usual ones cost no allocation.
func mediaType(b []byte) string {
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		b = b[:i]
	}
	b = bytes.TrimSpace(b)
	switch string(b) {
	case contentTypeJSON:
		return contentTypeJSON
	case contentTypeEvent:
		return contentTypeEvent
	}
	return strings.ToLower(string(b))
}

func isJSON(media string) bool {
	return media == contentTypeJSON || media == "text/json" || strings.HasSuffix(media, "+json")
}

// isTraceParent says whether b has the shape of a W3C traceparent. One that
// has not is left out, as its specification asks.
func isTraceParent(b []byte) bool {
	if len(b) < 55 || len(b) > 256 || b[2] != '-' || b[35] != '-' || b[52] != '-' || (len(b) > 55 && b[55] != '-') {
		return false
	}
	for i, c := range b[:55] {
		if i != 2 && i != 35 && i != 52 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(b) == 55 || utf8.Valid(b)
}

// excerpt quotes what was received, cut to a length that fits a sentence.
func excerpt(b []byte) string {
	const longest = 100
	if len(b) > longest {
		return strconv.QuoteToGraphic(strings.ToValidUTF8(string(b[:longest]), "")) + "…"
	}
	return strconv.QuoteToGraphic(strings.ToValidUTF8(string(b), "\ufffd"))
}
