package client

import (
	"errors"
	"fmt"
	"strconv"
)

var (
	// ErrFull says that as much was handed over without an outcome as the options
	// allow. The event was not handed over.
	ErrFull = errors.New("the client's queue is full: wait until the gateway has acknowledged some, or raise QueueEvents and QueueBytes")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrUncertain says that the event may have arrived, and may not. Handing it
	// over again with the same id, time and data is safe.
	ErrUncertain = errors.New("it is not known whether the event has arrived: hand it over again with the same id, time and data")
)

// Problem is why the gateway refused a request, as RFC 9457 has it. What Type
// says and what to do is in docs/ingest.md.
type Problem struct {
	Type   string // such as urn:veltrix:problem:unauthorized; about:blank where something else than a gateway answered
	Title  string
	Status int // the HTTP status
	Detail string
}

// Error gives the status, the title and the detail.
func (p *Problem) Error() string {
	text := "the gateway answered " + strconv.Itoa(p.Status) + ": " + p.Title
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// EventError is why the gateway refused one event. It has no effect; sending it
// again as it is would be refused again.
type EventError struct {
	ID string // the event's
	// Field is the attribute at fault, or the data's field as "data.name"; it may
	// be empty.
	Field  string
	Reason string
	// Fate is what the processor would have made of it, such as "schema"; empty
	// where only the key does not allow it.
	Fate string
}

// Error gives the event, the field and the reason.
func (e *EventError) Error() string {
	text := "the gateway refused event " + strconv.Quote(e.ID)
	if e.Field != "" {
		text += ", " + e.Field
	}
	return text + ": " + e.Reason
}

// DrainError is what Close returns when its context ended before all events had
// an outcome. Each of them was reported to its caller.
type DrainError struct {
	Events int   // that were not acknowledged
	Cause  error // of the context's end
}

// Error gives the number and the cause.
func (e *DrainError) Error() string {
	return fmt.Sprintf("close the client: %d events were not acknowledged; hand them over again with the same ids and times: %v", e.Events, e.Cause)
}

// Unwrap returns the cause.
func (e *DrainError) Unwrap() error { return e.Cause }
