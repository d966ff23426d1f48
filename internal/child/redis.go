package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ErrNoRedis: there is no redis-server on PATH.
var ErrNoRedis = errors.New("no redis-server on PATH: install it (Debian and Ubuntu: apt-get install redis-server)")

// RedisOptions says how to run a redis-server.
type RedisOptions struct {
	Dir      string            // of its data and its log; exists
	Socket   string            // path of its unix socket; at most 107 bytes, a limit of the kernel
	Settings map[string]string // laid over the defaults below, as --name value
	Inherit  []*os.File        // kept open for as long as it runs
}

// Redis is a running redis-server.
type Redis struct {
	*Process
	Socket string
	log    string
}

// StartRedis runs the redis-server of PATH on a unix socket, appending each
// write to a file that is synced once a second, and waits until it answers,
// which includes loading its data. It fails with ErrNoRedis where there is none.
//
// When its parent dies it is asked to end, not killed: it still writes what it
// has acknowledged.
func StartRedis(ctx context.Context, opts RedisOptions) (*Redis, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, ErrNoRedis
	}
	set := map[string]string{
		"port": "0", "unixsocket": opts.Socket, "unixsocketperm": "700",
		"dir": opts.Dir, "logfile": "redis.log", "loglevel": "warning", "daemonize": "no",
		"appendonly": "yes", "appendfsync": "everysec", "save": "",
		"maxmemory-policy": "noeviction", "crash-log-enabled": "no",
	}
	for k, v := range opts.Settings {
		set[k] = v
	}
	args := []string{}
	for k, v := range set {
		args = append(args, "--"+k, v)
	}
	cmd := exec.Command(bin, args...)
	cmd.ExtraFiles = opts.Inherit
	p, err := Start(cmd, syscall.SIGTERM)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", bin, err)
	}
	r := &Redis{Process: p, Socket: opts.Socket, log: opts.Dir + "/redis.log"}
	if err := r.waitReady(ctx); err != nil {
		r.Kill()
		return nil, err
	}
	return r, nil
}

func (r *Redis) waitReady(ctx context.Context) error {
	for {
		err := r.ping()
		if err == nil {
			return nil
		}
		select {
		case <-r.Done():
			log, _ := os.ReadFile(r.log) // an absent log leaves the tail empty, which is what we say
			if len(log) > 2048 {
				log = log[len(log)-2048:]
			}
			return fmt.Errorf("redis-server ended while starting; end of %s: %s", r.log, log)
		case <-ctx.Done():
			return fmt.Errorf("wait for redis-server: %w (last: %w)", ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *Redis) ping() error {
	conn, err := net.DialTimeout("unix", r.Socket, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH") {
		return nil
	}
	return errors.New(strings.TrimSpace(line)) // -LOADING while it reads its data
}
