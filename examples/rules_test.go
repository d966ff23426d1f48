package examples

import (
	"testing"

	"github.com/veltrix/veltrix/internal/rules"
)

func compile(t *testing.T, name string) *rules.Program {
	t.Helper()
	src, events, _, err := Sorted(name)
	if err != nil {
		t.Fatal(err)
	}
	events.Close()
	program, err := rules.Load(name+"/rules.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func TestRulesCompile(t *testing.T) {
	for _, name := range Names() {
		compile(t, name)
	}
}
