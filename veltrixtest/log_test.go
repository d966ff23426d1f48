package veltrixtest

import (
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/wire"
)

// A record's memory is the request's: what becomes of it after the answer does
// not change the log.
func TestLogKeepsNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	v := Start(t, Options{Rules: "testdata/rules.yaml"})
	var r wire.Record
	r.Key, r.Value, r.Headers = wire.EventRecord(&wire.CloudEvent{
		ID: "a", Source: "/phones", Type: "clue.found", Participant: ada, Time: v.Now().Add(time.Second), Data: []byte(`{"clue":"anchor","points":50}`),
	})
	if _, err := (appender{v}).Append(t.Context(), []wire.Record{r}); err != nil {
		t.Fatal(err)
	}
	clear(r.Key)
	clear(r.Value)
	clear(r.Header("ce_id"))
	if got := v.State(ada)["score"]; got != 50 || v.Fates()[0].ID != "a" {
		t.Errorf("the score is %v, want 50: %+v", got, v.Fates())
	}
}
