package chaos

import (
	"fmt"
	"os"
	"strings"
)

// between puts text between a page's marks of a name.
func between(page, name, text string) (string, error) {
	begins, ends := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->\n"
	before, rest, ok := strings.Cut(page, begins)
	_, after, ok2 := strings.Cut(rest, ends)
	if !ok || !ok2 {
		return "", fmt.Errorf("the page has no place for it: %s and %s", strings.TrimSpace(begins), strings.TrimSpace(ends))
	}
	return before + begins + text + ends + after, nil
}

// WriteCampaign puts a campaign's summary where the page has a place for it. The
// command is the one that made it.
func WriteCampaign(path, command, machine string, s *Summary) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	body := fmt.Sprintf("`%s` on %s: %d schedules, %d ended as expected; %d events had to count.\n\n%s", command, machine, s.Schedules, s.Passed, s.Events, s.Table())
	page, err := between(string(text), "chaos", body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o644)
}
