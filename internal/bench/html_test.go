package bench

import (
	"regexp"
	"strings"
	"testing"
)

var (
	anID     = regexp.MustCompile(` id="([^"]*)"`)
	aSVG     = regexp.MustCompile(`(?s)<svg .*?</svg>`)
	anyAsset = regexp.MustCompile(`(?i)\b(src|href|action|data)=|url\(|@import|<script|<link|<iframe`)
)

// sound checks a page: so many plots, each with a title and words in place of it, and
// nothing that is fetched from elsewhere.
func sound(t *testing.T, html []byte, plots int) {
	t.Helper()
	page := string(html)
	if found := anyAsset.FindString(page); found != "" {
		t.Errorf("the page fetches something: %s", found)
	}
	all := aSVG.FindAllString(page, -1)
	if len(all) != plots {
		t.Errorf("%d plots, want %d", len(all), plots)
	}
	for _, plot := range all {
		if names := wellFormed(t, plot); names[1] != "title" || names[2] != "desc" || strings.Contains(plot, "></title>") || strings.Contains(plot, "></desc>") || !strings.Contains(plot, `role="img"`) {
			t.Errorf("nobody can hear what is in this plot: %s", plot)
		}
		if strings.Contains(plot, "NaN") || strings.Contains(plot, "Inf") {
			t.Errorf("a plot without numbers: %s", plot)
		}
	}
	seen := map[string]bool{}
	for _, m := range anID.FindAllStringSubmatch(page, -1) {
		if seen[m[1]] {
			t.Errorf("two things are called %s", m[1])
		}
		seen[m[1]] = true
	}
	for _, want := range []string{"prefers-color-scheme: dark", `<html lang="en">`, `<th scope="col">`, `<th scope="row">`, "<dt>machine</dt>", "<dt>compared</dt>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// TestPageOfABench: the figures stand in the table and in words beside the plots, and
// what others named is text.
func TestPageOfABench(t *testing.T) {
	r := report()
	r.Machine.Model = `<script>alert("x")</script>`
	r.Variants[1].Name = `<b onload="x">`
	r.Redis = Process{Reason: elsewhere}
	page, err := r.HTML("veltrix bench --html 'a&b'")
	if err != nil {
		t.Fatal(err)
	}
	sound(t, page, 2)
	for _, want := range []string{
		"&lt;script&gt;", "&lt;b onload=", "$ veltrix bench --html &#39;a&amp;b&#39;", "<td>188</td>", "loop: 500, from 250 to 1,000.",
		"Redis (not measured)", "Redis: not measured (on another machine)", "3 rounds of 1,000 events",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "<b onload") {
		t.Error("a name became markup")
	}
}
