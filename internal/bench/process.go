package bench

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Why a server's CPU time is not measured.
const (
	elsewhere = "on another machine"
	inProcess = "in this process"
	notFound  = "on this machine, but its process was not found"
)

// listeners finds the processes that listen on TCP addresses, all of which
// must be this machine's.
func listeners(proc string, addrs []string) Process {
	var found []int
	for _, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || !isLocal(host) {
			return Process{Reason: elsewhere}
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return Process{Reason: notFound}
		}
		pid := listener(proc, uint16(n))
		if pid == 0 {
			return Process{Reason: notFound}
		}
		if pid == os.Getpid() {
			return Process{Reason: inProcess}
		}
		if !slices.Contains(found, pid) {
			found = append(found, pid)
		}
	}
	return Process{PIDs: found}
}

func isLocal(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// listener returns the process that listens on a port, or 0.
func listener(proc string, port uint16) int {
	inodes := map[string]bool{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		f, err := os.Open(filepath.Join(proc, table))
		if err != nil {
			continue // no such protocol here
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if inode, ok := listening(lines.Text(), port); ok {
				inodes["socket:["+inode+"]"] = true
			}
		}
		_ = f.Close()
	}
	if len(inodes) == 0 {
		return 0
	}
	descriptors, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // the pattern is well-formed
	for _, d := range descriptors {
		if target, err := os.Readlink(d); err == nil && inodes[target] {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(d)))) // the pattern has digits first
			return pid
		}
	}
	return 0
}

// listening reads a line of /proc/net/tcp: number, local address, remote
// address, state, …, and the inode as tenth.
func listening(line string, port uint16) (inode string, ok bool) {
	const listen = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listen || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
		return "", false
	}
	return f[9], true
}

// redisProcess finds the server by what it says of itself. Its number is only
// believed where a process of that name has it: a server in a container
// numbers its processes its own way.
func redisProcess(proc string, addrs []string, info map[string]string) Process {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if !strings.HasPrefix(addr, "unix://") && (err != nil || !isLocal(host)) {
			return Process{Reason: elsewhere}
		}
	}
	pid, err := strconv.Atoi(info["process_id"])
	if err == nil {
		name, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "comm"))
		if err == nil && (strings.HasPrefix(string(name), "redis") || strings.HasPrefix(string(name), "valkey")) {
			return Process{PIDs: []int{pid}}
		}
	}
	if found := listeners(proc, addrs); found.measured() || found.Reason == inProcess {
		return found
	}
	return Process{Reason: notFound}
}
