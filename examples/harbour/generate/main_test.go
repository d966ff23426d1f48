package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	args := []string{"--seed", "3", "--teams", "5", "--players", "2", "--length", "30m", "--start", "2025-01-02T03:00:00+01:00"}
	var out, said bytes.Buffer
	if err := run(args, &out, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"time":"2025-01-02T02:`) {
		t.Errorf("no event is in the first hour:\n%.300s", out.String())
	}
	if !strings.HasPrefix(said.String(), "lines ") || !strings.Contains(said.String(), " late 0 ") {
		t.Errorf("it says %q", said.String())
	}
	name := filepath.Join(t.TempDir(), "hunt.ndjson")
	if err := run(append(args, "--out", name), nil, &said); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(content, out.Bytes()) {
		t.Errorf("the file differs from standard output (%v)", err)
	}
}

func TestRefusals(t *testing.T) {
	for want, args := range map[string][]string{
		"--start is \"noon\": give a time": {"--start", "noon"},
		"teams is 0":                       {"--teams", "0"},
	} {
		var out, said bytes.Buffer
		if err := run(args, &out, &said); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error is %v, want one with %q", args, err, want)
		}
	}
}
