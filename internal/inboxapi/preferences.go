package inboxapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/veltrix/veltrix/internal/delivery"
)

const preferencesBodyMax = 64 << 10 // bytes

// preferencesView is the answer of GET and PUT: what is kept, and so what a client
// may change and send back.
type preferencesView struct {
	Participant string               `json:"participant"`
	Preferences delivery.Preferences `json:"preferences"`
}

// readPreferences serves what a participant wants.
func (a *API) readPreferences(w http.ResponseWriter, r *http.Request) {
	participant, ok := a.owner(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	p, err := a.preferences.Preferences(ctx, participant)
	if err != nil {
		a.unavailable(w, "the preferences", err)
		return
	}
	reply(w, http.StatusOK, "application/json", preferencesView{participant, p})
}

// putPreferences replaces what a participant wants.
func (a *API) putPreferences(w http.ResponseWriter, r *http.Request) {
	participant, ok := a.owner(w, r)
	if !ok {
		return
	}
	p, err := decodePreferences(http.MaxBytesReader(w, r.Body, preferencesBodyMax))
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	a.setPreferences(w, r, participant, *p, func() {
		reply(w, http.StatusOK, "application/json", preferencesView{participant, *p})
	})
}

// deletePreferences takes out what a participant wanted; then it is everything.
func (a *API) deletePreferences(w http.ResponseWriter, r *http.Request) {
	participant, ok := a.owner(w, r)
	if !ok {
		return
	}
	a.setPreferences(w, r, participant, delivery.Preferences{}, func() { w.WriteHeader(http.StatusNoContent) })
}

func (a *API) setPreferences(w http.ResponseWriter, r *http.Request, participant string, p delivery.Preferences, done func()) {
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	if err := a.preferences.SetPreferences(ctx, participant, p); err != nil {
		a.unavailable(w, "the preferences", err)
		return
	}
	done()
}

var errPreferencesBody = errors.New(`the body must be like {"time_zone": "Europe/Berlin", "quiet_hours": {"from": "22:00", "to": "07:00"}, ` +
	`"classes": {"clue": {"channels": ["webpush"]}}}, of at most 64 KiB; each part may be left out, and {} wants everything`)

// decodePreferences reads one object and nothing behind it: what is not understood
// would be a wish that is not heard.
func decodePreferences(body io.Reader) (*delivery.Preferences, error) {
	var p *delivery.Preferences
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil || p == nil {
		return nil, errPreferencesBody
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errPreferencesBody
	}
	return p, nil
}
