package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/delivery"
)

func playerDevicesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "devices PARTICIPANT",
		Short: "List the devices that a participant is reached on, or remove one",
		Long: "Lists the phones and browsers that a participant has registered with the notifiers: channel, name, when it was\n" +
			"registered last, and the end of its token. A token that another participant has registered since is not listed.\n" +
			"Whole tokens are never shown: whoever has one can write to the device.",
		Example: "  veltrix player devices ada\n" +
			"  veltrix player devices ada --json | jq -r '.devices[].device'\n" +
			"  veltrix player devices remove ada phone",
		Args: cobra.ExactArgs(1),
	}
	config.Flags(cmd, "redis", "notifier")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the devices as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withDevices(cmd, func(ctx context.Context, devices delivery.Devices) error {
			found, err := devices.List(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeDocument(cmd.OutOrStdout(), devicesDocument(args[0], found))
			}
			return printDevices(cmd.OutOrStdout(), args[0], found)
		})
	}
	cmd.AddCommand(removeDeviceCommand())
	return cmd
}

func removeDeviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove PARTICIPANT DEVICE",
		Short:   "Remove a device; nothing is sent to it from then on",
		Long:    "Removes a device. What is on its way to it may still arrive. An app that registers again is taken again.",
		Example: "  veltrix player devices remove ada phone",
		Args:    cobra.ExactArgs(2),
	}
	config.Flags(cmd, "redis", "notifier")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withDevices(cmd, func(ctx context.Context, devices delivery.Devices) error {
			found, err := devices.Find(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if found == nil {
				return fmt.Errorf("%s has no device %q: `veltrix player devices %s` lists those there are", args[0], args[1], args[0])
			}
			if err := devices.Delete(ctx, args[0], args[1]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is not reached on %s any more\n", args[0], args[1])
			return err
		})
	}
	return cmd
}

// withDevices runs use with the deployment's devices.
func withDevices(cmd *cobra.Command, use func(context.Context, delivery.Devices) error) error {
	cfg, err := config.Load(cmd.Flags())
	if err != nil {
		return err
	}
	devices, closing, err := app.NewRuntime(cfg, version).Devices(cmd.Context())
	if err != nil {
		return err
	}
	defer closing()
	return use(cmd.Context(), devices)
}

func printDevices(out io.Writer, participant string, devices []delivery.Device) error {
	if len(devices) == 0 {
		_, err := fmt.Fprintf(out, "%s has registered no device: notifications are in the inbox only\n", participant)
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "channel\tdevice\tregistered\ttoken") //nolint:errcheck // Flush reports it
	for _, d := range devices {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", d.Channel, strings.ToValidUTF8(d.ID, "?"), d.Registered.Format(time.RFC3339), d.Ending()) //nolint:errcheck // likewise
	}
	return table.Flush()
}

type deviceRow struct {
	Device     string    `json:"device"`
	Channel    string    `json:"channel"`
	Registered time.Time `json:"registered"`
	Token      string    `json:"token"` // its end only
}

type deviceList struct {
	Participant string      `json:"participant"`
	Devices     []deviceRow `json:"devices"`
}

func devicesDocument(participant string, devices []delivery.Device) deviceList {
	list := deviceList{Participant: participant, Devices: []deviceRow{}}
	for _, d := range devices {
		list.Devices = append(list.Devices, deviceRow{d.ID, d.Channel, d.Registered, d.Ending()})
	}
	return list
}
