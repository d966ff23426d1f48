package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	args := []string{"--seed", "3", "--players", "5", "--replicas", "2", "--start", "2025-01-02T03:00:00+01:00"}
	var out, again, said bytes.Buffer
	if err := run(args, &out, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"time":"2025-01-02T02:0`) || strings.Contains(out.String(), "replica-3") {
		t.Errorf("it writes\n%.600s", out.String())
	}
	want := fmt.Sprintf("lines %d  events ", strings.Count(out.String(), "\n"))
	if !strings.HasPrefix(said.String(), want) || !strings.HasSuffix(said.String(), "players 5\n") {
		t.Errorf("it says %q, want %q first", said.String(), want)
	}
	if err := run(args, &again, &said); err != nil || !bytes.Equal(again.Bytes(), out.Bytes()) {
		t.Errorf("the same flags give other events (%v)", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`--start is "noon": give a time`: {"--start", "noon"},
		"players is 0":                   {"--players", "0"},
	} {
		var out, said bytes.Buffer
		if err := run(args, &out, &said); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error is %v, want one with %q", args, err, want)
		}
	}
}
