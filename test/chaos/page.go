package chaos

import (
	"fmt"
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
