package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/service"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and revoke the gateway's API keys, and make the key of pushes to browsers",
		Long: "The gateway asks for a key where producer.keys_file is set, and follows changes of that file within a second.\n" +
			"The file holds hashes: a key is shown once, when it is made.",
		Example: "  veltrix keys add --file keys.yaml phones --source '/phone/*' --type 'clue.*' --rate 500\n" +
			"  veltrix keys list --file keys.yaml\n" +
			"  veltrix keys revoke --file keys.yaml phones",
	}
	cmd.AddCommand(addKeyCommand(), listKeysCommand(), revokeKeyCommand(), vapidCommand())
	return cmd
}

func fileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "file", "keys.yaml", "the file of keys (producer.keys_file)")
}

func addKeyCommand() *cobra.Command {
	var file string
	var limits ingest.Key
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a key for an application, and show it once",
		Long: "Makes a key, writes its hash and what it allows to the file, and prints the key. Keep it where the application\n" +
			"finds it: it cannot be shown again. Requests carry it as Authorization: Bearer vlx_….",
		Example: "  veltrix keys add --file keys.yaml phones\n" +
			"  veltrix keys add --file keys.yaml phones --source '/phone/*' --type 'clue.*' --rate 500 --event-bytes 4096 --read",
		Args: cobra.ExactArgs(1),
	}
	fileFlag(cmd, &file)
	flags := cmd.Flags()
	flags.StringArrayVar(&limits.Sources, "source", nil, "a source that its events may have, or the beginning of some with * behind it; may be repeated; none allows all")
	flags.StringArrayVar(&limits.Types, "type", nil, "an event type that they may have, likewise")
	flags.IntVar(&limits.Rate, "rate", 0, "events a second at most; 0 is no bound")
	flags.IntVar(&limits.EventBytes, "event-bytes", 0, "bytes of an event's data at most; 0 is no bound of its own")
	flags.BoolVar(&limits.Read, "read", false, "it may read participants' states")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		secret, key := ingest.NewKey(args[0], time.Now())
		key.Sources, key.Types, key.Rate, key.EventBytes, key.Read = limits.Sources, limits.Types, limits.Rate, limits.EventBytes, limits.Read
		err := changeKeys(file, func(keys []ingest.Key) ([]ingest.Key, error) {
			if slices.ContainsFunc(keys, func(k ingest.Key) bool { return k.Name == key.Name }) {
				return nil, fmt.Errorf("there is a key %q already: revoke it first, or choose another name and change over without a gap", key.Name)
			}
			return append(keys, key), nil
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), secret); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s has a key in %s; this is the only time that it is shown\n", key.Name, file)
		return err
	}
	return cmd
}

func listKeysCommand() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Show the keys' names and what they allow",
		Example: "  veltrix keys list --file keys.yaml\n  veltrix keys list --file keys.yaml --json | jq -r .name",
		Args:    cobra.NoArgs,
	}
	fileFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		keys, err := readKeys(file)
		if err != nil {
			return err
		}
		return printKeys(cmd.OutOrStdout(), keys, asJSON)
	}
	return cmd
}

func printKeys(out io.Writer, keys []ingest.Key, asJSON bool) error {
	if asJSON {
		for i := range keys {
			if err := json.NewEncoder(out).Encode(&keys[i]); err != nil {
				return err
			}
		}
		return nil
	}
	all := func(patterns []string) string {
		if len(patterns) == 0 {
			return "all"
		}
		return strings.Join(patterns, " ")
	}
	bound := func(n int) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "name\tcreated\tsources\ttypes\tevents/s\tbytes\treads states")
	for i := range keys {
		k := &keys[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%t\n", k.Name, k.Created.Format(time.RFC3339), all(k.Sources), all(k.Types), bound(k.Rate), bound(k.EventBytes), k.Read)
	}
	return w.Flush()
}

func revokeKeyCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "Take a key out of the file: the gateway refuses it within a second",
		Example: "  veltrix keys revoke --file keys.yaml phones",
		Args:    cobra.ExactArgs(1),
	}
	fileFlag(cmd, &file)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := changeKeys(file, func(keys []ingest.Key) ([]ingest.Key, error) {
			rest := slices.DeleteFunc(keys, func(k ingest.Key) bool { return k.Name == args[0] })
			if len(rest) == len(keys) {
				return nil, fmt.Errorf("there is no key %q in %s: veltrix keys list shows them", args[0], file)
			}
			return rest, nil
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s has no key any more\n", args[0])
		return err
	}
	return cmd
}

func readKeys(file string) ([]ingest.Key, error) {
	src, err := os.ReadFile(file)
	if err == nil {
		var keys []ingest.Key
		if keys, err = ingest.ParseKeys(src); err == nil {
			return keys, nil
		}
	}
	return nil, service.WithExitCode(fmt.Errorf("%s: %w", file, err), service.ExitConfig)
}

// changeKeys writes the file anew, whole or not at all: a gateway reads it at
// any moment.
func changeKeys(file string, change func([]ingest.Key) ([]ingest.Key, error)) error {
	keys, err := readKeys(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if keys, err = change(keys); err != nil {
		return err
	}
	text, err := ingest.FormatKeys(keys)
	if err == nil {
		_, err = ingest.ParseKeys(text) // what is written can be read
	}
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(file), ".keys-*") // for its owner alone
	if err != nil {
		return fmt.Errorf("write the keys: %w", err)
	}
	_, err = next.Write(text)
	if err == nil {
		err = next.Sync()
	}
	if closed := next.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		_ = os.Remove(next.Name())
		return fmt.Errorf("write the keys: %w", err)
	}
	return nil
}
