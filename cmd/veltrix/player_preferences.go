package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/delivery"
)

func playerPreferencesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "preferences PARTICIPANT",
		Short: "Show by what and when a participant wants to be reached, or change it",
		Long: "Shows a participant's quiet hours and time zone, and the classes of notifications that they narrowed down or muted.\n" +
			"The inbox has every notification in any case: preferences are about pushes to devices. A class with critical: true in\n" +
			"the rules passes them.",
		Example: "  veltrix player preferences ada\n" +
			"  veltrix player preferences ada --json | jq .preferences.quiet_hours\n" +
			"  veltrix player preferences set ada --quiet 22:00-07:00 --time-zone Europe/Berlin",
		Args: cobra.ExactArgs(1),
	}
	config.Flags(cmd, "redis", "notifier")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the preferences as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withPreferences(cmd, func(ctx context.Context, store delivery.PreferenceStore) error {
			p, err := store.Preferences(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeDocument(cmd.OutOrStdout(), preferencesDocument{args[0], p})
			}
			return printPreferences(cmd.OutOrStdout(), args[0], p)
		})
	}
	cmd.AddCommand(setPreferencesCommand())
	return cmd
}

// preferencesDocument has the form of the notifiers' answer.
type preferencesDocument struct {
	Participant string               `json:"participant"`
	Preferences delivery.Preferences `json:"preferences"`
}

// preferenceChange is what the flags of set ask for.
type preferenceChange struct {
	quiet, zone        string
	mute, only, unmute []string
	clear              bool
}

func setPreferencesCommand() *cobra.Command {
	var c preferenceChange
	cmd := &cobra.Command{
		Use:   "set PARTICIPANT",
		Short: "Change a participant's preferences, as they asked for",
		Long: "Changes what its flags name and leaves the rest as it is: --clear takes all out first. It holds for pushes from then on,\n" +
			"also for those that wait. What the participant changes in their app at the same moment may be overwritten.",
		Example: "  veltrix player preferences set ada --quiet 22:00-07:00 --time-zone Europe/Berlin\n" +
			"  veltrix player preferences set ada --mute leaderboard --only clue=webpush,fcm\n" +
			"  veltrix player preferences set ada --unmute leaderboard --quiet none\n" +
			"  veltrix player preferences set ada --clear",
		Args: cobra.ExactArgs(1),
	}
	config.Flags(cmd, "redis", "notifier")
	flags := cmd.Flags()
	flags.StringVar(&c.quiet, "quiet", "", "quiet hours on the clock of the time zone, such as 22:00-07:00; none takes them out")
	flags.StringVar(&c.zone, "time-zone", "", "a name of the IANA list, such as Europe/Berlin")
	flags.StringArrayVar(&c.mute, "mute", nil, "a class that is not pushed; may be repeated")
	flags.StringArrayVar(&c.only, "only", nil, "a class and the channels that it is pushed by, such as clue=webpush,fcm; may be repeated")
	flags.StringArrayVar(&c.unmute, "unmute", nil, "a class that is pushed by all its channels again; may be repeated")
	flags.BoolVar(&c.clear, "clear", false, "take out all preferences before the others of these are set")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if c.nothing() {
			return usage("say what to change: --quiet, --time-zone, --mute, --only, --unmute or --clear; `veltrix player preferences %s` shows what there is", args[0])
		}
		if err := c.apply(&delivery.Preferences{}); err != nil {
			return usage("%w", err) // before anything is asked for
		}
		return withPreferences(cmd, func(ctx context.Context, store delivery.PreferenceStore) error {
			p, err := store.Preferences(ctx, args[0])
			if err != nil {
				return err
			}
			if err := c.apply(&p); err != nil {
				return err
			}
			if err := store.SetPreferences(ctx, args[0], p); err != nil {
				return err
			}
			return printPreferences(cmd.OutOrStdout(), args[0], p)
		})
	}
	return cmd
}

func (c *preferenceChange) nothing() bool {
	return c.quiet == "" && c.zone == "" && len(c.mute)+len(c.only)+len(c.unmute) == 0 && !c.clear
}

// apply changes p, and says what is wrong with that.
func (c *preferenceChange) apply(p *delivery.Preferences) error {
	if c.clear {
		*p = delivery.Preferences{}
	}
	if c.zone != "" {
		p.TimeZone = c.zone
	}
	if c.quiet == "none" {
		p.QuietHours = nil
	} else if c.quiet != "" {
		from, to, found := strings.Cut(c.quiet, "-")
		if !found {
			return fmt.Errorf("--quiet %q is not like 22:00-07:00", c.quiet)
		}
		p.QuietHours = &delivery.QuietHours{From: from, To: to}
	}
	classes := map[string]delivery.ClassPreference{}
	maps.Copy(classes, p.Classes)
	named := map[string]bool{}
	name := func(class string) error {
		if named[class] {
			return fmt.Errorf("class %s is named twice: a class is muted, or unmuted, or has its channels by --only", class)
		}
		named[class] = true
		return nil
	}
	for _, class := range c.mute {
		if err := name(class); err != nil {
			return err
		}
		classes[class] = delivery.ClassPreference{Channels: []string{}}
	}
	for _, text := range c.only {
		class, list, found := strings.Cut(text, "=")
		if !found || list == "" {
			return fmt.Errorf("--only %q is not like clue=webpush,fcm; to mute a class there is --mute", text)
		}
		if err := name(class); err != nil {
			return err
		}
		classes[class] = delivery.ClassPreference{Channels: strings.Split(list, ",")}
	}
	for _, class := range c.unmute {
		if err := name(class); err != nil {
			return err
		}
		delete(classes, class)
	}
	p.Classes = classes
	if len(classes) == 0 {
		p.Classes = nil
	}
	return p.Check()
}

// withPreferences runs use with the deployment's preferences.
func withPreferences(cmd *cobra.Command, use func(context.Context, delivery.PreferenceStore) error) error {
	cfg, err := config.Load(cmd.Flags())
	if err != nil {
		return err
	}
	store, closing, err := app.NewRuntime(cfg, version).Preferences(cmd.Context())
	if err != nil {
		return err
	}
	defer closing()
	return use(cmd.Context(), store)
}

func printPreferences(out io.Writer, participant string, p delivery.Preferences) error {
	text := &printer{out: out}
	if p.IsZero() {
		text.line("%s wants everything at all times", participant)
		return text.err
	}
	zone := p.TimeZone
	if zone == "" {
		zone = "UTC"
	}
	if q := p.QuietHours; q != nil {
		text.line("quiet hours  %s to %s, %s", q.From, q.To, zone)
	} else {
		text.line("quiet hours  none; the time zone is %s", zone)
	}
	for _, class := range slices.Sorted(maps.Keys(p.Classes)) {
		channels := "muted"
		if list := p.Classes[class].Channels; len(list) > 0 {
			channels = "only " + strings.Join(list, ", ")
		}
		text.line("class %s  %s", class, channels)
	}
	return text.err
}
