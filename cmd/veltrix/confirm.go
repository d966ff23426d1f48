package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/service"
)

// exitUsage is the code of a command that was not told enough to act.
const exitUsage = 2

var errDeclined = errors.New("nothing was changed: the answer was another")

// usage is an error of how the command was called.
func usage(format string, args ...any) error {
	return service.WithExitCode(fmt.Errorf(format, args...), exitUsage)
}

// terminal reports whether a person can answer. The null device, which a job
// has for its input, is a character device as a terminal is.
func terminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// confirm asks for a word to be typed, unless yes was said before. Without a
// person to ask, it refuses.
func confirm(cmd *cobra.Command, yes bool, word string) error {
	switch {
	case yes:
		return nil
	case !terminal(cmd.InOrStdin()):
		return usage("this changes the deployment and there is no terminal to confirm it at: give --yes, or look first with --dry-run")
	}
	return ask(cmd.InOrStdin(), cmd.ErrOrStderr(), word)
}

// ask waits for the word.
func ask(in io.Reader, out io.Writer, word string) error {
	_, _ = fmt.Fprintf(out, "type %s to go on: ", word)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(line) != word {
		return errDeclined
	}
	return nil
}
