// Command generate writes the events of a harbour hunt, one structured
// CloudEvent per line, in the order in which they are sent.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/veltrix/veltrix/examples/harbour"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) (err error) {
	o := harbour.Default()
	set := flag.NewFlagSet("generate", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Uint64Var(&o.Seed, "seed", o.Seed, "the same seed gives the same events")
	set.IntVar(&o.Teams, "teams", o.Teams, "number of teams")
	set.IntVar(&o.Players, "players", o.Players, "players per team")
	set.DurationVar(&o.Length, "length", o.Length, "length of the hunt")
	set.IntVar(&o.Late, "late", o.Late, "number of events to hold back until they are late")
	start := set.String("start", o.Start.Format(time.RFC3339), "start of the hunt (RFC 3339); do not set it in the future")
	name := set.String("out", "-", "file to write; - is standard output")
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.Start, err = time.Parse(time.RFC3339, *start); err != nil {
		return fmt.Errorf("--start is %q: give a time such as 2025-06-14T09:00:00Z", *start)
	}
	records, err := harbour.Generate(o)
	if err != nil {
		return err
	}
	out := stdout
	if *name != "-" {
		file, err := os.Create(*name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	if err := harbour.Write(out, records); err != nil {
		return err
	}
	s := harbour.Summarize(records)
	_, err = fmt.Fprintf(stderr, "lines %d  events %d  repeats %d  late %d  out of order %d (up to %s behind)  participants %d\n",
		s.Sendings, s.Events, s.Repeats, s.Late, s.Disordered, s.LagMax, s.Participants)
	return err
}
