package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/preflight"
)

// HealthChecks say what may go wrong with Redis although it is set up as Gates
// wants it, and what the devices in it look like. They only read.
func HealthChecks(cl redis.UniversalClient, prefix string, opts GateOptions) []preflight.Check {
	announced := func(id string, run func(context.Context, redis.UniversalClient) preflight.Finding) preflight.Check {
		return preflight.New(id, func(ctx context.Context) preflight.Finding {
			if opts.InMemory {
				return preflight.Skipped("the embedded miniredis has neither replicas nor a file, and its process's memory")
			}
			return run(ctx, cl)
		})
	}
	return []preflight.Check{
		announced("R03", failover), announced("R06", health),
		preflight.New("N05", func(ctx context.Context) preflight.Finding { return subscriptions(ctx, cl, prefix) }),
	}
}

// failover says whether a primary goes on acknowledging what no replica has. It
// informs: what a failover takes back, the processors notice and replay.
func failover(ctx context.Context, cl redis.UniversalClient) preflight.Finding {
	var bad, seen []string
	err := eachPrimary(ctx, cl, func(ctx context.Context, node *redis.Client) error {
		replication, err := section(ctx, node, "replication")
		if err != nil {
			return err
		}
		replicas, err := replication.number("connected_slaves")
		if err != nil {
			return err
		}
		if replicas == 0 {
			return nil
		}
		required, err := replicasRequired(ctx, node, replication)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%s: replicas=%d, %s", node.Options().Addr, replicas, required)
		seen = append(seen, text)
		if !required.holds {
			bad = append(bad, text)
		}
		return nil
	})
	switch {
	case len(bad) > 0:
		return preflight.Finding{
			State: preflight.Warn, Observed: strings.Join(bad, "; "), Expected: "min-replicas-to-write of at least 1 where there are replicas",
			Fix: "CONFIG SET min-replicas-to-write 1, and the same in redis.conf; with one replica, weigh it: Redis refuses writes while that replica is away",
		}
	case err != nil:
		return preflight.NotSeen(err, grantFix)
	case len(seen) == 0:
		return preflight.Skipped("no primary has replicas: there is nothing to fail over to")
	}
	return preflight.Passed(strings.Join(seen, "; "))
}

// required is what a primary asks for before it acknowledges a write.
type required struct {
	holds bool
	text  string
}

func (r required) String() string { return r.text }

// replicasRequired asks CONFIG, and else INFO, which counts the replicas that are
// near enough only where some are required.
func replicasRequired(ctx context.Context, node *redis.Client, replication fields) (required, error) {
	values, denied := node.ConfigGet(ctx, "min-replicas-*").Result()
	least, lag := values["min-replicas-to-write"], values["min-replicas-max-lag"]
	if denied == nil && least != "" && lag != "" {
		// Either one at 0 switches both off.
		return required{least != "0" && lag != "0", "min-replicas-to-write=" + least + ", min-replicas-max-lag=" + lag}, nil
	}
	if near, ok := replication.values["min_slaves_good_slaves"]; ok {
		return required{true, "replicas are required, and " + near + " are near enough (INFO)"}, nil
	}
	if _, ok := replication.values["role"]; !ok { // whatever answered is no INFO that leaves a field out on purpose
		return required{}, fmt.Errorf("read min-replicas-to-write of %s: %w", node.Options().Addr, errors.Join(denied, errors.New("INFO replication has no role")))
	}
	return required{false, "no replica is required for a write (INFO)"}, nil
}

// From which part of its memory on Redis is said to be short of it, in percent.
const (
	memoryWarn = 75
	memoryFail = 90
	// forkFits: a fork may in the worst case need as much again.
	forkFits = 50
)

// health says whether Redis can take writes and keep them: memory left, and files
// that are written.
func health(ctx context.Context, cl redis.UniversalClient) preflight.Finding {
	var bad, odd, seen []string
	err := eachPrimary(ctx, cl, func(ctx context.Context, node *redis.Client) error {
		h, err := readHealth(ctx, node)
		if err != nil {
			return err
		}
		at := node.Options().Addr + ": "
		seen = append(seen, at+h.text())
		if wrong := h.files(); len(wrong) > 0 {
			bad = append(bad, at+strings.Join(wrong, ", "))
		}
		switch {
		case h.percent() >= memoryFail:
			bad = append(bad, at+h.text())
		case h.percent() >= memoryWarn:
			odd = append(odd, at+h.text())
		case h.forked && h.machine > 0 && h.used*100 > h.machine*forkFits:
			odd = append(odd, fmt.Sprintf("%sa file is being rewritten, which may need as much again, and %d of the machine's %d MiB are in use", at, h.used>>20, h.machine>>20))
		}
		return nil
	})
	expected := fmt.Sprintf("less than %d %% of the memory in use, and every file written (aof_last_write_status, aof_last_bgrewrite_status and rdb_last_bgsave_status ok)", memoryWarn)
	const fix = "more memory (maxmemory, with as much again for a rewrite of the file), and room on the disk; redis-cli INFO memory and INFO persistence show it"
	switch {
	case len(bad) > 0:
		return preflight.Failed(strings.Join(append(bad, odd...), "; "), expected, fix)
	case err != nil:
		return preflight.NotSeen(err, grantFix)
	case len(odd) > 0:
		return preflight.Finding{State: preflight.Warn, Observed: strings.Join(odd, "; "), Expected: expected, Fix: fix}
	}
	return preflight.Passed(strings.Join(seen, "; "))
}

// nodeHealth is what one primary says of its memory and its files.
type nodeHealth struct {
	used, limit, machine int64 // bytes
	limitName            string
	forked               bool // a rewrite or a save is under way
	persistence          fields
}

func readHealth(ctx context.Context, node *redis.Client) (nodeHealth, error) {
	memory, err := section(ctx, node, "memory")
	if err != nil {
		return nodeHealth{}, err
	}
	h := nodeHealth{limitName: "maxmemory"}
	if h.used, err = memory.number("used_memory"); err != nil {
		return h, err
	}
	// Not every server counts these; what is left out of maxmemory's count is of no
	// use for it, and no limit is 0.
	aside, _ := memory.number("mem_not_counted_for_evict")
	h.machine, _ = memory.number("total_system_memory")
	if h.limit, _ = memory.number("maxmemory"); h.limit > 0 {
		h.used -= aside
	} else {
		h.limit, h.limitName = h.machine, "total_system_memory"
	}
	if h.limit <= 0 {
		return h, fmt.Errorf("%s has no maxmemory, and does not tell the machine's memory: nothing to hold %d MiB against", node.Options().Addr, h.used>>20)
	}
	if h.persistence, err = section(ctx, node, "persistence"); err != nil {
		return h, err
	}
	for _, field := range []string{"aof_rewrite_in_progress", "rdb_bgsave_in_progress"} {
		h.forked = h.forked || h.persistence.values[field] == "1"
	}
	for _, field := range statuses {
		if h.persistence.values[field] == "" {
			return h, fmt.Errorf("INFO persistence of %s has no %s", node.Options().Addr, field)
		}
	}
	return h, nil
}

// statuses are ok, or a file could not be written. The first and the last make
// Redis refuse writes, the second makes its file grow until the disk is full.
var statuses = []string{"aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"}

func (h *nodeHealth) percent() int64 { return h.used * 100 / h.limit }

func (h *nodeHealth) text() string {
	return fmt.Sprintf("%d %% of %s in use (%d of %d MiB)", h.percent(), h.limitName, h.used>>20, h.limit>>20)
}

func (h *nodeHealth) files() (wrong []string) {
	for _, field := range statuses {
		if value := h.persistence.values[field]; value != "ok" {
			wrong = append(wrong, field+"="+value)
		}
	}
	return wrong
}

// fields are those of one section of a server's INFO.
type fields struct {
	where  string
	values map[string]string
}

func section(ctx context.Context, node *redis.Client, name string) (fields, error) {
	text, err := node.Info(ctx, name).Result()
	if err != nil {
		return fields{}, fmt.Errorf("INFO %s of %s: %w", name, node.Options().Addr, err)
	}
	f := fields{"INFO " + name + " of " + node.Options().Addr, map[string]string{}}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			f.values[key] = value
		}
	}
	return f, nil
}

func (f fields) number(name string) (int64, error) {
	n, err := strconv.ParseInt(f.values[name], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s has no number %s", f.where, name)
	}
	return n, nil
}
