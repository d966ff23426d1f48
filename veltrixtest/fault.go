package veltrixtest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
)

// Fault is something that goes wrong between a sender and the log.
type Fault int

// The faults. Each changes what becomes of one request that posts events.
const (
	// LostAnswer takes the request and closes the connection without a word: the
	// events may be counted, and the sender cannot know. A right sender sends the
	// same events with the same ids again.
	LostAnswer Fault = iota + 1
	// Unavailable answers 503 with Retry-After and takes nothing.
	Unavailable
	// Duplicate takes the request, and its records are in the log twice.
	Duplicate
	// Reorder takes the requests, and their events arrive in another order: each
	// participant's among themselves, by Options.Seed, together when the last of
	// the requests was sent. Reading ends the window early: what was accepted
	// before is folded, and the requests that are left make another one.
	Reorder
)

var faultNames = map[Fault]string{LostAnswer: "LostAnswer", Unavailable: "Unavailable", Duplicate: "Duplicate", Reorder: "Reorder"}

// String is the fault's name in Go.
func (f Fault) String() string {
	if name, ok := faultNames[f]; ok {
		return name
	}
	return "Fault(" + strconv.Itoa(int(f)) + ")"
}

// failure is a fault for some requests.
type failure struct {
	fault Fault
	left  int // requests
}

func (f *failure) is(fault Fault) bool { return f != nil && f.fault == fault }

// Fail lets the next requests to POST /v1/events meet a fault, whatever is in
// them. Called again, it lets the requests after those meet another: they are
// worked off in the order of the calls. An unknown fault, or less than one
// request, ends the test.
func (v *Veltrix) Fail(fault Fault, requests int) {
	v.t.Helper()
	if faultNames[fault] == "" || requests < 1 {
		v.t.Fatalf("veltrixtest: Fail(%s, %d): name one of the package's faults and at least one request", fault, requests)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = append(v.faults, &failure{fault, requests})
}

// nextFault is what the next request meets, or nil.
func (v *Veltrix) nextFault() *failure {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.faults) == 0 {
		return nil
	}
	f := v.faults[0]
	if f.left--; f.left == 0 {
		v.faults = v.faults[1:]
	}
	return f
}

type faultKey struct{}

func faultOf(ctx context.Context) *failure {
	f, _ := ctx.Value(faultKey{}).(*failure)
	return f
}

// edge stands between senders and the gateway.
type edge struct {
	v       *Veltrix
	gateway http.Handler
}

// ServeHTTP implements http.Handler.
func (e edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/events" {
		e.gateway.ServeHTTP(w, r)
		return
	}
	f := e.v.nextFault()
	if f != nil {
		r = r.WithContext(context.WithValue(r.Context(), faultKey{}, f))
	}
	if f.is(LostAnswer) {
		e.gateway.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // closes the connection, without a word in the log
	}
	e.gateway.ServeHTTP(w, r)
}
