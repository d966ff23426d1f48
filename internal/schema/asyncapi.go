package schema

import (
	"fmt"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// kafkaBinding is the version of AsyncAPI's Kafka bindings that is written here.
const kafkaBinding = "0.5.0"

// AsyncAPI returns the AsyncAPI 3.0 document of a deployment's topics, whose
// names begin with prefix: what it takes, and what it tells.
func AsyncAPI(s *participant.Schema, prefix string) map[string]any {
	events := object{}
	for i := range s.Types {
		name := nameOf(s.Types[i].Name)
		events[name] = object{"$ref": "#/components/messages/" + name}
	}
	message := func(name string) object { return object{name: object{"$ref": "#/components/messages/" + name}} }
	return object{
		"asyncapi": "3.0.0",
		"info": object{
			"title":       s.Hunt,
			"version":     fmt.Sprint(s.Version),
			"description": "Events of participants go in; notifications and rejected events come out. Every record's key is the participant.",
		},
		"defaultContentType": "application/json",
		"channels": object{
			"events":        channel(prefix, "events", "what happened; write to it without a transaction, with acks=all and the partition that murmur2 of the key gives", events),
			"notifications": channel(prefix, "notifications", "what to tell whom; read it as read_committed", message(wire.NotificationType)),
			"rejected":      channel(prefix, "rejected", "events that had no effect, each with its reason; read it as read_committed", message(wire.RejectedType)),
		},
		"operations": object{
			"takeEvents":        object{"action": "receive", "channel": object{"$ref": "#/channels/events"}},
			"notify":            object{"action": "send", "channel": object{"$ref": "#/channels/notifications"}},
			"tellWhatIsRefused": object{"action": "send", "channel": object{"$ref": "#/channels/rejected"}},
		},
		"components": object{"messages": messages(s)},
	}
}

func channel(prefix, name, says string, messages object) object {
	topic := prefix + "." + name
	return object{
		"address": topic, "description": says, "messages": messages,
		"bindings": object{"kafka": object{"topic": topic, "bindingVersion": kafkaBinding}},
	}
}

func messages(s *participant.Schema) object {
	all := object{
		wire.NotificationType: message(wire.NotificationType, outputHeaders(wire.NotificationType), notification()),
		wire.RejectedType:     message(wire.RejectedType, outputHeaders(wire.RejectedType), rejected()),
	}
	for i := range s.Types {
		t := &s.Types[i]
		all[nameOf(t.Name)] = message(t.Name, eventHeaders(t), data(t))
	}
	return all
}

func message(name string, headers, payload object) object {
	return object{
		"name": name, "contentType": "application/json", "headers": headers, "payload": payload,
		"bindings": object{"kafka": object{"key": partitionkey(), "bindingVersion": kafkaBinding}},
	}
}

// eventHeaders are the attributes of an event in binary mode.
func eventHeaders(t *participant.EventType) object {
	properties, required := object{}, []string{}
	of := envelope(t)
	for name, attribute := range of["properties"].(object) {
		switch name {
		case "data":
		case "datacontenttype":
			properties["content-type"] = attribute
		default:
			properties["ce_"+name] = attribute
		}
	}
	for _, name := range of["required"].([]string) {
		if name != "data" && name != "partitionkey" { // which is the record's key
			required = append(required, "ce_"+name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required}
}

func outputHeaders(kind string) object {
	text := object{"type": "string"}
	return object{
		"type":     "object",
		"required": []string{"ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", wire.HeaderSourcePartition, wire.HeaderSourceOffset},
		"properties": object{
			"ce_id": text, "ce_source": text, "ce_type": object{"const": kind}, "ce_specversion": object{"const": "1.0"},
			"ce_time":                  object{"type": "string", "format": "date-time", "description": "when the record arrived that caused this"},
			wire.HeaderCauseID:         object{"type": "string", "description": "the id of the event that caused this"},
			wire.HeaderCauseSource:     object{"type": "string", "description": "its source"},
			wire.HeaderSourcePartition: object{"type": "string", "description": "the partition of events that the cause is on"},
			wire.HeaderSourceOffset:    object{"type": "string", "description": "its offset there"},
		},
	}
}

func notification() object {
	text := object{"type": "string"}
	return object{
		"type": "object",
		"required": []string{
			"notification", "revision", "op", "participant", "class", "rule", "name", "title", "body", "channels", "on_unknown", "hold_ms", "event_type", "event_time",
		},
		"properties": object{
			"notification": object{"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "the same for all revisions: act on each (notification, revision) once"},
			"revision":     object{"type": "integer", "minimum": 1},
			"op":           object{"enum": []string{participant.Send.String(), participant.Update.String(), participant.Retract.String()}},
			"participant":  partitionkey(), "class": text, "rule": text, "name": text, "title": text, "body": text,
			"channels":   object{"type": "array", "items": text},
			"expires":    object{"type": "string", "format": "date-time", "description": "after it nothing is pushed; absent: never"},
			"on_unknown": object{"enum": []string{"resend", "drop"}},
			"hold_ms":    object{"type": "integer", "minimum": 0},
			"critical":   object{"type": "boolean", "description": "pushed whatever the participant muted, in their quiet hours and beyond their allowance; absent: no"},
			"event_type": text,
			"event_time": object{"type": "string", "format": "date-time"},
		},
	}
}

func rejected() object {
	var reasons []string
	for f := range participant.FateCount {
		if f != participant.Applied && f != participant.Rerouted {
			reasons = append(reasons, f.String())
		}
	}
	number := object{"type": "integer", "minimum": 0}
	return object{
		"type":     "object",
		"required": []string{"reason", "sentence", "partition", "offset", "headers"},
		"properties": object{
			"reason":    object{"enum": reasons},
			"sentence":  object{"type": "string", "description": "for whoever sent the event"},
			"partition": number, "offset": number,
			"key_base64": object{"type": "string", "contentEncoding": "base64"}, "key_bytes_omitted": number,
			"headers": object{"type": "array", "items": object{
				"type": "object", "required": []string{"key"},
				"properties": object{"key": object{"type": "string"}, "value": object{"type": "string"}, "value_base64": object{"type": "string", "contentEncoding": "base64"}},
			}},
			"headers_bytes_omitted": number, "original_bytes_omitted": number,
			"original_base64": object{"type": "string", "contentEncoding": "base64", "description": "the rejected record's value"},
		},
	}
}
