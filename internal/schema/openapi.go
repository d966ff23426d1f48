package schema

import (
	"fmt"
	"strconv"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// OpenAPI returns the OpenAPI 3.1 document of a gateway at server (its URL).
func OpenAPI(s *participant.Schema, server string) map[string]any {
	kinds := []any{}
	schemas := object{
		"Receipt": receipt(), "Fault": fault(), "Problem": problem(), "Participant": view(s), "State": state(s),
		"Leaderboard": leaderboard(), "Entry": entry(), "Status": status(), "Trail": trailOf(),
	}
	for i := range s.Types {
		name := "event." + nameOf(s.Types[i].Name)
		schemas[name] = envelope(&s.Types[i])
		kinds = append(kinds, ref("schemas", name))
	}
	schemas["Event"] = object{"oneOf": kinds}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": s.Hunt + ": events", "version": strconv.Itoa(s.Version),
			"description": "202 means that every in-sync replica has every event of the request. After a 503, or no answer at all, send the same events with the same ids.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":           []any{object{"url": server}},
		"jsonSchemaDialect": dialect,
		// A gateway without keys asks for none.
		"security": []any{object{}, object{"key": []string{}}},
		"paths": object{
			"/v1/events":                      object{"post": postEvents()},
			"/v1/participants/{id}":           object{"get": getParticipant()},
			"/v1/events/{partition}/{offset}": object{"get": getStatus()},
			"/v1/participants/{id}/events":    object{"get": getTrail()},
			"/v1/leaderboards/{name}":         object{"get": getLeaderboard(s)},
		},
		"components": object{"schemas": schemas, "responses": refusals(), "securitySchemes": object{
			"key": object{"type": "http", "scheme": "bearer", "description": "made by veltrix keys add"},
		}},
	}
}

func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

func postEvents() object {
	responses := object{
		"202": answer("All events were taken", "Receipt"),
		"207": answer("With partial=true: some events were taken", "Receipt"),
	}
	refuse(responses, "bad-request", "unauthorized", "forbidden", "rate-limited", "request-timeout", "request-too-large", "unsupported-media-type", "invalid-events", "busy", "unavailable")
	for _, taken := range []string{"202", "207"} {
		responses[taken].(object)["headers"] = object{
			"Location":            object{"description": "of one event its status, of several of one participant the participant's trail", "schema": object{"type": "string"}},
			ingest.InstanceHeader: object{"description": "which of the gateways behind this address answered: a word of chance, made at its start", "schema": object{"type": "string"}},
		}
	}
	event := ref("schemas", "Event")
	return object{
		"operationId": "postEvents",
		"summary":     "Send events: one, a batch, or one on each line",
		"parameters": []any{
			object{"name": "partial", "in": "query", "description": "take the good events where others are not acceptable", "schema": object{"type": "boolean", "default": false}},
			object{"name": "Content-Encoding", "in": "header", "schema": object{"enum": []string{"gzip", "zstd"}}},
			object{"name": "traceparent", "in": "header", "description": "of the events that have none", "schema": object{"type": "string"}},
		},
		"requestBody": object{
			"required": true,
			"content": object{
				"application/cloudevents+json":       object{"schema": event},
				"application/cloudevents-batch+json": object{"schema": object{"type": "array", "items": event}},
				"application/x-ndjson":               object{"schema": object{"type": "string", "description": "an event on each line"}},
				"application/json":                   object{"schema": object{"type": "object", "description": "binary mode: the data, with the attributes as headers ce-…"}},
			},
		},
		"responses": responses,
	}
}

func getParticipant() object {
	responses := object{"200": answer("The participant's state", "Participant")}
	refuse(responses, "bad-request", "unauthorized", "forbidden", "unknown-participant", "no-rules", "unavailable")
	return object{
		"operationId": "getParticipant",
		"summary":     "A participant's state, and how far it is",
		"parameters":  []any{object{"name": "id", "in": "path", "required": true, "schema": partitionkey()}},
		"responses":   responses,
	}
}

func getLeaderboard(s *participant.Schema) object {
	responses := object{"200": answer("A piece of the leaderboard", "Leaderboard")}
	refuse(responses, "bad-request", "unauthorized", "forbidden", "not-found", "unknown-participant", "no-rules", "unavailable")
	name := object{"type": "string"}
	if names := s.LeaderboardNames(); len(names) > 0 {
		name["enum"] = names
	}
	number := func(most int) object { return object{"type": "integer", "minimum": 0, "maximum": most} }
	return object{
		"operationId": "getLeaderboard",
		"summary":     "Who leads, or who is next to a participant",
		"parameters": []any{
			object{"name": "name", "in": "path", "required": true, "schema": name},
			object{"name": "top", "in": "query", "description": "the first places, at least 1; not with around", "schema": number(ingest.TopMax)},
			object{"name": "around", "in": "query", "description": "a participant", "schema": partitionkey()},
			object{"name": "near", "in": "query", "description": "with around: how many on each side", "schema": number(ingest.NearMax)},
		},
		"responses": responses,
	}
}

func leaderboard() object {
	return object{
		"type": "object", "required": []string{"leaderboard", "order", "participants", "entries"},
		"properties": object{
			"leaderboard":  object{"type": "string"},
			"order":        object{"enum": []string{"desc", "asc"}, "description": "desc: the highest score first"},
			"participants": object{"type": "integer", "minimum": 0, "description": "on the leaderboard"},
			"entries": object{"type": "array", "items": object{
				"type": "object", "required": []string{"rank", "participant", "score"},
				"properties": object{
					"rank":        object{"type": "integer", "minimum": 1, "description": "equal scores share one"},
					"participant": object{"type": "string"},
					"score":       object{"type": []string{"integer", "string"}, "description": "the slot's number, or its time"},
				},
			}},
		},
	}
}

func answer(says, schema string) object {
	return object{"description": says, "content": object{"application/json": object{"schema": ref("schemas", schema)}}}
}

// refuse adds the problems with these names to an operation's responses. Those
// of one status are told apart by their type.
func refuse(responses object, names ...string) {
	for _, name := range names {
		for _, p := range ingest.Problems() {
			if p.Name == name {
				responses[strconv.Itoa(p.Status)] = ref("responses", strconv.Itoa(p.Status))
			}
		}
	}
}

func refusals() object {
	all := object{}
	for _, p := range ingest.Problems() {
		status := strconv.Itoa(p.Status)
		says := p.Type + ": " + p.Title
		if known, ok := all[status].(object); ok {
			known["description"] = fmt.Sprint(known["description"], "; or ", says)
			continue
		}
		all[status] = object{"description": says, "content": object{"application/problem+json": object{"schema": ref("schemas", "Problem")}}}
		if p.Status == 503 || p.Status == 429 {
			all[status].(object)["headers"] = object{"Retry-After": object{"description": "seconds", "schema": object{"type": "integer"}}}
		}
	}
	return all
}

func receipt() object {
	return object{
		"type": "object", "required": []string{"accepted", "positions"},
		"properties": object{
			"accepted": object{"type": "integer", "minimum": 0},
			"positions": object{"type": "array", "description": "of the accepted events, in the order of the request", "items": object{
				"type": "object", "required": []string{"partition", "offset"},
				"properties": object{"partition": object{"type": "integer"}, "offset": object{"type": "integer"}},
			}},
			"refused": object{"type": "integer", "minimum": 1},
			"errors":  object{"type": "array", "items": ref("schemas", "Fault")},
		},
	}
}

func fault() object {
	return object{
		"type": "object", "required": []string{"line", "reason"},
		"properties": object{
			"line":   object{"type": "integer", "minimum": 1, "description": "the line, or the place in the batch"},
			"field":  object{"type": "string", "description": "the attribute at fault, or the data's field as data.name"},
			"reason": object{"type": "string"},
			"fate":   object{"type": "string", "description": "what a processor would have made of it; absent where only the key does not allow it"},
		},
	}
}

func problem() object {
	var types []string
	for _, p := range ingest.Problems() {
		types = append(types, p.Type)
	}
	return object{
		"type": "object", "required": []string{"type", "title", "status", "detail"},
		"properties": object{
			"type": object{"enum": types}, "title": object{"type": "string"}, "status": object{"type": "integer"}, "detail": object{"type": "string"},
			"errors": object{"type": "array", "items": ref("schemas", "Fault")},
		},
	}
}

func view(s *participant.Schema) object {
	offset := object{"type": "integer", "minimum": 0}
	return object{
		"type": "object", "required": []string{"participant", "state", "position", "floor"},
		"properties": object{
			"participant": object{"type": "string", "maxLength": wire.ParticipantBytesMax},
			"state":       ref("schemas", "State"),
			"position": object{
				"type": "object", "required": []string{"partition", "applied", "as_of"},
				"properties": object{"partition": offset, "applied": offset, "as_of": offset},
			},
			"floor": object{"type": []string{"string", "null"}, "format": "date-time", "description": "events at or before it are late"},
		},
		"description": fmt.Sprintf("by version %d of the rules", s.Version),
	}
}
