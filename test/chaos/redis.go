package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/veltrix/veltrix/internal/child"
)

// redisServer is a schedule's own Redis.
type redisServer struct {
	dir     string // short: the path of a socket is at most 107 bytes
	process *child.Redis
}

func newRedis() (*redisServer, error) {
	dir, err := os.MkdirTemp("", "vchaos-")
	if err != nil {
		return nil, err
	}
	s := &redisServer{dir: dir}
	return s, os.Mkdir(s.data(), 0o700)
}

func (s *redisServer) socket() string { return filepath.Join(s.dir, "s") }
func (s *redisServer) data() string   { return filepath.Join(s.dir, "data") }
func (s *redisServer) copy() string   { return filepath.Join(s.dir, "copy") }

func (s *redisServer) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	s.process, err = child.StartRedis(ctx, child.RedisOptions{Dir: s.data(), Socket: s.socket()})
	if err != nil {
		return fmt.Errorf("start redis: %w", err)
	}
	return nil
}

func (s *redisServer) kill() {
	if s.process != nil {
		s.process.Kill()
		s.process = nil
	}
}

func (s *redisServer) close() error {
	s.kill()
	return os.RemoveAll(s.dir)
}

// cut takes bytes off the end of a killed server's append-only file.
func (s *redisServer) cut(bytes int) error {
	if bytes == 0 {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(s.data(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("find the append-only file among %v: %w", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil {
		return err
	}
	return os.Truncate(files[0], max(0, info.Size()-int64(bytes)))
}

// copyData copies the files of a running server. A prefix of an append-only
// file is what the server had at some moment.
func (s *redisServer) copyData() error {
	return errors.Join(os.RemoveAll(s.copy()), os.CopyFS(s.copy(), os.DirFS(s.data())))
}

// restoreData puts the copy in the place of a killed server's files.
func (s *redisServer) restoreData() error {
	return errors.Join(os.RemoveAll(s.data()), os.Rename(s.copy(), s.data()))
}
