// Package testredis runs a real redis-server for tests.
//
// Invariant: a test that cannot have its Redis fails and says how to get one;
// it never skips. No server outlives its test, or a test that was killed.
package testredis

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/child"
)

// Server is a running redis-server of one test.
type Server struct {
	Addr string // unix:///path, as internal/redisstore takes it
	Dir  string // of its append-only file

	t        testing.TB
	settings map[string]string
	process  *child.Redis
}

// Start runs a redis-server with an append-only file and without eviction,
// laid over by settings, and ends it with the test.
func Start(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	// Not t.TempDir(): the path of a socket is at most 107 bytes.
	dir, err := os.MkdirTemp("", "vredis-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: "unix://" + filepath.Join(dir, "s"), Dir: dir, t: t, settings: settings}
	t.Cleanup(func() {
		s.Kill()
		os.RemoveAll(dir)
	})
	s.Restart()
	return s
}

// Kill ends the server with SIGKILL.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.Kill()
		s.process = nil
	}
}

// Stop ends the server in order: everything acknowledged is in its file.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.Stop(10 * time.Second)
		s.process = nil
	}
}

// Restart starts the server again on the same socket and data, after killing
// it if it still runs.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	s.process, err = child.StartRedis(ctx, child.RedisOptions{Dir: s.Dir, Socket: filepath.Join(s.Dir, "s"), Settings: s.settings})
	if err != nil {
		s.t.Fatalf("start a real Redis: %v", err)
	}
}
