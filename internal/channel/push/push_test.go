package push

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

func TestFit(t *testing.T) {
	t.Parallel()
	encode := func(title, body string) []byte {
		text, err := json.Marshal([]string{title, body})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, x := range []struct {
		limit              int
		title, body        string
		wantTitle, wantTxt string
		fits               bool
	}{
		{100, "title", "body", "title", "body", true},
		{20, "title", "eight by", "title", "eight by", true},
		{19, "title", "eight by", "title", "eigh…", true},
		{19, "title", "ätühtbÿ", "title", "ät…", true}, // never half a rune
		{19, "title", `""""""""`, "title", `""…`, true},
		{13, "title of its own", "long body", "tit…", "", true}, // the body is gone: the title is next
		{7, "title", "body", "", "", true},
		{6, "title", "body", "", "", false},
	} {
		got, ok := Fit(x.limit, x.title, x.body, encode)
		var parts []string
		if err := json.Unmarshal(got, &parts); err != nil {
			t.Fatal(err)
		}
		if ok != x.fits || ok && (len(got) > x.limit || parts[0] != x.wantTitle || parts[1] != x.wantTxt) {
			t.Errorf("%q, %q within %d bytes: %s, %v", x.title, x.body, x.limit, got, ok)
		}
	}
	for limit := range 40 {
		if s := Shorten(strings.Repeat("é", 15), limit); len(s) > limit || !utf8.ValidString(s) {
			t.Errorf("within %d bytes: %q", limit, s)
		}
	}
}

func TestScheduleAndExpiry(t *testing.T) {
	t.Parallel()
	total, tries := time.Duration(0), 1
	for pause, more := Retry(tries); more; pause, more = Retry(tries) {
		total += pause
		tries++
	}
	if tries != 8 || total > 30*time.Minute || total < 25*time.Minute {
		t.Errorf("%d tries within %v, want 8 within half an hour", tries, total)
	}
	if _, more := Retry(0); more {
		t.Error("there is a pause before the first try")
	}
	n := deliverytest.Note("alice", 1)
	if got := Expiry(n); !got.Equal(n.Arrival.Add(KeepMax)) {
		t.Errorf("without an expiry it is kept until %v", got)
	}
	if n.Expires = n.Arrival.Add(2 * KeepMax); !Expiry(n).Equal(n.Arrival.Add(KeepMax)) {
		t.Errorf("with a late expiry it is kept until %v", Expiry(n))
	}
	if n.Expires = n.Arrival.Add(time.Hour); !Expiry(n).Equal(n.Expires) {
		t.Errorf("with an expiry it is kept until %v", Expiry(n))
	}
}

func TestWord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"UNREGISTERED", "BadDeviceToken", "invalid_grant"} {
		if Word(text) != text {
			t.Errorf("%q is dropped", text)
		}
	}
	for _, text := range []string{"", "a sentence with a token", "abc:APA91b", strings.Repeat("a", 65), "0a1b"} {
		if Word(text) != "" {
			t.Errorf("%q is repeated", text)
		}
	}
}
