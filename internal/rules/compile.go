package rules

import (
	"fmt"
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"
	"github.com/zeebo/xxh3"
	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/internal/participant"
)

// compiler turns the document's rules into closures.
type compiler struct {
	*reader
	env     *environment
	schema  *participant.Schema
	slots   []slot
	classes map[string]*participant.Class
	program *Program
	costs   []uint64 // by event type, what its rules may cost at worst
	used    map[string]bool
	names   map[string]int // rule names, with the line of their first use
	broken  bool           // the contract or the state has mistakes
}

// draft is a rule that is checked, but not yet compiled for a type of event.
type draft struct {
	name    string
	place   int // in Schema.Rules
	on      []int
	when    *expression
	actions []draftAction
	notices []draftNotice
}

type draftAction struct {
	slot int
	next *expression
}

type draftNotice struct {
	key         uint32
	name        string
	when        *expression
	title, body []piece
}

func (c *compiler) rule(n *yaml.Node) {
	m := c.fields(n, "a rule", "name", "on", "when", "set", "notify")
	if n.Kind != yaml.MappingNode {
		return
	}
	var d draft
	if m["name"] == nil {
		c.note(n, "the rule has no name: write name: …")
	} else if name, ok := c.name(m["name"], "rule", plainName); ok {
		d.name, d.place = name, len(c.schema.Rules)
		c.schema.Rules = append(c.schema.Rules, name)
		if line, twice := c.names[name]; twice {
			c.note(m["name"], "rule `%s` stands twice, first in line %d", name, line)
		}
		c.names[name] = m["name"].Line
	}
	if m["set"] == nil && m["notify"] == nil {
		c.note(n, "the rule does nothing: write set: or notify:")
	}
	if d.on = c.on(n, m["on"]); len(d.on) == 0 {
		return
	}
	v, err := c.env.view(d.on)
	if err != nil {
		c.note(n, "%s", err)
		return
	}
	d.when = c.condition(v, m["when"])
	for _, e := range c.entries(m["set"], "set") {
		at := slotIndex(c.schema.Slots, e.key.Value)
		if at < 0 {
			c.note(e.key, "unknown slot `%s`%s", e.key.Value, suggestion(e.key.Value, c.schema.SlotNames()))
			continue
		}
		c.used["slot "+e.key.Value] = true
		if x := c.expression(v, e.value, "the expression of `"+e.key.Value+"`"); x != nil {
			d.actions = append(d.actions, draftAction{at, x})
		}
	}
	for i, item := range c.items(m["notify"], "notify") {
		if i == noticesMax {
			c.note(item, "a rule can notify at most %d times", noticesMax)
			break
		}
		c.notice(&d, v, item)
	}
	c.finish(&d)
}

// on reads which types of event a rule is about.
func (c *compiler) on(rule, n *yaml.Node) []int {
	if n == nil {
		c.note(rule, "the rule has no event type: write on: …")
		return nil
	}
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var on []int
	for _, item := range list {
		if item.Kind != yaml.ScalarNode {
			c.wrong(item, "on", "an event type, or a list of them")
			continue
		}
		at := c.schema.TypeIndex(item.Value)
		switch {
		case at < 0:
			c.note(item, "unknown event type `%s`%s", cut(item.Value, 80), suggestion(item.Value, c.schema.TypeNames()))
		case slices.Contains(on, at):
			c.note(item, "event type `%s` stands twice", item.Value)
		default:
			on = append(on, at)
			c.used["event "+item.Value] = true
		}
	}
	if len(list) == 0 {
		c.note(n, "the rule has no event type: write on: …")
	}
	if len(on) < len(list) {
		return nil
	}
	return on
}

// expression checks a scalar; nil where it noted a problem.
func (c *compiler) expression(v *view, n *yaml.Node, what string) *expression {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		c.wrong(n, what, "an expression")
		return nil
	}
	return c.check(v, text{n.Value, c.source.places(n)})
}

// condition checks what must be a bool; nil for an absent one.
func (c *compiler) condition(v *view, n *yaml.Node) *expression {
	if n == nil {
		return nil
	}
	x := c.expression(v, n, "when")
	if x == nil {
		return nil
	}
	root := x.tree.Expr()
	if t := x.tree.GetType(root.ID()); t.String() != "bool" && t.String() != "dyn" {
		c.at(x.place(0), "when must be true or false, the expression is of type %s", typeNameOf(t))
		return nil
	}
	c.unreachable(v, x)
	return x
}

func (c *compiler) warn(n *yaml.Node, format string, args ...any) {
	c.program.warnings = append(c.program.warnings, &Problem{c.file, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

func (c *compiler) notice(d *draft, v *view, item *yaml.Node) {
	m := c.fields(item, "a notification", "name", "class", "when", "title", "body")
	if item.Kind != yaml.MappingNode {
		return
	}
	var n draftNotice
	if m["name"] == nil {
		c.note(item, "the notification has no name: write name: …")
	} else if name, ok := c.name(m["name"], "notification", plainName); ok {
		n.name = name
		if slices.ContainsFunc(d.notices, func(other draftNotice) bool { return other.name == name }) {
			c.note(m["name"], "notification `%s` stands twice in its rule", name)
		}
	}
	class := c.classOf(item, m["class"])
	n.when = c.condition(v, m["when"])
	if m["title"] == nil {
		c.note(item, "the notification has no title: write title: …")
	} else if n.title = c.template(v, m["title"], "title", titleBytesMax); m["title"].Value == "" {
		c.note(m["title"], "the title is empty")
	}
	if m["body"] != nil {
		n.body = c.template(v, m["body"], "body", bodyBytesMax)
	}
	n.key = templateKey(d.name, n.name)
	if other := c.program.templates[n.key]; other != nil && (other.Rule != d.name || other.Name != n.name) {
		c.note(item, "notification `%s` has the same key as `%s` of rule `%s`; rename one of them", n.name, other.Name, other.Rule)
	}
	c.program.templates[n.key] = &participant.Template{Rule: d.name, Name: n.name, Class: class}
	d.notices = append(d.notices, n)
}

func (c *compiler) classOf(item, n *yaml.Node) *participant.Class {
	if n == nil {
		c.note(item, "the notification has no class: write class: … with one of classes")
		return nil
	}
	class := c.classes[n.Value]
	if class == nil {
		c.note(n, "unknown class `%s`%s", cut(n.Value, 80), suggestion(n.Value, slices.Sorted(maps.Keys(c.classes))))
	}
	c.used["class "+n.Value] = true
	return class
}

// templateKey is what a tail remembers of a notification: it depends on
// nothing but the two names.
func templateKey(rule, name string) uint32 {
	return uint32(xxh3.HashString(rule + "\x00" + name))
}

// finish compiles a rule for each of its types of event. Where the contract
// itself has mistakes, types are not to be relied on, and nothing is compiled.
func (c *compiler) finish(d *draft) {
	if c.broken {
		return
	}
	sound := len(c.problems)
	for _, at := range d.on {
		c.program.rules[at] = append(c.program.rules[at], c.bind(d, at))
	}
	if len(c.problems) == sound { // what cannot be compiled has no cost worth telling
		c.program.outlines = append(c.program.outlines, c.outline(d, c.bound(d)))
	}
}

// bind compiles a rule as the event type at that place of the schema sees it.
func (c *compiler) bind(d *draft, at int) rule {
	where := fmt.Sprintf("rule %q", d.name)
	event := &c.schema.Types[at]
	closer := func(x *expression) *closer { return &closer{compiler: c, x: x, event: event, where: where} }
	condition := func(x *expression) fn[bool] {
		if x == nil {
			return nil
		}
		return closer(x).boolean(x.tree.Expr())
	}
	r := rule{place: d.place, when: condition(d.when)}
	for i, a := range d.actions {
		slot := &c.schema.Slots[a.slot]
		compiled := action{slot: a.slot, kind: slot.Kind, atOnce: !reads(d.actions[i+1:], "state."+slot.Name)}
		x := closer(a.next)
		if compiled.atOnce {
			compiled.number = x.number(a.next.tree.Expr(), a.slot)
		}
		if compiled.number == nil {
			compiled.next = x.change(a.next.tree.Expr(), a.slot)
		}
		r.actions = append(r.actions, compiled)
	}
	for _, n := range d.notices {
		r.notices = append(r.notices, notice{
			key: n.key, when: condition(n.when),
			title: c.render(n.title, event, where, titleBytesMax),
			body:  c.render(n.body, event, where, bodyBytesMax),
		})
	}
	return r
}

// reads says whether any of the actions reads what is at a path.
func reads(actions []draftAction, at string) bool {
	found := false
	for _, a := range actions {
		walk(a.next.tree.Expr(), func(e ast.Expr) { found = found || path(e) == at })
	}
	return found
}

// bound refuses expressions that may cost too much, and adds up the others.
func (c *compiler) bound(d *draft) (total uint64) {
	for _, x := range d.expressions() {
		if x.cost > expressionCostMax {
			c.at(x.place(0), "the expression may cost %d units, at most %d are allowed: make it shorter, or the strings in it", x.cost, expressionCostMax)
			continue
		}
		total += x.cost
	}
	for _, at := range d.on {
		c.costs[at] += total
	}
	return total
}

// expressions returns all of a rule's expressions.
func (d *draft) expressions() []*expression {
	var out []*expression
	if d.when != nil {
		out = append(out, d.when)
	}
	for _, a := range d.actions {
		out = append(out, a.next)
	}
	for _, n := range d.notices {
		if n.when != nil {
			out = append(out, n.when)
		}
		for _, p := range slices.Concat(n.title, n.body) {
			if p.expression != nil {
				out = append(out, p.expression)
			}
		}
	}
	return out
}
