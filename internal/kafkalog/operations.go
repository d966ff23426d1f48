package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/engine"
)

// operationsMax bounds the operations that a manifest remembers.
const operationsMax = 100

// ManifestOperation is one thing that an operator did to a partition.
type ManifestOperation struct {
	At        time.Time `json:"at"`
	Who       string    `json:"who"`
	Command   string    `json:"command"`
	Mode      string    `json:"mode,omitempty"`
	Partition int32     `json:"partition"`
	From      int64     `json:"from"` // −1: nothing
	To        int64     `json:"to"`
	Reason    string    `json:"reason"`
}

// same reports whether o is the same rebase, begun again after an interruption.
// Nothing else has to be finished, so a second one is a second one.
func (o ManifestOperation) same(of ManifestOperation) bool {
	return o.Command == "rebase" && o.Command == of.Command && o.Mode == of.Mode && o.Partition == of.Partition && o.From == of.From && o.To == of.To
}

// ManifestBase is a partition's declared beginning: the state in the copy, at
// its offset.
type ManifestBase struct {
	Partition     int32  `json:"partition"`
	Token         string `json:"token"`
	Offset        int64  `json:"offset"`
	Digest        string `json:"digest"` // hexadecimal
	Participants  int64  `json:"participants"`
	Copy          string `json:"copy"`          // the snapshot's ID
	Notifications int64  `json:"notifications"` // where the topics ended then
	Rejected      int64  `json:"rejected"`
}

// NewManifestBase notes a snapshot as a partition's beginning.
func NewManifestBase(partition int32, s engine.Snapshot, notifications, rejected int64) ManifestBase {
	return ManifestBase{
		Partition: partition, Token: s.Token, Offset: s.Offset, Digest: strconv.FormatUint(s.Digest, 16),
		Participants: s.Participants, Copy: s.ID, Notifications: notifications, Rejected: rejected,
	}
}

// Snapshot returns the copy that holds the beginning.
func (b ManifestBase) Snapshot() (engine.Snapshot, error) {
	digest, err := strconv.ParseUint(b.Digest, 16, 64)
	if err != nil {
		return engine.Snapshot{}, fmt.Errorf("read the base of partition %d from the manifest: %w", b.Partition, err)
	}
	return engine.Snapshot{Token: b.Token, Start: b.Offset, Offset: b.Offset, Digest: digest, Participants: b.Participants, ID: b.Copy}, nil
}

// Base returns the partition's declared beginning, or nil.
func (m *Manifest) Base(partition int32) *ManifestBase {
	i := slices.IndexFunc(m.Bases, func(b ManifestBase) bool { return b.Partition == partition })
	if i < 0 {
		return nil
	}
	return &m.Bases[i]
}

// NoteOperation writes down what an operator does, with the beginning that it
// declares, if any, and that the partition has had a commit. A rebase that is
// begun again is not noted twice.
func NoteOperation(ctx context.Context, cfg Config, o ManifestOperation, base *ManifestBase) error {
	_, err := UpdateManifest(ctx, cfg, func(m *Manifest) (*Manifest, error) {
		if m == nil {
			return nil, errors.New("the manifest is missing: run veltrix topics apply")
		}
		if n := len(m.Operations); n == 0 || !o.same(m.Operations[n-1]) {
			m.Operations = append(m.Operations, o)
			m.Operations = slices.Clone(m.Operations[max(0, len(m.Operations)-operationsMax):])
		}
		if !slices.Contains(m.Initialized, o.Partition) {
			m.Initialized = append(m.Initialized, o.Partition)
			slices.Sort(m.Initialized)
		}
		if base != nil {
			m.Bases = slices.DeleteFunc(m.Bases, func(b ManifestBase) bool { return b.Partition == base.Partition })
			m.Bases = append(m.Bases, *base)
			slices.SortFunc(m.Bases, func(a, b ManifestBase) int { return int(a.Partition - b.Partition) })
		}
		return m, nil
	})
	return err
}

// GroupMembers names the members of a group: the static name of those that have
// one, with the host. A group that is not there has none.
func GroupMembers(ctx context.Context, cfg Config, group string) ([]string, error) {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	defer cl.Close()
	described, err := kadm.NewClient(cl).DescribeGroups(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	g := described[group]
	if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("describe group %s: %w", group, g.Err)
	}
	var names []string
	for _, m := range g.Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID
		}
		names = append(names, name+" ("+m.ClientHost+")")
	}
	slices.Sort(names)
	return names, nil
}

// CommitOffset sets the processors' offset of one partition of events. The
// brokers refuse it while the group has members.
func CommitOffset(ctx context.Context, cfg Config, partition int32, c engine.Commit) error {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	defer cl.Close()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: cfg.Topic("events"), Partition: partition, At: c.Offset, LeaderEpoch: -1, Metadata: c.Metadata})
	if err := kadm.NewClient(cl).CommitAllOffsets(ctx, cfg.ProcessorGroup(), offsets); err != nil {
		return fmt.Errorf("commit offset %d of partition %d for group %s: %w", c.Offset, partition, cfg.ProcessorGroup(), err)
	}
	return nil
}
