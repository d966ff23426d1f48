package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// writePage puts a report, with the command that made it, into a page between the
// two lines that mark its place by name.
func writePage(path, name, command string, write func(io.Writer) error) error {
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write the report into a page: %w", err)
	}
	before, rest, ok1 := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the report: a line %q and a line %q", path, strings.TrimSpace(begin), end)
	}
	var text strings.Builder
	if err := write(&text); err != nil {
		return err
	}
	page := before + begin + "```\n$ " + command + "\n" + text.String() + "```\n" + end + after
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		return fmt.Errorf("write the report into a page: %w", err)
	}
	return nil
}

// writeJSON writes a report for machines.
func writeJSON(w io.Writer, report any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
