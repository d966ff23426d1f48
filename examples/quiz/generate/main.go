// Command generate writes the events of a quiz, one structured CloudEvent per
// line, in the order in which they are sent: some late, some twice.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/examples/quiz"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) (err error) {
	o := quiz.Default()
	set := flag.NewFlagSet("generate", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Uint64Var(&o.Seed, "seed", o.Seed, "the same seed gives the same events")
	set.IntVar(&o.Players, "players", o.Players, "number of players; each has some 34 events")
	set.IntVar(&o.Replicas, "replicas", o.Replicas, "number of replicas of the back end, each with its own clock")
	start := set.String("start", o.Start.Format(time.RFC3339), "start of the evening (RFC 3339); do not set it in the future")
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.Start, err = time.Parse(time.RFC3339, *start); err != nil {
		return fmt.Errorf("--start is %q: give a time such as 2025-11-07T20:00:00Z", *start)
	}
	events, err := quiz.Generate(o)
	if err != nil {
		return err
	}
	var sorted bytes.Buffer
	if err := quiz.Write(&sorted, events); err != nil {
		return err
	}
	repeats, err := examples.Disorder(stdout, &sorted, o.Seed, examples.QuizAnswers)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "lines %d  events %d  repeats %d  players %d\n", len(events)+repeats, len(events), repeats, o.Players)
	return err
}
