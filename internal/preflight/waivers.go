package preflight

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Waiver accepts for a time what a check finds.
type Waiver struct {
	ID      string
	Reason  string
	Expires time.Time // the first moment at which it does not hold any more
}

// waiversMax bounds a file of waivers.
const waiversMax = 1 << 20

// waive notes that a finding is accepted, or that it was until its waiver
// expired: then it counts again, and the report says why it is back.
func waive(r *Result, opts Options) {
	if r.State == Pass || r.State == Skip {
		return
	}
	for _, w := range opts.Waivers {
		switch {
		case w.ID != r.ID:
		case opts.Now.Before(w.Expires):
			r.Waived, r.Until = w.Reason, w.lastDay()
		default:
			r.Expired = w.lastDay() + ": " + w.Reason
		}
	}
	if r.Waived != "" {
		r.Expired = ""
	}
}

func (w Waiver) lastDay() string { return w.Expires.Add(-time.Nanosecond).UTC().Format(time.DateOnly) }

// ReadWaivers reads a file of waivers: a list, each with id, reason and the last
// day on which it holds. Whatever is wrong is said with its line, all at once: a
// waiver that is half understood would waive too much or nothing.
func ReadWaivers(path string) ([]Waiver, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the waivers: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, waiversMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the waivers: %w", err)
	}
	if len(text) > waiversMax {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, waiversMax)
	}
	r := waiverReader{path: path}
	waivers := r.file(text)
	return waivers, errors.Join(r.problems...)
}

type waiverReader struct {
	path     string
	problems []error
}

func (r *waiverReader) wrong(line int, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%s:%d: "+format, append([]any{r.path, line}, args...)...))
}

func (r *waiverReader) file(text []byte) []Waiver {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.problems = append(r.problems, fmt.Errorf("%s is not YAML: %w", r.path, err))
		return nil
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		r.wrong(1, "holds more than one document")
		return nil
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.SequenceNode {
		r.wrong(root.Line, "must be a list: - {id: K02, reason: …, expires: 2026-12-31}")
		return nil
	}
	var waivers []Waiver
	for _, node := range root.Content {
		w, ok := r.waiver(node)
		if !ok {
			continue
		}
		if slices.ContainsFunc(waivers, func(other Waiver) bool { return other.ID == w.ID }) {
			r.wrong(node.Line, "%s is waived twice; keep one", w.ID)
			continue
		}
		waivers = append(waivers, w)
	}
	return waivers
}

func (r *waiverReader) waiver(node *yaml.Node) (Waiver, bool) {
	before := len(r.problems)
	if node.Kind != yaml.MappingNode {
		r.wrong(node.Line, "a waiver has id, reason and expires")
		return Waiver{}, false
	}
	given := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		at, value := node.Content[i], node.Content[i+1]
		switch {
		case !slices.Contains([]string{"id", "reason", "expires"}, at.Value):
			r.wrong(at.Line, "%q is not a part of a waiver: it has id, reason and expires", at.Value)
		case given[at.Value] != nil:
			r.wrong(at.Line, "%s is given twice", at.Value)
		case value.Kind != yaml.ScalarNode:
			r.wrong(value.Line, "%s takes one text", at.Value)
		default:
			given[at.Value] = value
		}
	}
	text := func(name string) string {
		if given[name] == nil {
			return ""
		}
		return strings.TrimSpace(given[name].Value)
	}
	w := Waiver{ID: text("id"), Reason: text("reason")}
	if e, ok := Find(w.ID); !ok || e.ID != w.ID {
		r.wrong(node.Line, "no check has the ID %q: veltrix doctor list shows them", w.ID)
	}
	if w.Reason == "" {
		r.wrong(node.Line, "give a reason for the waiver of %s", w.ID)
	}
	switch day, err := time.Parse(time.DateOnly, text("expires")); {
	case text("expires") == "":
		r.wrong(node.Line, "give the last day on which the waiver of %s holds (expires: 2026-12-31)", w.ID)
	case err != nil:
		r.wrong(given["expires"].Line, "expires %q is not a day such as 2026-12-31", text("expires"))
	default:
		w.Expires = day.AddDate(0, 0, 1) // that day still holds, in UTC
	}
	return w, len(r.problems) == before
}
