package app

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
)

// keysLook is how often a file of keys is looked at.
const keysLook = time.Second

// keyRing follows a file of keys. A file that cannot be read changes nothing:
// a typing error must not let everybody in, nor lock everybody out.
type keyRing struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamp  fileStamp
	keys   *ingest.Keys
}

// fileStamp tells one version of a file from the next.
type fileStamp struct {
	changed time.Time
	size    int64
}

func openKeys(path string, log *slog.Logger) (*keyRing, error) {
	r := &keyRing{path: path, log: log}
	stamp, err := r.look()
	if err != nil {
		return nil, err
	}
	if err := r.read(stamp); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *keyRing) look() (fileStamp, error) {
	info, err := os.Stat(r.path)
	if err != nil {
		return fileStamp{}, fmt.Errorf("look at the file of API keys (producer.keys_file): %w", err)
	}
	return fileStamp{info.ModTime(), info.Size()}, nil
}

func (r *keyRing) read(stamp fileStamp) error {
	src, err := os.ReadFile(r.path)
	if err != nil {
		return fmt.Errorf("read the file of API keys (producer.keys_file): %w", err)
	}
	keys, err := ingest.ParseKeys(src)
	if err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	r.keys, r.stamp = ingest.NewKeys(keys, r.keys), stamp
	r.log.Info("API keys in force", "keys", len(keys))
	return nil
}

// get returns the keys in force.
func (r *keyRing) get() *ingest.Keys {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < keysLook {
		return r.keys
	}
	r.looked = time.Now()
	stamp, err := r.look()
	if err == nil && stamp == r.stamp {
		return r.keys
	}
	if err == nil {
		err = r.read(stamp)
		r.stamp = stamp // said once for each version
	}
	if err != nil {
		r.log.Error("the API keys stay as they were", "error", err)
	}
	return r.keys
}
