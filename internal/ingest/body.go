package ingest

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
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
	limit := g.limits().RequestBytesMax
	reserved := int64(0)
	release = func() {
		g.budget.give(reserved)
		reserved = 0
	}
	if r.ContentLength > limit {
		return nil, release, tooLarge(limit)
	}
	from := &source{r: http.MaxBytesReader(w, r.Body, limit)}
	reader, closing, bad := g.decoded(w, r, from)
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
		var err error
		body, err = fill(reader, grown)
		switch {
		case int64(len(body)) > limit:
			return nil, release, tooLarge(limit)
		case err == io.EOF && from.err == io.EOF:
			return body, release, nil
		case err != nil:
			return nil, release, g.unreadable(err, from.err)
		}
		size *= 4
	}
}

// fill reads until b's capacity is used. It is not io.ReadFull, which says of a
// reader that has come to its end what readers say of a body that was cut:
// io.ErrUnexpectedEOF. Here only io.EOF, as the reader gave it, is the end.
func fill(r io.Reader, b []byte) ([]byte, error) {
	for len(b) < cap(b) {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// source is a body as it arrives. It remembers how it ended, because a decoder
// may take a body that was cut between two frames for one that is complete.
type source struct {
	r   io.Reader
	err error // io.EOF once all of the body is here
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

// decoded undoes the content's encoding.
func (g *Gateway) decoded(w http.ResponseWriter, r *http.Request, from *source) (_ io.Reader, closing func(), _ *refusal) {
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return from, func() {}, nil
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, nil, g.unreadable(err, from.err)
		}
		return z, func() { _ = z.Close() }, nil
	case "zstd":
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(16<<20))
		if err != nil {
			return nil, nil, g.unreadable(err, from.err)
		}
		return z, z.Close, nil
	}
	w.Header().Set("Accept-Encoding", "gzip, zstd")
	return nil, nil, &refusal{name: problemMedia, detail: "the content encoding is not one of gzip and zstd"}
}

func tooLarge(limit int64) *refusal {
	return &refusal{name: problemTooLarge, detail: "a request has at most " + strconv.FormatInt(limit, 10) + " bytes: send several"}
}

// unreadable is for bodies that do not come to their end, or are not what their
// encoding says. unpacking is the decoder's error, arriving the source's. The
// connection's own words stay here: they name addresses.
func (g *Gateway) unreadable(unpacking, arriving error) *refusal {
	var large *http.MaxBytesError
	switch {
	case errors.As(arriving, &large):
		return tooLarge(large.Limit)
	case errors.Is(arriving, os.ErrDeadlineExceeded):
		return &refusal{name: problemSlow, detail: "the body did not arrive within " + g.o.Timeout.String() + ": send it again, or as several smaller requests"}
	case arriving != nil && arriving != io.EOF:
		return &refusal{name: problemRequest, detail: "the body did not arrive whole: it ends before its Content-Length, or its chunks are broken or lack the last one"}
	case errors.Is(unpacking, io.EOF), errors.Is(unpacking, io.ErrUnexpectedEOF):
		return &refusal{name: problemRequest, detail: "the packed body ends too early"}
	}
	return &refusal{name: problemRequest, detail: "the body cannot be unpacked to its end: " + unpacking.Error()}
}
