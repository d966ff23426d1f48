package task

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/bench/peers/hand"
)

// MetadataMinAge is for clients of franz-go. By their default the first output, to a topic that
// they do not know yet, waits for up to 5 s: once in a process's life, and most of a window.
const MetadataMinAge = 50 * time.Millisecond

// Task is what a peer has to do.
type Task struct {
	Brokers        []string
	Events         string // the topic, filled beforehand
	Outputs        string // a topic with as many partitions
	Group          string
	Redis          string // host:port, or unix:///path; empty: none
	Prefix         string // of the keys in Redis
	Clients        int
	CommitRecords  int // a commit after so many records,
	CommitInterval time.Duration
	Records        int64 // in the topic
	Rules          *hand.Rules
	RulesName      string
}

// Parse reads a peer's flags.
func Parse(args []string) (*Task, error) {
	var t Task
	var brokers string
	flags := flag.NewFlagSet("peer", flag.ContinueOnError)
	flags.StringVar(&brokers, "brokers", "", "addresses of the brokers")
	flags.StringVar(&t.Events, "events", "", "topic of the events")
	flags.StringVar(&t.Outputs, "outputs", "", "topic of the notifications")
	flags.StringVar(&t.Group, "group", "", "consumer group")
	flags.StringVar(&t.Redis, "redis", "", "address of Redis, host:port or unix:///path; empty: none")
	flags.StringVar(&t.Prefix, "prefix", "", "prefix of the keys in Redis")
	flags.IntVar(&t.Clients, "clients", 1, "clients of the process")
	flags.IntVar(&t.CommitRecords, "commit-records", 50_000, "records of a commit, at most")
	flags.DurationVar(&t.CommitInterval, "commit-interval", 20*time.Millisecond, "time between two commits, at most")
	flags.Int64Var(&t.Records, "records", 0, "records in the topic of the events")
	flags.StringVar(&t.RulesName, "rules", "core", "core or ten")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	t.Brokers = strings.Split(brokers, ",")
	for name, value := range map[string]string{"brokers": brokers, "events": t.Events, "outputs": t.Outputs, "group": t.Group} {
		if value == "" {
			return nil, fmt.Errorf("give --%s", name)
		}
	}
	if t.Clients < 1 || t.CommitRecords < 1 || t.CommitInterval <= 0 || t.Records < 1 {
		return nil, errors.New("--clients, --commit-records, --commit-interval and --records are all above 0")
	}
	var err error
	t.Rules, err = hand.RulesFor(t.RulesName)
	return &t, err
}

// Partitions asks how many the topic of the events has.
func (t *Task) Partitions(ctx context.Context) (int, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(t.Brokers...))
	if err != nil {
		return 0, fmt.Errorf("create the client that asks for partitions: %w", err)
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &t.Events
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, fmt.Errorf("ask for the partitions of %s: %w", t.Events, err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) == 0 {
		return 0, fmt.Errorf("%s has no partitions: create and fill it first", t.Events)
	}
	return len(resp.Topics[0].Partitions), nil
}

// OpenRedis returns a client of Redis.
func (t *Task) OpenRedis() (*redis.Client, error) {
	if t.Redis == "" {
		return nil, errors.New("this peer keeps its states in Redis: give --redis")
	}
	if path, ok := strings.CutPrefix(t.Redis, "unix://"); ok {
		return redis.NewClient(&redis.Options{Network: "unix", Addr: path}), nil
	}
	return redis.NewClient(&redis.Options{Addr: t.Redis}), nil
}

// Key is where a participant's state is in Redis.
func (t *Task) Key(who []byte) string { return t.Prefix + ":s:" + string(who) }
