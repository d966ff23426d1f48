package inboxapi

import "testing"

// FuzzCursor reads cursors of any form: what is taken is written again as one
// that means the same, and no offset is negative.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{"", "abc-1", "abc-0001", "a-9223372036854775807", "a-9223372036854775808", "-1", "A-1", "a--1", "a-1\n", "é-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil || text == "" {
			return
		}
		again, err := parseCursor(cursorText(c))
		if err != nil || again != c || c.Offset < 0 || c.Epoch == "" {
			t.Errorf("%q is read as %+v, and what that is written as as %+v, %v", text, c, again, err)
		}
	})
}
