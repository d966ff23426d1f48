package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

// Open opens a file of events for Load: plain, gzip or zstd, told apart by its
// first bytes. "-" is stdin. read reports how many bytes of the file, as it is
// stored, were read so far; size is 0 where it is not known.
func Open(path string, stdin io.Reader) (events io.ReadCloser, read func() int64, size int64, err error) {
	raw := io.NopCloser(stdin)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("open events: %w", err)
		}
		info, err := file.Stat()
		if err != nil {
			_ = file.Close()
			return nil, nil, 0, fmt.Errorf("open events: %w", err)
		}
		if info.Mode().IsRegular() {
			size = info.Size()
		}
		raw = file
	}
	counted := &countingReader{r: raw}
	head := make([]byte, 4)
	n, err := io.ReadFull(counted, head)
	if err != nil && n == 0 && !errors.Is(err, io.EOF) {
		_ = raw.Close()
		return nil, nil, 0, fmt.Errorf("read events of %s: %w", path, err)
	}
	head = head[:n]
	whole := io.MultiReader(bytes.NewReader(head), counted)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(whole)
		if err != nil {
			_ = raw.Close()
			return nil, nil, 0, fmt.Errorf("unpack %s: %w", path, err)
		}
		return unpacked{z, raw}, counted.count, size, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(whole, zstd.WithDecoderConcurrency(1))
		if err != nil {
			_ = raw.Close()
			return nil, nil, 0, fmt.Errorf("unpack %s: %w", path, err)
		}
		return unpacked{z.IOReadCloser(), raw}, counted.count, size, nil
	}
	return unpacked{io.NopCloser(whole), raw}, counted.count, size, nil
}

// FileName names a file's content for a load that can be continued: a file with
// another content is another one, whatever it is called. So is one that is read in
// another way, which readBy tells: lines that were bad may be good then, and lie
// before others that were loaded.
func FileName(path string, readBy ...string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open events: %w", err)
	}
	defer file.Close()
	h := xxh3.New()
	for _, by := range readBy {
		_, _ = fmt.Fprintf(h, "%d %s", len(by), by) // a hash takes everything
	}
	if _, err := io.Copy(h, file); err != nil {
		return "", fmt.Errorf("read events of %s: %w", path, err)
	}
	sum := h.Sum128().Bytes()
	return filepath.Base(path) + "." + hex.EncodeToString(sum[:8]), nil
}

// Interruptible returns a reader of r whose Read ends when ctx does, with its
// error. A terminal or a pipe that nothing comes from would hold the process
// otherwise. What was read of r by then is lost.
func Interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err) // nil is io.EOF
	}()
	return out
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) count() int64 { return c.n }

// unpacked closes both a decoder and its file.
type unpacked struct {
	io.ReadCloser
	file io.Closer
}

func (u unpacked) Close() error {
	err := u.ReadCloser.Close()
	if fileErr := u.file.Close(); err == nil {
		err = fileErr
	}
	return err
}
