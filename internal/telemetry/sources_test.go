package telemetry

import (
	"fmt"
	"testing"
)

func TestSourceLabelsAreBounded(t *testing.T) {
	m := New()
	for i := range 3 * sourcesMax {
		want := fmt.Sprint("/phone/", i)
		if i >= sourcesMax {
			want = "other"
		}
		if got := m.Processor.SourceLabel(fmt.Sprint("/phone/", i)); got != want {
			t.Fatalf("source %d is labelled %q", i, got)
		}
	}
	if got := m.Processor.SourceLabel("/phone/7"); got != "/phone/7" {
		t.Errorf("one that has a label is now %q", got)
	}
}
