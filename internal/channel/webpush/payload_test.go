package webpush

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/delivery"
)

func TestShorten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"abcdefghijkl", "ü€𝄞ü€𝄞", "€€€€" + ellipsis} {
		for over := 1; over <= len(text)+1; over++ {
			got := shorten(text, over)
			if !utf8.ValidString(got) || !strings.HasSuffix(got, ellipsis) || !strings.HasPrefix(text, strings.TrimSuffix(got, ellipsis)) {
				t.Errorf("%q without %d bytes is %q", text, over, got)
			}
			if len(got) > max(len(text)-over, len(ellipsis)) {
				t.Errorf("%q without %d bytes still has %d", text, over, len(got))
			}
		}
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, x := range map[string]struct {
		expires time.Time
		want    int
	}{
		"no end":         {time.Time{}, 28 * 24 * 3600},
		"in a minute":    {now.Add(time.Minute), 60},
		"over":           {now.Add(-time.Minute), 0},
		"in a long time": {now.Add(1000 * time.Hour), 28 * 24 * 3600},
	} {
		if got := TTL(&delivery.Notification{Expires: x.expires}, now); got != x.want {
			t.Errorf("%s: %d s, want %d", name, got, x.want)
		}
	}
}

// TestForeignErrors checks that the library's words, which may hold an
// endpoint, do not get into a receipt.
func TestForeignErrors(t *testing.T) {
	t.Parallel()
	res := failure(errors.New(`parse "https://webpushgo.example/secret": no`))
	if res.Verdict != delivery.Refused || strings.Contains(res.Reason, "secret") {
		t.Errorf("got %+v", res)
	}
}
