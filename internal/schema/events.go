package schema

import (
	"fmt"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

// Event returns the JSON Schema (2020-12) of one type of event in structured
// mode: the envelope with its data.
func Event(s *participant.Schema, t *participant.EventType) map[string]any {
	event := envelope(t)
	event["$schema"] = dialect
	event["$id"] = fmt.Sprintf("urn:veltrix:%s:%d:%s", s.Hunt, s.Version, t.Name)
	return event
}

// Events returns the JSON Schema of every type of event that the rules declare.
func Events(s *participant.Schema) map[string]any {
	kinds, definitions := []any{}, object{}
	for i := range s.Types {
		name := nameOf(s.Types[i].Name)
		kinds = append(kinds, object{"$ref": "#/$defs/" + name})
		definitions[name] = envelope(&s.Types[i])
	}
	return object{
		"$schema": dialect,
		"$id":     fmt.Sprintf("urn:veltrix:%s:%d", s.Hunt, s.Version),
		"title":   fmt.Sprintf("Events of %s, version %d", s.Hunt, s.Version),
		"oneOf":   kinds,
		"$defs":   definitions,
	}
}

func envelope(t *participant.EventType) object {
	attribute := func(says string) object {
		return object{"type": "string", "minLength": 1, "maxLength": wire.AttributeBytesMax, "description": says}
	}
	required := []string{"specversion", "id", "source", "type", "partitionkey"}
	if needsData(t) {
		required = append(required, "data")
	}
	return object{
		"title":    t.Name,
		"type":     "object",
		"required": required,
		"properties": object{
			"specversion":  object{"const": "1.0"},
			"id":           attribute("with source, the event's identity: the same twice counts once"),
			"source":       attribute("who reports the event"),
			"type":         object{"const": t.Name},
			"partitionkey": partitionkey(),
			"time":         object{"type": "string", "format": "date-time", "description": "when it happened, to the microsecond; without it, when it was taken"},
			"sequence":     object{"type": "string", "maxLength": wire.AttributeBytesMax, "description": "the source's own count for this participant"},
			"traceparent":  object{"type": "string", "description": "W3C trace context, carried through to the notifications"},
			"datacontenttype": object{
				"type": "string", "pattern": "^application/json", "description": "data is JSON",
			},
			"data": data(t),
		},
	}
}

func partitionkey() object {
	return object{
		"type": "string", "minLength": 1, "maxLength": wire.ParticipantBytesMax,
		"description": fmt.Sprintf("the participant: a player, a team, a device; at most %d bytes of UTF-8", wire.ParticipantBytesMax),
	}
}

func needsData(t *participant.EventType) bool {
	for i := range t.Fields {
		if !t.Fields[i].Optional {
			return true
		}
	}
	return false
}

// data is the schema of an event's data. Fields that it does not name are ignored.
func data(t *participant.EventType) object {
	fields, required := object{}, []string{}
	for i := range t.Fields {
		f := &t.Fields[i]
		fields[f.Name] = field(f)
		if !f.Optional {
			required = append(required, f.Name)
		}
	}
	return object{"type": "object", "properties": fields, "required": required}
}

func field(f *participant.Field) object {
	var o object
	switch f.Kind {
	case participant.KindString:
		o = object{"type": "string", "maxLength": f.BytesMax, "description": fmt.Sprintf("at most %d bytes of UTF-8", f.BytesMax)}
		if len(f.Enum) > 0 {
			o["enum"] = f.Enum
		}
	case participant.KindInt:
		o = object{"type": "integer", "description": "64 bits, written without a fraction or an exponent"}
		bound(o, f, f.IntMin, f.IntMax)
	case participant.KindDouble:
		o = object{"type": "number"}
		bound(o, f, f.Min, f.Max)
	case participant.KindBool:
		o = object{"type": "boolean"}
	case participant.KindTime:
		o = object{"type": "string", "format": "date-time"}
	default:
		panic(fmt.Sprintf("schema: a field of kind %s", f.Kind))
	}
	if f.Optional { // null is absent
		if words, ok := o["enum"].([]string); ok {
			some := []any{nil}
			for _, w := range words {
				some = append(some, w)
			}
			o["enum"] = some
		}
		o["type"] = []any{o["type"], "null"}
	}
	return o
}

func bound[T int64 | float64](o object, f *participant.Field, low, high T) {
	if f.HasMin {
		o["minimum"] = low
	}
	if f.HasMax {
		o["maximum"] = high
	}
}

// state is the schema of a participant's state, as it is read from the gateway.
func state(s *participant.Schema) object {
	slots := object{}
	for i := range s.Slots {
		slot := &s.Slots[i]
		var o object
		switch slot.Kind {
		case participant.KindInt:
			o = object{"type": "integer"}
		case participant.KindBool:
			o = object{"type": "boolean"}
		case participant.KindString:
			o = object{"type": "string", "maxLength": slot.Max}
		case participant.KindTime:
			o = object{"type": []string{"string", "null"}, "format": "date-time", "description": "null while it is unset"}
		case participant.KindSet:
			o = object{"type": "array", "items": object{"type": "string"}, "uniqueItems": true, "maxItems": slot.Max}
		case participant.KindMap:
			o = object{"type": "object", "additionalProperties": object{"type": "integer"}, "maxProperties": slot.Max}
		default:
			panic(fmt.Sprintf("schema: a slot of kind %s", slot.Kind))
		}
		slots[slot.Name] = o
	}
	return object{"type": "object", "properties": slots}
}
