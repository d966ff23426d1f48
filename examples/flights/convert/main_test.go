package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const data = "../testdata"

func TestConvert(t *testing.T) {
	var out, said bytes.Buffer
	if err := run([]string{"--data", data}, &out, &said); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 34 {
		t.Errorf("there are %d lines", n)
	}
	const want = "rows 19  without tail number 1  events 34 (departed 17, arrived 16, cancelled 1)  participants 18\n"
	if said.String() != want {
		t.Errorf("it says %q, want %q", said.String(), want)
	}
	packed := filepath.Join(t.TempDir(), "year.ndjson.zst")
	if err := run([]string{"--data", data, "--out", packed}, nil, &said); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	unpacked, err := reader.DecodeAll(content, nil)
	if err != nil || !bytes.Equal(unpacked, out.Bytes()) {
		t.Errorf("unpacked, the file differs from what is written plainly (%v)", err)
	}
}

func TestRefusals(t *testing.T) {
	for want, args := range map[string][]string{
		"--order is \"file\": give time or schedule": {"--order", "file", "--data", data},
		"--month is 13: give 1 to 12":                {"--month", "13", "--data", data},
		"build.sh fetches the package":               {"--data", t.TempDir()},
	} {
		var out, said bytes.Buffer
		if err := run(args, &out, &said); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error is %v, want one with %q", args, err, want)
		}
		if out.Len() > 0 {
			t.Errorf("%v: it wrote %d bytes", args, out.Len())
		}
	}
}
