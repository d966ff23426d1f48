package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/veltrix/veltrix/internal/child"
)

//go:embed log4j2.properties
var log4jConfig []byte

const makeTest = "run `make test`, which installs Java and Kafka's jars"

// locate finds the java command and the directory of jars. VELTRIX_KAFKA_LIBS
// names another directory than .cache/kafka/libs at the module's root.
func locate() (java, libs string, err error) {
	java, err = exec.LookPath("java")
	if err != nil {
		return "", "", fmt.Errorf("no java on PATH: %s", makeTest)
	}
	libs = os.Getenv("VELTRIX_KAFKA_LIBS")
	if libs == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", "", err
		}
		libs = filepath.Join(root, ".cache", "kafka", "libs")
	}
	jars, err := filepath.Glob(filepath.Join(libs, "kafka-server-*.jar"))
	if err != nil || len(jars) == 0 {
		return "", "", fmt.Errorf("no Kafka jars in %s: %s", libs, makeTest)
	}
	return java, libs, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory: set VELTRIX_KAFKA_LIBS to the directory of Kafka's jars")
		}
		dir = parent
	}
}

// FreePorts picks ports below the range the kernel takes for outgoing
// connections, so that a node finds its ports free again at a restart.
func FreePorts(n int) ([]int, error) {
	const low, high, tries = 15000, 32000, 1000
	var ports []int
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		r, err := rand.Int(rand.Reader, big.NewInt(high-low))
		if err != nil {
			return nil, fmt.Errorf("choose a port: %w", err)
		}
		port := low + int(r.Int64())
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil || slices.Contains(ports, port) {
			if err == nil {
				l.Close()
			}
			continue
		}
		l.Close()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("found only %d of %d free ports on 127.0.0.1", len(ports), n)
}

// format writes each node's configuration and lets Kafka's own tool prepare
// its log directory.
func (c *Cluster) format() error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("make a cluster ID: %w", err)
	}
	id[0] &= 0x7f // the tool takes an ID that starts with a dash for a flag
	cluster := base64.RawURLEncoding.EncodeToString(id)
	if c.opts.Secure {
		if err := os.MkdirAll(c.Dir, 0o755); err != nil {
			return err
		}
		if err := c.certify(); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for _, n := range c.nodes {
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return err
		}
		logs := log4jConfig
		if c.opts.Secure {
			logs = append(bytes.Clone(logs), fmt.Sprintf(audit, n.auditPath())...)
		}
		if err := os.WriteFile(filepath.Join(n.dir, "log4j2.properties"), logs, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(n.configPath(), []byte(c.properties(n)), 0o644); err != nil {
			return err
		}
		g.Go(func() error { return c.formatNode(n, cluster) })
	}
	return g.Wait()
}

func (c *Cluster) formatNode(n *node, cluster string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	args := append(c.jvm(n, 128), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", n.configPath())
	for _, name := range slices.Sorted(maps.Keys(c.opts.Features)) {
		args = append(args, "--feature", fmt.Sprintf("%s=%d", name, c.opts.Features[name]))
	}
	out, err := exec.CommandContext(ctx, c.java, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format node %d: %w: %s", n.id, err, out)
	}
	return nil
}

func (c *Cluster) launch(n *node) error {
	out, err := os.OpenFile(n.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(c.java, append(c.jvm(n, c.opts.HeapMiB), "kafka.Kafka", n.configPath())...)
	cmd.Stdout, cmd.Stderr = out, out
	n.proc, err = child.Start(cmd, syscall.SIGKILL) // nobody reads the data of an orphan
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.id, err)
	}
	return nil
}

// jvm returns the virtual machine's arguments: a small heap and little
// compiling, since a test's broker lives for seconds.
func (c *Cluster) jvm(n *node, heapMiB int) []string {
	return []string{
		fmt.Sprintf("-Xmx%dm", heapMiB), "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(n.dir, "log4j2.properties"),
		"-cp", filepath.Join(c.libs, "*"),
	}
}

func (n *node) configPath() string { return filepath.Join(n.dir, "server.properties") }

func (c *Cluster) properties(n *node) string {
	voters := make([]string, len(c.nodes))
	for i, v := range c.nodes {
		voters[i] = fmt.Sprintf("%d@127.0.0.1:%d", v.id, v.controller)
	}
	replicas, inSync := min(len(c.nodes), 3), min(len(c.nodes), 2)
	set := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        fmt.Sprint(n.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"controller.listener.names":      "CONTROLLER",
		"listeners":                      fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", n.broker, n.controller),
		"advertised.listeners":           fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", n.broker),
		"inter.broker.listener.name":     "PLAINTEXT",
		"log.dirs":                       filepath.Join(n.dir, "data"),
		"auto.create.topics.enable":      "false",
		"unclean.leader.election.enable": "false",

		"offsets.topic.replication.factor":                 fmt.Sprint(replicas),
		"offsets.topic.num.partitions":                     "3",
		"transaction.state.log.replication.factor":         fmt.Sprint(replicas),
		"transaction.state.log.min.isr":                    fmt.Sprint(inSync),
		"transaction.state.log.num.partitions":             "3",
		"share.coordinator.state.topic.replication.factor": fmt.Sprint(replicas),
		"share.coordinator.state.topic.min.isr":            fmt.Sprint(inSync),
		"default.replication.factor":                       fmt.Sprint(replicas),

		// What a test would otherwise wait for.
		"group.initial.rebalance.delay.ms":                            "0",
		"group.min.session.timeout.ms":                                "500",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
		"controlled.shutdown.retry.backoff.ms":                        "200",
		"controlled.shutdown.max.retries":                             "2",
		"broker.session.timeout.ms":                                   fmt.Sprint((6 * time.Second).Milliseconds()),
		"broker.heartbeat.interval.ms":                                "500",
		"num.network.threads":                                         "2",
		"num.io.threads":                                              "4",
		"log.cleaner.dedupe.buffer.size":                              fmt.Sprint(8 << 20),
		"log.index.size.max.bytes":                                    fmt.Sprint(1 << 20),
	}
	n.listen(set)
	if c.opts.Secure {
		c.secure(n, set)
	}
	maps.Copy(set, c.opts.Config)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s=%s\n", key, set[key])
	}
	return b.String()
}

// listen adds the node's lanes to its listeners.
func (n *node) listen(set map[string]string) {
	if len(n.lanes) == 0 {
		return
	}
	protocols := "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
	for i, l := range n.lanes {
		set["listeners"] += fmt.Sprintf(",LANE%d://%s", i, l.listens)
		set["advertised.listeners"] += fmt.Sprintf(",LANE%d://%s", i, l.advertised)
		protocols += fmt.Sprintf(",LANE%d:PLAINTEXT", i)
	}
	set["listener.security.protocol.map"] = protocols
	set["inter.broker.listener.name"] = "LANE0"
	set["num.network.threads"] = "1" // of each listener
}
