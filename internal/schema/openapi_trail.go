package schema

// What the gateway's document says of events' fates.

func getStatus() object {
	responses := object{"200": answer("What has become of the event", "Status")}
	refuse(responses, "bad-request", "unauthorized", "forbidden", "not-found", "unavailable")
	return object{
		"operationId": "getStatus",
		"summary":     "What has become of an event: accepted, then applied, rejected or rerouted, and what was told on each channel",
		"parameters": []any{
			object{"name": "partition", "in": "path", "required": true, "schema": object{"type": "integer", "minimum": 0}},
			object{"name": "offset", "in": "path", "required": true, "schema": object{"type": "integer", "minimum": 0}},
		},
		"responses": responses,
	}
}

func getTrail() object {
	responses := object{"200": answer("The participant's latest events, in the order in which they happened", "Trail")}
	refuse(responses, "bad-request", "unauthorized", "forbidden", "unavailable")
	return object{
		"operationId": "getTrail",
		"summary":     "A participant's latest events, and what became of each",
		"parameters": []any{
			object{"name": "id", "in": "path", "required": true, "schema": partitionkey()},
			object{"name": "before", "in": "query", "description": "the offset to end before, as older says", "schema": object{"type": "integer", "minimum": 1}},
		},
		"responses": responses,
	}
}

// entry is a record of the events topic, and what became of it.
func entry() object {
	text := object{"type": "string"}
	moment := object{"type": "string", "format": "date-time"}
	offset := object{"type": "integer", "minimum": 0}
	return object{
		"type": "object", "required": []string{"partition", "offset", "arrived", "event", "status"},
		"properties": object{
			"partition": offset, "offset": offset, "arrived": moment,
			"event": object{
				"type": "object", "required": []string{"source", "id", "type", "participant", "time"},
				"properties": object{"source": text, "id": text, "type": text, "participant": text, "time": moment, "sequence": text},
			},
			"status":         object{"enum": []string{"accepted", "applied", "rejected", "rerouted"}},
			"reason":         object{"type": "string", "description": "of a rejected event"},
			"sentence":       text,
			"moved_from":     object{"type": "string", "description": "partition/offset of the record that was rerouted here"},
			"sequence_break": object{"enum": []string{"gap", "inversion"}},
			"notifications":  object{"type": "array", "items": told()},
		},
	}
}

func told() object {
	text := object{"type": "string"}
	return object{
		"type": "object", "required": []string{"notification", "revision", "op", "class", "rule", "name", "channels"},
		"properties": object{
			"notification": text, "revision": object{"type": "integer", "minimum": 1}, "op": object{"enum": []string{"send", "update", "retract"}},
			"class": text, "rule": text, "name": text, "title": text,
			"channels": object{"type": []string{"array", "null"}, "items": object{
				"type": "object", "required": []string{"channel", "outcome"},
				"properties": object{
					"channel": text, "target": text,
					"outcome":  object{"enum": []string{"pending", "accepted", "sent", "deduped", "ambiguous", "retried", "expired", "retracted", "pruned", "dead", "seen", "muted", "deferred", "digested"}},
					"attempts": object{"type": "integer", "minimum": 1}, "at": object{"type": "string", "format": "date-time"}, "reason": text,
				},
			}},
		},
	}
}

func status() object {
	return object{
		"allOf": []any{ref("schemas", "Entry")},
		"type":  "object", "required": []string{"committed", "in_state"},
		"properties": object{
			"committed": object{"type": []string{"integer", "null"}, "description": "up to where the partition is processed; null where that is not known now"},
			"in_state":  object{"type": []string{"boolean", "null"}, "description": "whether the participant's state that is shown has it; null where that is not known"},
			"note":      object{"type": "string"},
		},
	}
}

func trailOf() object {
	offset := object{"type": "integer", "minimum": 0}
	return object{
		"type": "object", "required": []string{"participant", "partition", "committed", "start", "from", "before", "entries"},
		"properties": object{
			"participant": object{"type": "string"}, "partition": offset, "committed": offset, "start": offset, "from": offset, "before": offset,
			"entries": object{"type": "array", "items": ref("schemas", "Entry")},
			"older":   object{"type": "string", "description": "where the events before these are"},
		},
	}
}
