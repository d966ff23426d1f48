package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/veltrix/veltrix/internal/wire"
)

// lines gives the events of a file, one after the other.
type lines interface {
	// next returns the next event and the line (from 1) where it begins, or why
	// it is none; io.EOF behind the last.
	next(ce *wire.CloudEvent) (line int, bad *wire.Problem, err error)
	// bytes returns how many bytes of the unpacked file were read.
	bytes() int64
}

// jsonLines reads NDJSON of structured CloudEvents. Empty lines are skipped.
type jsonLines struct {
	scan   *bufio.Scanner
	number int
	read   int64
}

func newJSONLines(r io.Reader) *jsonLines {
	l := &jsonLines{scan: bufio.NewScanner(r)}
	l.scan.Buffer(make([]byte, 256<<10), lineBytesMax)
	return l
}

func (l *jsonLines) bytes() int64 { return l.read }

func (l *jsonLines) next(ce *wire.CloudEvent) (int, *wire.Problem, error) {
	for l.scan.Scan() {
		l.number++
		text := l.scan.Bytes()
		l.read += int64(len(text)) + 1
		if len(bytes.TrimSpace(text)) > 0 {
			return l.number, wire.ParseCloudEvent(bytes.Clone(text), ce), nil
		}
	}
	switch err := l.scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return 0, nil, fmt.Errorf("line %d: longer than %d bytes: %w", l.number+1, lineBytesMax, ErrBadLine)
	case err != nil:
		return 0, nil, fmt.Errorf("read events behind line %d: %w", l.number, err)
	}
	return 0, nil, io.EOF
}
