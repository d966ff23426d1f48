package kafkalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ForgetGroup deletes a group's offsets, so that its members begin at the
// start. The group must have no members; one that is not there is fine.
func ForgetGroup(ctx context.Context, cfg Config, group string) error {
	cl, err := kgo.NewClient(cfg.Options()...)
	if err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	defer cl.Close()
	answer, err := kadm.NewClient(cl).DeleteGroup(ctx, group)
	if err == nil {
		err = answer.Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("forget the offsets of group %s: %w", group, err)
	}
	return nil
}
