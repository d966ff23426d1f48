package telemetry

import "sync"

// sourcesMax bounds the sources that have a label of their own: a source may be
// each player's phone.
const sourcesMax = 100

const sourceRule = "The first 100 sources of a process have a label of their own, the others are `other`."

// sources are those that have a label of their own.
type sources struct {
	mu    sync.Mutex
	known map[string]bool
}

// SourceLabel returns the label of an event's source: itself, or other.
func (s *sources) SourceLabel(source string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[source] {
		return source
	}
	if len(s.known) >= sourcesMax {
		return "other"
	}
	s.known[source] = true
	return source
}
