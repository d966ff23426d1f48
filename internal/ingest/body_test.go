package ingest_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/veltrix/veltrix/internal/ingest"
)

// dial opens a connection on which a test writes what it likes.
func dial(t *testing.T, s *httptest.Server) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	return conn.(*net.TCPConn)
}

type flusher interface {
	io.WriteCloser
	Flush() error
}

// flushed packs text up to a flush: all of it can be unpacked, and its end is
// missing. closed is complete.
func flushed(t *testing.T, encoding, text string) []byte {
	t.Helper()
	b, _ := pack(t, encoding, text)
	return b
}

func closed(t *testing.T, encoding, text string) []byte {
	t.Helper()
	_, b := pack(t, encoding, text)
	return b
}

func pack(t *testing.T, encoding, text string) (flushed, closed []byte) {
	t.Helper()
	var b bytes.Buffer
	var z flusher = gzip.NewWriter(&b)
	if encoding == "zstd" {
		var err error
		if z, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = z.Write([]byte(text))
	if err := z.Flush(); err != nil {
		t.Fatal(err)
	}
	flushed = bytes.Clone(b.Bytes())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return flushed, b.Bytes()
}

// chunk is a body as one chunk, without the last, empty one.
func chunk(b []byte) string { return fmt.Sprintf("%x\r\n%s\r\n", len(b), b) }

// message is a request's framing and body, and what it is answered.
type message struct {
	name       string
	head, body string
	code       int
}

// messages are bodies with two good events each, whole and cut.
func messages(t *testing.T) []message {
	t.Helper()
	text := event("1", clue) + "\n" + event("2", clue) + "\n"
	plain, gz, zst := []byte(text), closed(t, "gzip", text), closed(t, "zstd", text)
	gzCut, zstCut := flushed(t, "gzip", text), flushed(t, "zstd", text)
	join := func(a []byte, b string) []byte { return append(bytes.Clone(a), b...) }
	const chunked = "Transfer-Encoding: chunked\r\n"
	const last = "0\r\n\r\n"
	length := func(encoding string, n int) string {
		head := fmt.Sprintf("Content-Length: %d\r\n", n)
		if encoding != "" {
			head += "Content-Encoding: " + encoding + "\r\n"
		}
		return head
	}
	packed := func(name, encoding string, b []byte, code int) message {
		return message{name, length(encoding, len(b)), string(b), code}
	}
	return []message{
		packed("whole", "", plain, 202),
		packed("whole, said to be plain", "identity", plain, 202),
		{"shorter than its length", length("", len(plain)+100), text, 400},
		{"shorter by one byte", length("", len(plain)+1), text, 400},
		{"whole, chunked", chunked, chunk(plain) + last, 202},
		{"without the last chunk", chunked, chunk(plain), 400},
		{"cut within a chunk", chunked, fmt.Sprintf("%x\r\n%s", len(plain)+9, plain), 400},
		{"cut within the last chunk", chunked, chunk(plain) + "0\r\n", 400},
		{"no chunks", chunked, text, 400},

		packed("whole gzip", "gzip", gz, 202),
		packed("gzip in two members", "gzip", join(closed(t, "gzip", event("0", clue)+"\n"), string(gz)), 202),
		packed("gzip cut at a flush", "gzip", gzCut, 400),
		packed("gzip without its trailer", "gzip", gz[:len(gz)-8], 400),
		packed("gzip with half a trailer", "gzip", gz[:len(gz)-4], 400),
		packed("gzip with another checksum", "gzip", join(gz[:len(gz)-8], "\x00\x00\x00\x00\x00\x00\x00\x00"), 400),
		packed("gzip and a little garbage", "gzip", join(gz, "junk"), 400),
		packed("gzip and more garbage", "gzip", join(gz, strings.Repeat("junk", 10)), 400),
		packed("gzip and a member that is cut", "gzip", join(gz, string(gzCut)), 400),
		packed("gzip of nothing", "gzip", nil, 400),
		{"gzip shorter than its length", length("gzip", len(gz)+100), string(gz), 400},
		{"gzip without the last chunk", chunked + "Content-Encoding: gzip\r\n", chunk(gz), 400},

		packed("whole zstd", "zstd", zst, 202),
		packed("zstd in two frames", "zstd", join(closed(t, "zstd", event("0", clue)+"\n"), string(zst)), 202),
		packed("zstd cut at a flush", "zstd", zstCut, 400),
		packed("zstd without its checksum", "zstd", zst[:len(zst)-4], 400),
		packed("zstd and one byte of garbage", "zstd", join(zst, "j"), 400),
		packed("zstd and a little garbage", "zstd", join(zst, "jun"), 400),
		packed("zstd and more garbage", "zstd", join(zst, strings.Repeat("junk", 10)), 400),
		packed("zstd and a frame that is cut", "zstd", join(zst, string(zstCut)), 400),
		{"zstd shorter than its length", length("zstd", len(zst)+100), string(zst), 400},
		{"zstd without the last chunk", chunked + "Content-Encoding: zstd\r\n", chunk(zst), 400},
	}
}

// TestOnlyWholeBodiesAreTaken sends bodies that were cut where what is there
// looks complete, and the sender closes its side. Each event in them is good:
// whoever takes the body's end for given answers 202 (P6).
func TestOnlyWholeBodiesAreTaken(t *testing.T) {
	for _, c := range messages(t) {
		t.Run(c.name, func(t *testing.T) {
			l := &log{}
			conn := dial(t, serve(t, options(l)))
			fmt.Fprintf(conn, "POST /v1/events?partial=true HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s\r\n%s", lines, c.head, c.body)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", c.code)) || strings.Contains(string(answer), "tcp") {
				t.Errorf("want %d, got %v, %s", c.code, err, answer)
			}
			if c.code == 400 && (l.called() != 0 || !strings.Contains(string(answer), "urn:veltrix:problem:bad-request")) {
				t.Errorf("the log was called %d times; got %s", l.called(), answer)
			}
		})
	}
}

// TestLimitIsExact: a body of as many bytes as are allowed is taken, one more is
// not, also where the end comes with the last bytes.
func TestLimitIsExact(t *testing.T) {
	text := event("1", clue) + "\n"
	text += strings.Repeat("\n", 4096-len(text))
	for _, c := range []struct {
		encoding, text string
		code           int
	}{{"gzip", text, 202}, {"gzip", text + "\n", 413}, {"zstd", text, 202}, {"zstd", text + "\n", 413}, {"", text, 202}, {"", text + "\n", 413}} {
		r := post(lines, c.text)
		if c.encoding != "" {
			r = packed(t, post(lines, ""), c.encoding, c.text)
		}
		if _, w := answer(exchange{r: r}); w.Code != c.code {
			t.Errorf("%q, %d bytes: got %d, want %d: %s", c.encoding, len(c.text), w.Code, c.code, w.Body)
		}
	}
}

// broken is a body whose connection broke.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 4711}, Err: errors.New("connection reset by peer")}
	}
	return n, err
}

// TestBrokenConnection: what the connection said is not repeated to others.
func TestBrokenConnection(t *testing.T) {
	for _, encoding := range []string{"", "gzip", "zstd"} {
		body := []byte(event("1", clue))
		if encoding != "" {
			body = closed(t, encoding, string(body))
		}
		r := httptest.NewRequest("POST", "/v1/events", broken{bytes.NewReader(body)})
		r.Header.Set("Content-Type", one)
		r.Header.Set("Content-Encoding", encoding)
		l, w := &log{}, httptest.NewRecorder()
		ingest.New(options(l)).ServeHTTP(w, r)
		if w.Code != 400 || l.called() != 0 || strings.Contains(w.Body.String(), "10.1.2.3") || strings.Contains(w.Body.String(), "reset") {
			t.Errorf("%q: got %d %s", encoding, w.Code, w.Body)
		}
	}
}
