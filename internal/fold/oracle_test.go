package fold_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	hunt "github.com/veltrix/veltrix/internal/participant/participanttest"
	"github.com/veltrix/veltrix/internal/wire"
)

func TestOracle(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	o := fold.NewOracle(f, home)
	if o.Next() != -1 {
		t.Fatalf("next %d before the first record", o.Next())
	}
	records, fates := everyFate()
	outputs, lastApplied := 0, int64(0)
	var want [participant.FateCount]int64
	for i, r := range records {
		if r.Partition != home {
			r = finding(r.Offset, "again", 64*second, "fir", 1) // the rerouted one is of another partition
			fates[i] = participant.Applied
		}
		r.Offset += 100 // a log that no longer begins at 0
		list, err := o.Feed(r)
		if err != nil {
			t.Fatal(err)
		}
		outputs += len(list)
		want[fates[i]]++
		if fates[i] == participant.Applied {
			lastApplied = r.Offset
		}
	}
	if o.Fates() != want || o.Next() != 100+int64(len(records)) || outputs < len(records)-3 {
		t.Fatalf("fates %v, want %v; next %d; %d outputs", o.Fates(), want, o.Next(), outputs)
	}
	var names []string
	for who, b := range o.States() {
		names = append(names, who)
		asOf, back, err := wire.DecodeStored(b, f.Schema())
		if err != nil {
			t.Fatal(err)
		}
		if asOf != lastApplied+1 {
			t.Errorf("the state is as of %d, and its last event was at %d", asOf, lastApplied)
		}
		if got := back.Head[hunt.Score].Int; got != o.State(who).Head[hunt.Score].Int || got != 6_061 {
			t.Fatalf("score of %s: %d", who, got)
		}
	}
	if !slices.Equal(names, []string{hunt.Player}) {
		t.Fatalf("states of %v", names)
	}
	if o.State("nobody") != nil {
		t.Fatal("a history of nobody")
	}
}

func TestOracleRefusesGapsAndOtherPartitions(t *testing.T) {
	o := fold.NewOracle(newFold(hunt.DefaultOrder()), home)
	feed := func(r *wire.Record, complaint string) {
		t.Helper()
		_, err := o.Feed(r)
		if complaint == "" && err != nil || complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)) {
			t.Fatalf("error %v, want %q", err, complaint)
		}
	}
	feed(finding(5, "a", 0, "oak", 1), "")
	feed(finding(7, "b", 1, "elm", 1), "offset 7 follows 5: records are missing")
	feed(finding(5, "a", 0, "oak", 1), "offset 5 follows 5")
	other := finding(6, "b", 1, "elm", 1)
	other.Partition++
	feed(other, "got a record of partition")
	feed(finding(6, "b", 1, "elm", 1), "")
}

// Someone of whom no event was accepted has no state, in the oracle as in Redis.
func TestOracleKeepsNoStateOfTheRefused(t *testing.T) {
	o := fold.NewOracle(newFold(hunt.DefaultOrder()), home)
	if _, err := o.Feed(record(0, "a", "spend", 0, `{"points":1}`)); err != nil {
		t.Fatal(err)
	}
	for who := range o.States() {
		t.Fatalf("a state of %s", who)
	}
}

// TestTell: the topics alone say of every record what became of it.
func TestTell(t *testing.T) {
	f := newFold(hunt.DefaultOrder())
	home := fold.NewOracle(f, home)
	records, fates := everyFate()
	notified := 0
	for i, r := range records {
		o := home
		if fates[i] == participant.Rerouted {
			o = fold.NewOracle(f, r.Partition)
		} else {
			r.Offset = max(0, home.Next())
		}
		told, err := o.Tell(r)
		if err != nil {
			t.Fatal(err)
		}
		if good := fates[i] == participant.Applied || fates[i] == participant.Rerouted; told.Fate != fates[i] || (told.Sentence == "") != good {
			t.Errorf("record %d: %s, %q; want %s", i, told.Fate, told.Sentence, fates[i])
		}
		notified += len(told.Notifications)
	}
	if notified == 0 {
		t.Error("nothing was told of any notification")
	}
	if _, err := home.Tell(records[0]); err == nil {
		t.Error("a record that does not follow the last was taken")
	}
}
