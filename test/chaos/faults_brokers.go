package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func brokerFaults() []Fault {
	node := Param{Name: "broker", Default: 1, Min: 1, Max: brokers, Does: "the broker, from 1"}
	down := lasting("down", 3*time.Second, "until it is started again")
	return []Fault{
		{
			Name: "broker-kill", Ends: endsClean, shared: true, Does: "A broker is killed with SIGKILL and started again.",
			Params: []Param{node, down},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				return r.killBroker(ctx, f, p, p.number("broker"))
			},
		},
		{
			Name: "controller-kill", Ends: endsClean, shared: true, Does: "The active controller is killed with SIGKILL and started again.",
			Params: []Param{down},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				id, err := r.env.controller(ctx)
				if err != nil {
					return err
				}
				return r.killBroker(ctx, f, p, id)
			},
		},
		{
			Name: "broker-stop", Ends: endsClean, shared: true, Does: "A broker is stopped with SIGSTOP, longer than its session with the controller, and woken.",
			Params: []Param{node, lasting("for", 8*time.Second, "until it is woken")},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				defer r.lock("brokers")()
				if err := r.env.cluster.Pause(p.number("broker")); err != nil {
					return err
				}
				i := r.inject(f, p)
				err := sleep(ctx, p.duration("for"))
				if wakeErr := r.env.cluster.Resume(p.number("broker")); wakeErr != nil {
					return wakeErr
				}
				i.over()
				return errors.Join(err, r.env.inSync(ctx))
			},
		},
	}
}

// killBroker is over when every partition has all its replicas again: with two
// brokers down at a time, nothing could be promised.
func (r *run) killBroker(ctx context.Context, f *Fault, p Params, id int) error {
	defer r.lock("brokers")()
	r.env.cluster.Kill(id)
	i := r.inject(f, p)
	err := sleep(ctx, p.duration("down"))
	if startErr := r.env.cluster.Restart(id); startErr != nil {
		return startErr
	}
	i.over()
	return errors.Join(err, r.env.inSync(ctx))
}

// controller returns the active controller's ID.
func (e *Env) controller(ctx context.Context) (int, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, e.client)
	if err != nil {
		return 0, fmt.Errorf("ask for the active controller: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.LeaderID > 0 {
				return int(p.LeaderID), nil
			}
		}
	}
	return 0, errors.New("there is no active controller")
}

// inSync waits until every partition has all its replicas in sync.
func (e *Env) inSync(ctx context.Context) error {
	var last string
	for began := time.Now(); time.Since(began) < inSyncTimeout; {
		behind, err := e.behind(ctx)
		if err == nil && behind == 0 {
			return nil
		}
		last = fmt.Sprintf("%d partitions are not in sync: %v", behind, err)
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New(last)
}

const inSyncTimeout = 90 * time.Second

func (e *Env) behind(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest() // of all topics
	resp, err := req.RequestWith(ctx, e.client)
	if err != nil {
		return 0, err
	}
	if len(resp.Brokers) < brokers {
		return 0, fmt.Errorf("%d of %d brokers are there", len(resp.Brokers), brokers)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				n++
			}
		}
	}
	return n, nil
}
