package wire

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/participant"
)

// extensionsMax bounds the attributes of an event beside its own.
const extensionsMax = 32

// CloudEvent is an event as a client sends it, before it has a place in the
// log.
type CloudEvent struct {
	ID, Source, Type string
	// Participant is the partitionkey.
	Participant string
	Time        time.Time // zero: none
	// Stamped says that the gateway gave the time, not the client.
	Stamped     bool
	Sequence    string
	TraceParent string
	// Data is JSON; nil is none.
	Data []byte
	// Extensions are all other attributes: subject, dataschema, a client's own.
	Extensions []Extension
}

// Extension is an attribute in its canonical text form.
type Extension struct{ Name, Value string }

// ParseCloudEvent reads a structured CloudEvent: one JSON envelope. Data
// belongs to b. It checks the envelope, not the data's fields: CheckEvent does
// that, on the record.
func ParseCloudEvent(b []byte, ce *CloudEvent) *Problem {
	*ce = CloudEvent{}
	v := envelope{structured: true}
	p := v.readEnvelope(b, func(name string, t token) *Problem { return ce.extend(name, &t) })
	if p != nil {
		return p
	}
	if p := v.attributes(); p != nil {
		return p
	}
	if len(v.key) == 0 {
		return problem(participant.NoParticipant, "partitionkey", "its attribute partitionkey is missing: it names the participant")
	}
	ce.ID, ce.Source, ce.Type = string(v.id), string(v.source), string(v.kind)
	ce.Participant, ce.Sequence = string(v.key), string(v.sequence)
	ce.Data = v.data
	ce.SetTraceParent(string(v.trace))
	return ce.SetTime(string(v.time))
}

// SetTime sets the time from RFC 3339; empty is none.
func (ce *CloudEvent) SetTime(text string) *Problem {
	ce.Time = time.Time{}
	if text == "" {
		return nil
	}
	us, ok := parseTime([]byte(text))
	if !ok {
		return badTime("time", []byte(text))
	}
	ce.Time = time.UnixMicro(us).UTC()
	return nil
}

// extend adds an attribute of a structured event.
func (ce *CloudEvent) extend(name string, t *token) *Problem {
	switch t.kind {
	case '"':
		text, ok := t.text()
		if !ok {
			return problem(participant.Malformed, name, "its attribute "+name+" is not Unicode text: half of a surrogate pair stands alone")
		}
		return ce.AddExtension(name, string(text))
	case 't', 'f':
		return ce.AddExtension(name, string(t.raw))
	case '0':
		if n, ok := t.integer(); ok {
			return ce.AddExtension(name, strconv.FormatInt(n, 10))
		}
	}
	return problem(participant.Malformed, excerptName(name), "its attribute "+excerpt([]byte(name))+" must be a string, a boolean or an integer: other content belongs into data")
}

// AddExtension adds an attribute, in its canonical text form.
func (ce *CloudEvent) AddExtension(name, value string) *Problem {
	if !isAttributeName(name) {
		return problem(participant.Malformed, excerptName(name), "its attribute "+excerpt([]byte(name))+" is not named by 1 to 64 lower-case letters and digits: other content belongs into data")
	}
	if len(value) > AttributeBytesMax {
		return problem(participant.Malformed, name, "its attribute "+name+" has "+strconv.Itoa(len(value))+" bytes, and "+strconv.Itoa(AttributeBytesMax)+" are allowed")
	}
	for i := range ce.Extensions {
		if ce.Extensions[i].Name == name {
			return problem(participant.Malformed, name, "its attribute "+name+" is given twice")
		}
	}
	if len(ce.Extensions) == extensionsMax {
		return problem(participant.Malformed, name, "it has more than "+strconv.Itoa(extensionsMax)+" attributes beside the known ones")
	}
	ce.Extensions = append(ce.Extensions, Extension{name, value})
	return nil
}

func isAttributeName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// excerptName shortens a name for Problem.Field.
func excerptName(name string) string {
	if len(name) <= 64 {
		return name
	}
	return excerpt([]byte(name[:64]))
}

// EventRecord writes an event for the events topic, in binary mode. The value
// is ce.Data itself.
func EventRecord(ce *CloudEvent) (key, value []byte, headers []Header) {
	d := draft{
		b:       make([]byte, 0, 96+len(ce.ID)+len(ce.Source)+len(ce.Type)+2*len(ce.Participant)+len(ce.TraceParent)),
		headers: make([]Header, 0, 10+len(ce.Extensions)),
		ends:    make([]int, 0, 10+len(ce.Extensions)),
	}
	d.text("ce_id", ce.ID)
	d.text("ce_source", ce.Source)
	d.text("ce_type", ce.Type)
	d.constant("ce_specversion", specVersion)
	if !ce.Time.IsZero() {
		d.b = appendTime(d.b, ce.Time.UnixMicro())
		d.close("ce_time")
		if ce.Stamped {
			d.constant(HeaderTime, []byte(TimeByGateway))
		}
	}
	d.text("ce_partitionkey", ce.Participant)
	d.text("ce_sequence", ce.Sequence)
	d.text("ce_traceparent", ce.TraceParent)
	for _, x := range ce.Extensions {
		d.text("ce_"+x.Name, x.Value)
	}
	if ce.Data != nil {
		d.constant(headerContentType, jsonType)
	}
	at := len(d.b)
	d.b = append(d.b, ce.Participant...)
	return d.b[at:], ce.Data, d.sealed()
}

// SetTraceParent sets the trace, where text has the shape of one.
func (ce *CloudEvent) SetTraceParent(text string) {
	if isTraceParent([]byte(text)) {
		ce.TraceParent = text
	}
}

// SplitBatch splits a JSON array of events, the CloudEvents batch format. The
// elements belong to b, and each is valid JSON. Past elementsMax it returns
// what it has, one more than that.
func SplitBatch(b []byte, elementsMax int) ([][]byte, *Problem) {
	if !utf8.Valid(b) {
		return nil, problem(participant.Malformed, "", "the batch is not UTF-8 text")
	}
	s := scanner{b: b}
	unreadable := func() *Problem {
		return problem(participant.Malformed, "", "the batch cannot be read: "+s.complaint())
	}
	if s.space() != '[' {
		s.fail(s.unexpected("an array"))
		return nil, unreadable()
	}
	s.at++
	if s.space() == ']' {
		s.at++
		if !s.end() {
			return nil, unreadable()
		}
		return nil, nil
	}
	var list [][]byte
	var t token
	for {
		s.space()
		start := s.at
		if !s.value(&t) {
			return nil, unreadable()
		}
		if list = append(list, b[start:s.at]); len(list) > elementsMax {
			return list, nil
		}
		more, ok := s.next(false)
		if !ok || (!more && !s.end()) {
			return nil, unreadable()
		}
		if !more {
			return list, nil
		}
	}
}
