package veltrix_test

import (
	"bytes"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// unwanted is text that no file holds: a path of one machine, or the host of a
// registry. The tools find registries by their own configuration, so that a
// mirror can stand in. Each is written in two parts, or this file would hold it.
var unwanted = []string{
	"/wo" + "rk/",
	"shared/" + "design",
	"proxy.golang" + ".org",
	"repo.maven" + ".apache",
	"repo1.maven" + ".org",
	"deb.debian" + ".org",
	"files.pythonhosted" + ".org",
	"pypi" + ".org",
	"registry.npmjs" + ".org",
}

func TestUnwantedText(t *testing.T) {
	for _, name := range files(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range unwanted {
			if at := bytes.Index(text, []byte(word)); at >= 0 {
				t.Errorf("%s:%d holds %q", name, 1+bytes.Count(text[:at], []byte("\n")), word)
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)\s]*)?\)`)

// A link from one page to another, or to a file, leads somewhere.
func TestLinks(t *testing.T) {
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllSubmatch(text, -1) {
			to := string(found[1])
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			if _, err := os.Stat(path.Join(path.Dir(name), to)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, to)
			}
		}
	}
}
