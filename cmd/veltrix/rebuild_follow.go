package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/repair"
)

// followEvery is how often a rebuild's progress is looked at.
const followEvery = time.Second

// follow waits for the rebuilds, and says how far they are.
func follow(cmd *cobra.Command, r *app.Repair, plans []*repair.Rebuild, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	for _, p := range plans {
		err := r.Follow(ctx, p, followEvery, func(f repair.Followed) {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), said(f))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// said is the progress in a line.
func said(f repair.Followed) string {
	switch {
	case f.Done:
		return fmt.Sprintf("partition %d: redis is at %d, the committed offset", f.Partition, f.Applied)
	case f.Applied < 0:
		return fmt.Sprintf("partition %d: no processor has begun yet", f.Partition)
	case f.Rate <= 0:
		return fmt.Sprintf("partition %d: %d of %d", f.Partition, f.Applied, f.Committed)
	}
	return fmt.Sprintf("partition %d: %d of %d, %.0f/s, %s left", f.Partition, f.Applied, f.Committed, f.Rate, f.Left.Round(time.Second))
}
