package app

import (
	"context"
	"fmt"

	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/repair"
)

// Promotion is a deployment on its way from one version of its rules to the
// next.
type Promotion struct {
	*Repair
	Next repair.Next

	kafka kafkalog.Config
	rules *participant.Schema
}

// NewPromotion connects; close it. present are the rules that the deployment
// runs. It fails where the next ones cannot take over its states.
func NewPromotion(ctx context.Context, rt Runtime, present, next participant.Program, reason string) (*Promotion, error) {
	migration, err := participant.NewMigration(present.Schema(), next.Schema())
	if err != nil {
		return nil, fmt.Errorf("the states cannot be carried over: %w", err)
	}
	kafka, err := rt.Kafka("promote")
	if err != nil {
		return nil, err
	}
	manifest, err := rt.awaitManifest(ctx, kafka)
	if err != nil {
		return nil, err
	}
	if manifest.RulesDigest == next.Schema().Digest {
		return nil, fmt.Errorf("this deployment runs rules version %d (%.12s) already", manifest.RulesVersion, manifest.RulesDigest)
	}
	r, err := NewRepair(ctx, rt, present, reason)
	if err != nil {
		return nil, fmt.Errorf("the present rules, from --from: %w", err)
	}
	s := next.Schema()
	manifest.Hunt, manifest.RulesVersion, manifest.RulesDigest = s.Hunt, s.Version, s.Digest
	return &Promotion{
		Repair: r, kafka: kafka, rules: s,
		Next: repair.Next{Fold: fold.New(next, manifest.Partitions), Token: tokenOf(rt, manifest).String(), Migration: migration},
	}, nil
}

// Finish pins the next rules, once every partition is under them.
func (p *Promotion) Finish(ctx context.Context) error {
	_, err := kafkalog.UpdateManifest(ctx, p.kafka, func(old *kafkalog.Manifest) (*kafkalog.Manifest, error) {
		if old == nil {
			return nil, errNoManifest
		}
		next := *old
		next.Hunt, next.RulesVersion, next.RulesDigest = p.rules.Hunt, p.rules.Version, p.rules.Digest
		return &next, nil
	})
	return err
}
