package ingest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// The problems that the gateway answers with, by the last part of their type.
const (
	problemRequest     = "bad-request"
	problemNoKey       = "unauthorized"
	problemForbidden   = "forbidden"
	problemRate        = "rate-limited"
	problemNotFound    = "not-found"
	problemUnknown     = "unknown-participant"
	problemMethod      = "method-not-allowed"
	problemSlow        = "request-timeout"
	problemTooLarge    = "request-too-large"
	problemMedia       = "unsupported-media-type"
	problemEvents      = "invalid-events"
	problemBusy        = "busy"
	problemUnavailable = "unavailable"
	problemNoRules     = "no-rules"
)

// problemType prefixes the names in problem documents. They are names, not
// addresses; docs/ingest.md explains each.
const problemType = "urn:veltrix:problem:"

var problems = map[string]struct {
	status int
	title  string
}{
	problemRequest:     {http.StatusBadRequest, "The request cannot be read"},
	problemNoKey:       {http.StatusUnauthorized, "The request has no key that is known here"},
	problemForbidden:   {http.StatusForbidden, "The key does not allow this"},
	problemRate:        {http.StatusTooManyRequests, "The key's rate is used up"},
	problemNotFound:    {http.StatusNotFound, "There is nothing here"},
	problemUnknown:     {http.StatusNotFound, "The participant has no events yet"},
	problemMethod:      {http.StatusMethodNotAllowed, "The method is not allowed here"},
	problemSlow:        {http.StatusRequestTimeout, "The request took too long to arrive"},
	problemTooLarge:    {http.StatusRequestEntityTooLarge, "The request is too large"},
	problemMedia:       {http.StatusUnsupportedMediaType, "The content type is not one of events"},
	problemEvents:      {http.StatusUnprocessableEntity, "Some events are not acceptable; none was taken"},
	problemBusy:        {http.StatusServiceUnavailable, "The gateway has too much in flight"},
	problemUnavailable: {http.StatusServiceUnavailable, "A part behind the gateway does not answer"},
	problemNoRules:     {http.StatusNotImplemented, "This gateway shows no states"},
}

// Problem is a kind of error that the gateway answers with.
type Problem struct {
	Name, Type, Title string
	Status            int
}

// Problems returns all kinds, by name.
func Problems() []Problem {
	all := make([]Problem, 0, len(problems))
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		all = append(all, Problem{name, problemType + name, problems[name].title, problems[name].status})
	}
	return all
}

// Fault is one event that is not acceptable.
type Fault struct {
	// Line is the NDJSON line, or the place in the batch; both from 1.
	Line int `json:"line"`
	// Field is the attribute at fault, or the data's field as "data.name".
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
	// Fate is what the processor would have made of it; empty where only the
	// key does not allow it.
	Fate string `json:"fate,omitempty"`
}

// problemDocument is RFC 9457's format.
type problemDocument struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Errors []Fault `json:"errors,omitempty"`
}

// refusal ends a request with a problem.
type refusal struct {
	name, detail string
	faults       []Fault
	// retryAfter in seconds; 0: trying again does not help.
	retryAfter int
	allow      string // methods, with problemMethod
}

// write answers with the problem.
func (p *refusal) write(w http.ResponseWriter) {
	what := problems[p.name]
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.name == problemNoKey {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.name == problemMedia {
		h.Set("Accept", acceptedTypes)
	}
	w.WriteHeader(what.status)
	writeJSON(w, problemDocument{problemType + p.name, what.title, what.status, p.detail, p.faults})
}

// writeJSON writes a body. That the client has gone is not ours to report.
func writeJSON(w http.ResponseWriter, body any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body)
}
