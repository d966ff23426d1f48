package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/internal/participant"
)

// LoadFile reads and compiles a rules file.
func LoadFile(path string) (*Program, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the rules file: %w", err)
	}
	defer file.Close()
	src, err := io.ReadAll(io.LimitReader(file, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the rules file: %w", err)
	}
	return Load(path, src)
}

// LoadFixturesFile reads a file of tests, and the rules file that it names
// beside it. The error is Problems with every mistake, where it is one of the files.
func LoadFixturesFile(path string) (*Fixtures, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the tests: %w", err)
	}
	r := &reader{file: path, source: newSource(src)}
	root := r.parse(src)
	if root == nil {
		return nil, r.problems.sorted()
	}
	m := r.fields(root, "a file of tests", "rules", "start", "tests")
	name, ok := "", false
	if n := m["rules"]; n != nil {
		name, ok = r.text(n, "rules")
	} else if root.Kind == yaml.MappingNode {
		r.note(root, "the file names no rules: write rules: rules.yaml")
	}
	if !ok {
		return nil, r.problems.sorted()
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(path), name)
	}
	program, err := LoadFile(name)
	if err != nil {
		return nil, err
	}
	f := &Fixtures{File: path, Program: program}
	r.tests(f, m)
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return f, nil
}

// Load compiles a rules file; name stands for it in messages. The error is
// Problems with every mistake of the file, sorted by position.
func Load(name string, src []byte) (*Program, error) {
	r := &reader{file: name, source: newSource(src)}
	program := r.load(src)
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return program, nil
}

func (r *reader) load(src []byte) *Program {
	if len(src) > fileBytesMax {
		r.at(place{1, 1}, "the file has more than %d bytes", fileBytesMax)
		return nil
	}
	root := r.parse(src)
	if root == nil {
		return nil
	}
	r.plain(root)
	m := r.fields(root, "the rules file", "hunt", "version", "events", "state", "rules", "classes",
		"leaderboards", "order", "limits", "unknown")
	if root.Kind != yaml.MappingNode {
		return nil
	}
	schema := participant.Schema{
		Digest: digest(root), Order: r.order(m["order"]), EventBytesMax: r.limits(m["limits"]),
	}
	r.heading(&schema, root, m)
	sound := len(r.problems)
	schema.Types = r.events(m["events"])
	slots := r.state(m["state"])
	for i := range slots {
		schema.Slots = append(schema.Slots, slots[i].Slot)
	}
	c := &compiler{
		reader: r, slots: slots, classes: r.classes(m["classes"]), schema: participant.NewSchema(schema),
		broken: len(r.problems) > sound,
		used:   make(map[string]bool), names: make(map[string]int), costs: make([]uint64, len(schema.Types)),
	}
	c.program = &Program{
		schema: c.schema, rules: make([][]rule, len(schema.Types)),
		templates: make(map[uint32]*participant.Template),
	}
	c.compile(m)
	return c.program
}

// parse returns the document's root, or nil.
func (r *reader) parse(src []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var document, more yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			r.at(place{1, 1}, "the file is empty: write hunt, version, events, state and rules")
			return nil
		}
		r.syntax(err)
		return nil
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			r.syntax(err)
			return nil
		}
		r.note(&more, "the file holds more than one document")
		return nil
	}
	if len(document.Content) != 1 {
		r.at(place{1, 1}, "the file is empty: write hunt, version, events, state and rules")
		return nil
	}
	return document.Content[0]
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (r *reader) syntax(err error) {
	line := 1
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	r.at(place{line, 1}, "not YAML: %s", yamlLine.ReplaceAllString(err.Error(), ""))
}

// plain refuses what makes a file say more than it shows: anchors, aliases,
// merge keys and explicit tags.
func (r *reader) plain(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.note(n, "aliases are not allowed: write the value out")
		return
	case n.Anchor != "":
		r.note(n, "anchors are not allowed: write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		r.note(n, "tags such as %s are not allowed", cut(n.Tag, 80))
	}
	for _, child := range n.Content {
		r.plain(child)
	}
}

// heading reads what names the file, and its policy on unknown events.
func (r *reader) heading(s *participant.Schema, root *yaml.Node, m map[string]*yaml.Node) {
	for _, key := range []string{"hunt", "version", "events", "rules"} {
		if m[key] == nil {
			r.note(root, "the rules file has no %s", key)
		}
	}
	if n := m["hunt"]; n != nil {
		s.Hunt, _ = r.name(n, "hunt", plainName)
	}
	if n := m["version"]; n != nil {
		version, _ := r.integer(n, "version", 1, math.MaxInt32)
		s.Version = int(version)
	}
	if n := m["unknown"]; n != nil {
		policy, _ := r.choice(n, "unknown", "accept", "reject")
		s.RejectUnknown = policy == "reject"
	}
}

// compile reads the rules and what refers to the state.
func (c *compiler) compile(m map[string]*yaml.Node) {
	env, err := newEnvironment(c.schema)
	if err != nil {
		c.at(place{1, 1}, "%s", err)
		return
	}
	c.env = env
	list := c.items(m["rules"], "rules")
	if len(list) > rulesMax {
		c.note(m["rules"], "%d rules, at most %d are allowed", len(list), rulesMax)
		return
	}
	for _, n := range list {
		c.rule(n)
	}
	for at, worst := range c.costs {
		if worst > eventCostMax {
			c.note(m["rules"], "an event of type `%s` may cost %d units in all rules, at most %d are allowed",
				c.schema.Types[at].Name, worst, eventCostMax)
		}
	}
	c.leaderboards(m["leaderboards"])
	c.unused(m)
	c.program.warnings = c.program.warnings.sorted()
	most := 0
	for _, rules := range c.program.rules {
		for i := range rules {
			most = max(most, len(rules[i].actions))
		}
	}
	c.program.frames.New = func() any { return &frame{pending: make([]participant.Value, most)} }
}

// leaderboardsMax bounds the sorted sets that a partition's move writes.
const leaderboardsMax = 16

func (c *compiler) leaderboards(n *yaml.Node) {
	for _, e := range c.entries(n, "leaderboards") {
		name, ok := c.name(e.key, "leaderboard", plainName)
		what := "leaderboard `" + name + "`"
		m := c.fields(e.value, what, "by", "order")
		if !ok || e.value.Kind != yaml.MappingNode {
			continue
		}
		board := participant.Leaderboard{Name: name}
		if order := m["order"]; order != nil {
			way, _ := c.choice(order, "order", "desc", "asc")
			board.Ascending = way == "asc"
		}
		if m["by"] == nil {
			c.note(e.key, "%s has no by: write by: state.<slot>", what)
			continue
		}
		if board.Slot, ok = c.rankedSlot(m["by"]); ok {
			c.schema.Leaderboards = append(c.schema.Leaderboards, board)
		}
	}
	if len(c.schema.Leaderboards) > leaderboardsMax {
		c.note(n, "%d leaderboards, at most %d are allowed", len(c.schema.Leaderboards), leaderboardsMax)
	}
}

// rankedSlot finds the slot that a leaderboard ranks by.
func (c *compiler) rankedSlot(by *yaml.Node) (slot int, ok bool) {
	name, found := strings.CutPrefix(by.Value, "state.")
	at := slotIndex(c.schema.Slots, name)
	switch {
	case !found || by.Kind != yaml.ScalarNode:
		c.wrong(by, "by", "a slot of type int or time, such as state.score")
	case at < 0:
		c.note(by, "unknown slot `%s`%s", cut(name, 80), suggestion(name, c.schema.SlotNames()))
	case c.slots[at].Kind != participant.KindInt && c.slots[at].Kind != participant.KindTime:
		c.note(by, "slot `%s` is of type %s; a leaderboard ranks by an int or a time", name, c.slots[at].Kind)
	default:
		return at, true
	}
	return 0, false
}

// unused warns of declarations that nothing refers to.
func (c *compiler) unused(m map[string]*yaml.Node) {
	for _, section := range []struct{ key, prefix, message string }{
		{"events", "event ", "no rule is on event type `%s`: it is accepted and has no effect"},
		{"state", "slot ", "no rule sets slot `%s`"},
		{"classes", "class ", "no notification is of class `%s`"},
	} {
		if n := m[section.key]; n != nil && n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if key := n.Content[i]; !c.used[section.prefix+key.Value] {
					c.warn(key, section.message, key.Value)
				}
			}
		}
	}
}
