package wire

import (
	"time"

	"github.com/veltrix/veltrix/internal/participant"
)

// StateJSON returns a state by the names of its slots, for encoding/json: ints
// are numbers, times are RFC 3339 in UTC, sets are sorted arrays, maps are
// objects, and a time that was never set is null.
func StateJSON(values []participant.Value, s *participant.Schema) map[string]any {
	out := make(map[string]any, len(values))
	for i := range values {
		out[s.Slots[i].Name] = ValueJSON(&values[i], s.Slots[i].Kind)
	}
	return out
}

// FloorJSON returns the time up to which a participant's history is settled, in
// RFC 3339 and UTC, or nil for one without events.
func FloorJSON(h *participant.History) any {
	if h.Fresh() {
		return nil
	}
	return timeJSON(h.Floor.Time)
}

func timeJSON(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }

// ValueJSON returns a value as StateJSON does.
func ValueJSON(v *participant.Value, declared participant.Kind) any {
	if v.Kind == participant.KindNone && (declared == participant.KindSet || declared == participant.KindMap) {
		v = &participant.Value{Kind: declared}
	}
	switch v.Kind {
	case participant.KindInt:
		return v.Int
	case participant.KindBool:
		return v.Int != 0
	case participant.KindString:
		return v.Str
	case participant.KindTime:
		return timeJSON(v.Int)
	case participant.KindSet:
		if v.Coll.Len() == 0 {
			return []string{}
		}
		return v.Coll.Keys
	case participant.KindMap:
		m := make(map[string]int64, v.Coll.Len())
		for i := range v.Coll.Len() {
			m[v.Coll.Keys[i]] = v.Coll.Ints[i]
		}
		return m
	}
	return nil
}
