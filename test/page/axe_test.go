package page_test

import (
	"flag"
	"os"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/veltrix/veltrix/internal/delivery"
)

var rewrite = flag.Bool("rewrite", false, "write the pictures of the page in docs/images anew")

const (
	axeSource  = "../../.cache/page/node_modules/axe-core/axe.min.js"
	pictureMax = 100 << 10 // bytes
)

// hunt fills an inbox with the same messages at any time: one changed, one
// expired, two seen.
func (b *tab) hunt() {
	b.t.Helper()
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for i, n := range []struct{ class, title, body string }{
		{"welcome", "Welcome to the harbour hunt", "Twelve clues are hidden between the piers."},
		{"hint", "A hint for the next half hour", "Look where ropes are made."},
		{"clue", "Clue 3 found", "30 points. 9 to go."},
		{"clue", "Clue 4 found", "40 points. 8 to go."},
	} {
		b.add(i+1, func(d *delivery.Notification) {
			d.Class, d.Title, d.Body, d.Arrival = n.class, n.title, n.body, at.Add(time.Duration(i)*7*time.Minute)
			if n.class == "hint" {
				d.Expires = d.Arrival.Add(30 * time.Minute)
			}
		})
	}
	b.add(3, revised(delivery.Update, "Clue 3 found, first of all teams"), func(d *delivery.Notification) {
		d.Class, d.Body, d.Arrival = "clue", "45 points. 8 to go.", at.Add(30*time.Minute)
	})
	if _, err := b.inbox.Ack(b.t.Context(), player, 2); err != nil {
		b.t.Fatal(err)
	}
}

// accessible holds the page against axe-core's rules, empty, full and in
// trouble, in both schemes. The pictures in the documents are of the full one.
func accessible(b *tab) {
	source, err := os.ReadFile(axeSource)
	if err != nil {
		b.t.Fatalf("axe-core is not there (%v): run make setup", err)
	}
	rules := string(source)
	for _, name := range []string{"light", "dark"} {
		b.do(chromedp.EmulateViewport(800, 600), scheme(name))
		b.inbox.Forget(player)
		b.do(chromedp.Navigate("about:blank")) // or only the fragment would change
		b.visit()
		b.until("an empty inbox", func(v view) bool { return v.Empty && v.State == "Live" })
		b.violations(rules, name+", empty")
		b.hunt()
		b.do(chromedp.Navigate("about:blank"))
		b.visit()
		b.until("all", func(v view) bool { return len(v.Cards) == 4 && v.State == "Live" && v.Title == "(2) Inbox" })
		b.violations(rules, name+", full")
		b.picture("../../docs/images/inbox-" + name + ".png")
		b.do(chromedp.Navigate("about:blank"))
		b.visitWith("nonsense")
		b.until("trouble", func(v view) bool { return v.Notice != "" })
		b.violations(rules, name+", with a notice")
	}
	// The rules do find what is wrong.
	evaluate[bool](b, `document.documentElement.removeAttribute("lang"), true`)
	if got := evaluate[string](b, rules+axe); !strings.Contains(got, "html-has-lang") {
		b.t.Errorf("without a language axe-core says %q", got)
	}
}

// axe names what is wrong, or could not be decided, or that nothing was looked at.
const axe = `; axe.run(document).then(r => (r.passes.length < 20 ? "only " + r.passes.length + " rules passed. " : "") +
  [...r.violations, ...r.incomplete].map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html).join(" ")).join("\n"))`

func (b *tab) violations(rules, when string) {
	b.t.Helper()
	if got := evaluate[string](b, rules+axe); got != "" {
		b.t.Errorf("%s: %s", when, got)
	}
}

// picture checks that a picture of the page is in the documents, or puts it there.
func (b *tab) picture(name string) {
	b.t.Helper()
	if *rewrite {
		taken, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(name, taken, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Size() == 0 || info.Size() > pictureMax {
		b.t.Errorf("the picture %s is missing or too large (%v): run go test ./test/page -rewrite", name, err)
	}
}
