package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// shown writes a key's value as the file would have it, secrets redacted.
func (c *Config) shown(k *key) string {
	switch f := k.field(c).(type) {
	case *string:
		return *f
	case *Secret:
		return f.String()
	case *time.Duration:
		return writeDuration(*f)
	case *[]string:
		return strings.Join(*f, ",")
	case *Size:
		return f.String()
	case *bool:
		return fmt.Sprint(*f)
	case *int:
		return fmt.Sprint(*f)
	}
	panic("config: no writer for " + k.name)
}

// yamlValue writes a key's value so that the file reader takes it back.
func (c *Config) yamlValue(k *key) string {
	switch f := k.field(c).(type) {
	case *string:
		return quoted(*f)
	case *[]string:
		parts := make([]string, len(*f))
		for i, s := range *f {
			parts[i] = quoted(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return c.shown(k)
	}
}

// quoted writes text as a YAML string; JSON's quoting is part of YAML.
func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(text)
}

// Show writes the whole configuration as a file that Load would accept, with
// secrets redacted into comments and, if origin is set, where each value comes
// from.
func (c *Config) Show(w io.Writer, origin bool) error {
	_, err := io.WriteString(w, c.render(func(k *key) string {
		if !origin {
			return ""
		}
		return c.Origin(k.name).String()
	}, nil))
	return err
}

// render writes all keys nested by their dots. The remark stands behind a
// value, the heading's lines above it.
func (c *Config) render(remark func(*key) string, heading func(*key) []string) string {
	var b strings.Builder
	var open []string
	for i := range keys {
		k := &keys[i]
		path := strings.Split(k.name, ".")
		parents, leaf := path[:len(path)-1], path[len(path)-1]
		shared := 0
		for shared < len(open) && shared < len(parents) && open[shared] == parents[shared] {
			shared++
		}
		for ; shared < len(parents); shared++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", shared), parents[shared])
		}
		open = parents
		indent := strings.Repeat("  ", len(parents))
		if heading != nil {
			for _, line := range heading(k) {
				fmt.Fprintf(&b, "%s# %s\n", indent, line)
			}
		}
		line := fmt.Sprintf("%s%s: %s", indent, leaf, c.yamlValue(k))
		if k.secret() {
			line = fmt.Sprintf("%s# %s: %s", indent, leaf, orNone(c.shown(k)))
		}
		if text := remark(k); text != "" {
			line += "  # " + text
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// String is the configuration with secrets redacted.
func (c *Config) String() string {
	return c.render(func(*key) string { return "" }, nil)
}

// MarshalJSON writes every key by its dotted name, with its value as text and
// where it comes from; secrets are redacted.
func (c *Config) MarshalJSON() ([]byte, error) {
	type entry struct {
		Value  string `json:"value"`
		Origin string `json:"origin"`
	}
	all := make(map[string]entry, len(keys))
	for i := range keys {
		all[keys[i].name] = entry{c.shown(&keys[i]), c.Origin(keys[i].name).String()}
	}
	return json.Marshal(all)
}

// Change is one key in which two configurations differ.
type Change struct {
	Key     string `json:"key"`
	Before  string `json:"before"` // secrets are redacted
	After   string `json:"after"`
	Restart bool   `json:"restart_required"`
}

// Diff returns the keys in which two configurations differ, in the order of
// the reference.
func Diff(before, after *Config) []Change {
	var changes []Change
	for i := range keys {
		k := &keys[i]
		same := before.shown(k) == after.shown(k)
		if k.secret() {
			same = k.field(before).(*Secret).value == k.field(after).(*Secret).value
		}
		if !same {
			changes = append(changes, Change{k.name, before.shown(k), after.shown(k), !k.live})
		}
	}
	return changes
}
