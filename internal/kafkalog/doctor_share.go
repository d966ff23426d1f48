package kafkalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/preflight"
)

// shareGroups is C11. A group that has no member now is known by the positions
// that it has in events.
func (g *groupChecks) shareGroups(ctx context.Context) preflight.Finding {
	cl, err := kgo.NewClient(g.cfg.Options()...)
	if err != nil {
		return preflight.NotSeen(err, "see that the brokers can be reached from here")
	}
	defer cl.Close()
	const fix = "read events with a consumer group of its own: a share group hands them out in any order, and again"
	now, before, all, err := shareReaders(ctx, cl, g.cfg.Topic("events"))
	observed := strings.Join(append(slices.Clone(now), before...), ", ")
	switch {
	case len(now) > 0:
		return preflight.Failed("share groups read events: "+observed, "no share group on events", fix)
	case err != nil:
		return preflight.NotSeen(err, "grant Describe on the cluster and on all groups: a group that is hidden may be one that shares")
	case len(before) > 0:
		return preflight.Finding{
			State: preflight.Warn, Observed: "share groups without a member now have read events: " + observed, Expected: "no share group on events", Fix: fix,
			Players: "nothing while that group has no member",
		}
	}
	return preflight.Passed(fmt.Sprintf("%d share groups in the cluster, none on events", all))
}

// shareReaders returns the share groups with a member that subscribes to a topic,
// those that have positions in it only, and how many there are in all. What it
// found comes back beside an error.
func shareReaders(ctx context.Context, cl *kgo.Client, topic string) (now, before []string, all int, _ error) {
	if err := seesAllGroups(ctx, cl); err != nil {
		return nil, nil, 0, err
	}
	adm := kadm.NewClient(cl)
	listed, err := adm.ListGroupsByType(ctx, []string{"share"})
	if err != nil {
		return nil, nil, 0, fmt.Errorf("list the share groups: %w", err)
	}
	for name, g := range listed {
		if g.ProtocolType != "share" { // brokers before 4.0 know neither them nor the question
			delete(listed, name)
		}
	}
	if len(listed) == 0 {
		return nil, nil, 0, nil
	}
	for _, name := range listed.Groups() { // one by one: the library tells of none where one is denied
		described, denied := adm.DescribeShareGroups(ctx, name)
		g := described[name]
		if err = cmp.Or(err, denied, g.Err); slices.Contains(g.SubscribedTopics(), topic) {
			now = append(now, fmt.Sprintf("%s (%d members)", g.GroupID, len(g.Members)))
		}
	}
	if err != nil || len(now) > 0 {
		return now, nil, len(listed), err
	}
	offsets, err := adm.DescribeShareGroupOffsets(ctx, listed.Groups()...)
	if err == nil {
		err = offsets.Error()
	}
	for _, g := range offsets {
		if _, ok := g.Offsets[topic]; ok {
			before = append(before, g.Group)
		}
	}
	slices.Sort(before)
	return nil, before, len(listed), err
}

// seesAllGroups fails for a user from whom brokers would leave groups out of a
// list without an error.
func seesAllGroups(ctx context.Context, cl *kgo.Client) error {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeClusterAuthorizedOperations = true
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("ask what this user may do: %w", err)
	}
	if allowed := resp.ClusterAuthorizedOperations; allowed&(1<<kmsg.ACLOperationDescribe) == 0 {
		return errors.New("this user may not describe the cluster: groups are hidden from it")
	}
	return nil
}
