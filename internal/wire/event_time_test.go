package wire_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// decodeTime reads an event's time.
func decodeTime(text string) (int64, bool) {
	var e participant.Event
	rej := wire.DecodeEvent(binary("", "ce_type", "ping", "ce_time", text), contract, &e)
	return e.Time, rej == nil
}

// FuzzTime compares with package time, which decides what is a time at all.
func FuzzTime(f *testing.F) {
	for _, s := range []string{
		"2026-05-01T12:00:00Z", "2024-02-29T23:59:59.999999999Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z",
		"0001-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "9999-12-31T23:59:59.9999999Z", "2026-04-31T00:00:00Z", "2026-05-01T24:00:00Z",
		"2026-05-01T12:00:60Z", "2026-05-01T12:00:00.Z", "2026-05-01T12:00:00,5Z", "2026-05-01T12:00:00.1234567890Z", "2026-05-01T12:00:00+02:00",
		"2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z", "2026-05-00T12:00:00Z", "-026-05-01T12:00:00Z", "2026-05-01t12:00:00z", "2026-05-01T12:00:00.5a6Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want time.Time
		err := want.UnmarshalText([]byte(text))
		valid := err == nil && want.UTC().Year() >= 1 && want.UTC().Year() <= 9999
		us, ok := decodeTime(text)
		if text == "" { // no value: the record's own
			return
		}
		if ok != valid || ok && us != want.UnixMicro() {
			t.Fatalf("%q: got %d (%v), package time says %v (%v)", text, us, ok, want, err)
		}
	})
}

// TestEveryDay goes through a cycle of the calendar, day by day.
func TestEveryDay(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for day := time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2000; day = day.AddDate(0, 0, 1) {
		at := day.Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
		if us, ok := decodeTime(at.Format(time.RFC3339Nano)); !ok || us != at.UnixMicro() {
			t.Fatalf("%s: got %d (%v), want %d", at.Format(time.RFC3339Nano), us, ok, at.UnixMicro())
		}
	}
}
