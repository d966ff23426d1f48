package rules

import (
	"slices"
	"strings"
)

// Outline is a rule in the words of its file.
type Outline struct {
	Name   string          `json:"name"`
	On     []string        `json:"on"`
	When   string          `json:"when,omitempty"` // empty: always
	Set    []OutlineSet    `json:"set,omitempty"`
	Notify []OutlineNotice `json:"notify,omitempty"`
	// Cost is what one event may cost in this rule at worst, in CEL's units.
	Cost uint64 `json:"cost"`
}

// OutlineSet is what becomes of a slot.
type OutlineSet struct {
	Slot string `json:"slot"`
	To   string `json:"to"`
}

// OutlineNotice is a notification of a rule.
type OutlineNotice struct {
	Name     string   `json:"name"`
	Class    string   `json:"class"`
	Channels []string `json:"channels"`
	When     string   `json:"when,omitempty"`
	Title    string   `json:"title"`
	Body     string   `json:"body,omitempty"`
}

// Outlines returns the rules in the order in which they run.
func (p *Program) Outlines() []Outline { return p.outlines }

// EventCostMax is what all rules together may cost for one event, in CEL's units.
const EventCostMax = eventCostMax

func (c *compiler) outline(d *draft, cost uint64) Outline {
	o := Outline{Name: d.name, When: written(d.when), Cost: cost}
	for _, at := range d.on {
		o.On = append(o.On, c.schema.Types[at].Name)
	}
	for _, a := range d.actions {
		o.Set = append(o.Set, OutlineSet{c.schema.Slots[a.slot].Name, written(a.next)})
	}
	for i := range d.notices {
		n := &d.notices[i]
		out := OutlineNotice{Name: n.name, When: written(n.when), Title: spelled(n.title), Body: spelled(n.body)}
		if class := c.program.templates[n.key].Class; class != nil {
			out.Class, out.Channels = class.Name, slices.Clone(class.Channels)
		}
		o.Notify = append(o.Notify, out)
	}
	return o
}

func written(x *expression) string {
	if x == nil {
		return ""
	}
	return strings.Join(strings.Fields(x.value), " ")
}

func spelled(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		if p.expression == nil {
			b.WriteString(p.literal)
			continue
		}
		b.WriteString("${" + p.expression.value + "}")
	}
	return b.String()
}
