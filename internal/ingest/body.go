package ingest

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// budget counts the bytes of requests in flight.
type budget struct {
	max  int64
	used atomic.Int64
	told func(level int64)
}

// take reserves n bytes, or says that they are not to be had.
func (b *budget) take(n int64) bool {
	level := b.used.Add(n)
	if level > b.max {
		b.give(n)
		return false
	}
	b.told(level)
	return true
}

func (b *budget) give(n int64) { b.told(b.used.Add(-n)) }

// firstRead is how much of a body of unknown length is reserved at first.
const firstRead = 64 << 10

// body reads a request's body whole. What it reserves of the budget is counted
// before it is read; release gives it back, once.
func (g *Gateway) body(w http.ResponseWriter, r *http.Request) (body []byte, release func(), bad *refusal) {
	limit := g.o.RequestBytesMax
	reserved := int64(0)
	release = func() {
		g.budget.give(reserved)
		reserved = 0
	}
	if r.ContentLength > limit {
		return nil, release, tooLarge(limit)
	}
	reader, closing, bad := decoded(w, r, limit)
	if bad != nil {
		return nil, release, bad
	}
	defer closing()
	size := int64(firstRead)
	if r.ContentLength >= 0 && r.Header.Get("Content-Encoding") == "" {
		size = r.ContentLength + 1 // one more, to see the end
	}
	for {
		size = min(size, limit+1) // the last byte is never kept
		want := min(size, limit)
		if !g.budget.take(want - reserved) {
			return nil, release, &refusal{name: problemBusy, retryAfter: 1, detail: "the gateway holds as many requests as it may, " +
				strconv.FormatInt(g.budget.max, 10) + " bytes, until the brokers acknowledge some: send this one again"}
		}
		reserved = want
		grown := make([]byte, len(body), size)
		copy(grown, body)
		n, err := io.ReadFull(reader, grown[len(body):size])
		body = grown[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return body, release, nil
		case err != nil:
			return nil, release, unreadableBody(err, limit)
		case int64(len(body)) > limit:
			return nil, release, tooLarge(limit)
		}
		size *= 4
	}
}

// decoded undoes the content's encoding.
func decoded(w http.ResponseWriter, r *http.Request, limit int64) (_ io.Reader, closing func(), _ *refusal) {
	raw := http.MaxBytesReader(w, r.Body, limit)
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return raw, func() {}, nil
	case "gzip":
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, nil, unreadableBody(err, limit)
		}
		return z, func() { _ = z.Close() }, nil
	case "zstd":
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(16<<20))
		if err != nil {
			return nil, nil, unreadableBody(err, limit)
		}
		return z, z.Close, nil
	}
	w.Header().Set("Accept-Encoding", "gzip, zstd")
	return nil, nil, &refusal{name: problemMedia, detail: "the content encoding is not one of gzip and zstd"}
}

func tooLarge(limit int64) *refusal {
	return &refusal{name: problemTooLarge, detail: "a request has at most " + strconv.FormatInt(limit, 10) + " bytes: send several"}
}

// unreadableBody is for bodies that end early or are not what their encoding
// says.
func unreadableBody(err error, limit int64) *refusal {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(limit)
	}
	return &refusal{name: problemRequest, detail: "the body cannot be read to its end: " + err.Error()}
}
