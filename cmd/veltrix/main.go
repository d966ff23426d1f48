// Command veltrix is the operator's and the newcomer's tool.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/app"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(app.Main(command())) }

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "veltrix",
		Short: "Count every player event exactly once, in order, and tell the player once",
		Long: "veltrix runs and looks after an event pipeline: try it with `veltrix up`, set a cluster up with\n" +
			"`veltrix topics apply`, ask `veltrix doctor` what would break it, and check what it did with\n" +
			"`veltrix verify`.",
		Example: "  veltrix up\n" +
			"  veltrix topics apply --partitions 12\n" +
			"  veltrix doctor --profile prod\n" +
			"  veltrix verify --rules-file hunt.yaml",
		Version: version,
	}
	cmd.AddCommand(upCommand(), topicsCommand(), doctorCommand(), lagCommand(), verifyCommand(), rebaseCommand(), rebuildCommand(), rulesCommand(), adviseCommand(), playerCommand(), tokenCommand(), keysCommand(), benchCommand(), configCommand())
	return cmd
}
