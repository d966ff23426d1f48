package wire

import (
	"encoding/base64"
	"unicode/utf8"
	"unsafe"

	"github.com/veltrix/veltrix/internal/participant"
)

// readValue takes the attributes of structured mode: a JSON envelope.
func (v *envelope) readValue(value []byte) *Problem {
	if mediaType(v.format) != contentTypeEvent {
		return problem(participant.Malformed, "", "its content type is "+excerpt(v.format)+"; of the CloudEvents formats, only application/cloudevents+json is read, one event a record")
	}
	v.format = nil // from here on, the data's
	return v.readEnvelope(value, nil)
}

// readEnvelope reads a JSON envelope, and hands attributes that an event is not
// made of to other, which may be nil.
func (v *envelope) readEnvelope(value []byte, other func(name string, t token) *Problem) *Problem {
	if !utf8.Valid(value) {
		return problem(participant.Malformed, "", "it is not UTF-8 text")
	}
	s := scanner{b: value}
	var t token
	seen, next, base64Data := uint(0), 0, []byte(nil)
	for more, ok := s.open(); more || !ok; more, ok = s.next(true) {
		if !ok || !s.name(&t) {
			return unreadable(&s)
		}
		key, ok := t.text()
		if !ok {
			return problem(participant.Malformed, "", "it has an attribute whose name is not Unicode text")
		}
		s.space()
		start := s.at
		name, bit := known(key, &next)
		if !(name == "data" && v.readAhead(&s)) && !s.value(&t) {
			return unreadable(&s)
		}
		if seen&bit != 0 {
			return problem(participant.Malformed, name, "its attribute "+name+" is given twice")
		}
		seen |= bit
		switch {
		case name == "data":
			v.data = value[start:s.at]
		case bit != 0:
			if p := v.readAttribute(name, &t, &base64Data); p != nil {
				return p
			}
		case other != nil && t.kind != 'n':
			if p := other(string(key), t); p != nil {
				return p
			}
		}
	}
	if !s.end() {
		return unreadable(&s)
	}
	if base64Data == nil {
		return nil
	}
	if v.data != nil {
		return problem(participant.Malformed, "data_base64", "it has both data and data_base64")
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(base64Data)))
	n, err := base64.StdEncoding.Decode(data, base64Data)
	if err != nil {
		return problem(participant.Malformed, "data_base64", "its data_base64 is not base64")
	}
	v.data, v.base64 = data[:n], true
	return nil
}

// readAhead reads the data's fields where it stands, if its type is known and
// nothing is wrong with them. Otherwise the scanner is where it was, and whoever
// reads the data later says what is wrong.
func (v *envelope) readAhead(s *scanner) bool {
	if v.schema == nil || v.read || len(v.kind) == 0 || s.at >= len(s.b) || s.b[s.at] != '{' {
		return false
	}
	at := v.schema.TypeIndex(unsafe.String(unsafe.SliceData(v.kind), len(v.kind)))
	if at < 0 {
		return false
	}
	ahead := scanner{b: s.b, at: s.at}
	r := fieldsOf(&v.schema.Types[at], v.event)
	if !r.object(&ahead) || !r.complete(v.event) {
		return false
	}
	s.at, s.spaced = ahead.at, s.spaced || ahead.spaced
	v.read, v.spaced = true, ahead.spaced
	return true
}

func unreadable(s *scanner) *Problem {
	return problem(participant.Malformed, "", "its envelope cannot be read: "+s.complaint())
}

// once lists the attributes that may be given once.
var once = [...]string{
	"specversion", "id", "source", "type", "time", "partitionkey", "sequence", "traceparent",
	"datacontenttype", "data", "data_base64",
}

// known returns an attribute's name without allocating it, and its bit; no
// bit where it is not one of them. next is where it is probably found: attributes
// come in the order above from most senders.
func known(name []byte, next *int) (string, uint) {
	for range once {
		i := *next
		if *next++; *next == len(once) {
			*next = 0
		}
		if once[i] == string(name) {
			return once[i], 1 << i
		}
	}
	return "", 0
}

func (v *envelope) readAttribute(name string, t *token, base64Data *[]byte) *Problem {
	if t.kind == 'n' {
		return nil // a null attribute is an absent one
	}
	at := v.attribute(name)
	switch name {
	case "data_base64":
		at = base64Data
	case "datacontenttype":
		at = &v.format
	case "sequence":
		if t.kind == '0' { // the count itself, without quotes
			v.sequence = t.raw
			return nil
		}
	}
	if t.kind != '"' {
		return problem(participant.Malformed, name, "its attribute "+name+" must be a string, got "+t.excerpt())
	}
	text, ok := t.text()
	if !ok {
		return problem(participant.Malformed, name, "its attribute "+name+" is not Unicode text: half of a surrogate pair stands alone")
	}
	*at = text
	return nil
}
