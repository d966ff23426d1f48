package app

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/repair"
)

// Repair is a deployment as an operator's rebase and rebuild see it.
type Repair struct {
	*repair.Repairer
	Partitions int32
	Prefix     string

	client    redis.UniversalClient
	positions *kafkalog.Positions
	snapshots *kafkalog.Snapshots
}

// NewRepair connects; close it. reason is why, for the audit.
func NewRepair(ctx context.Context, rt Runtime, program participant.Program, reason string) (*Repair, error) {
	kafka, err := rt.Kafka("repair")
	if err != nil {
		return nil, err
	}
	manifest, err := rt.awaitManifest(ctx, kafka)
	if err != nil {
		return nil, err
	}
	if digest := program.Schema().Digest; manifest.RulesDigest != digest {
		return nil, fmt.Errorf("this deployment runs rules version %d (%.12s) and the rules file is %.12s: use the rules that it runs", manifest.RulesVersion, manifest.RulesDigest, digest)
	}
	r := &Repair{Partitions: manifest.Partitions, Prefix: rt.Config.Prefix}
	if r.client, err = rt.awaitRedis(ctx); err == nil {
		r.positions, err = kafkalog.NewPositions(kafka)
	}
	if err == nil {
		r.snapshots, err = kafkalog.NewSnapshots(kafka)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	r.Repairer = &repair.Repairer{
		Log:  &repairLog{verifyLog{kafka: kafka, positions: r.positions}},
		View: rt.view(r.client, manifest, program.Schema()), Snapshots: r.snapshots, Journal: journal{kafka},
		Fold: fold.New(program, manifest.Partitions), Token: tokenOf(rt, manifest).String(),
		Who: operator(), Reason: reason, Audit: rt.Log, Now: time.Now,
	}
	return r, nil
}

// Close ends the connections.
func (r *Repair) Close() {
	if r.snapshots != nil {
		r.snapshots.Close()
	}
	if r.positions != nil {
		r.positions.Close()
	}
	if r.client != nil {
		_ = r.client.Close()
	}
}

// operator names who runs this command.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// repairLog implements repair.Log.
type repairLog struct{ verifyLog }

func (l *repairLog) Members(ctx context.Context) ([]string, error) {
	return kafkalog.GroupMembers(ctx, l.kafka, l.kafka.ProcessorGroup())
}

func (l *repairLog) Commit(ctx context.Context, partition int32, c engine.Commit) error {
	return kafkalog.CommitOffset(ctx, l.kafka, partition, c)
}

// journal implements repair.Journal in the manifest.
type journal struct{ kafka kafkalog.Config }

func (j journal) Base(ctx context.Context, partition int32) (*repair.Base, error) {
	manifest, err := kafkalog.ReadManifest(ctx, j.kafka)
	if err != nil || manifest == nil {
		return nil, err
	}
	b := manifest.Base(partition)
	if b == nil {
		return nil, nil
	}
	s, err := b.Snapshot()
	return &repair.Base{Snapshot: s, Notifications: b.Notifications, Rejected: b.Rejected}, err
}

func (j journal) Note(ctx context.Context, e repair.Entry, base *repair.Base) error {
	o := kafkalog.ManifestOperation{
		At: e.At.UTC().Truncate(time.Second), Who: e.Who, Command: e.Command, Mode: e.Mode,
		Partition: e.Partition, From: e.From, To: e.To, Reason: e.Reason,
	}
	if base == nil {
		return kafkalog.NoteOperation(ctx, j.kafka, o, nil)
	}
	b := kafkalog.NewManifestBase(e.Partition, base.Snapshot, base.Notifications, base.Rejected)
	return kafkalog.NoteOperation(ctx, j.kafka, o, &b)
}
