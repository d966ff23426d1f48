package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Entry is what is known of a check before it runs. It is the only place where
// this is written: checks, the page docs/doctor.md and `veltrix doctor explain`
// take it from here.
type Entry struct {
	ID       string    `json:"id"`       // stable: operators, waivers and alarms refer to it
	Title    string    `json:"title"`    // what is wrong when it fails
	Harm     string    `json:"harm"`     // of order, exactly-once, durability, latency, security: those it threatens
	Severity Severity  `json:"severity"` //
	Players  string    `json:"players"`  // what players would notice
	Look     string    `json:"look"`     // how it is found
	Fix      string    `json:"fix"`      //
	Symptoms []Symptom `json:"symptoms"` // what it looks like from outside
	// Services are those whose start it concerns, and whose metrics show it.
	Services []string `json:"services"`
	// Guarded: the services bound the harm themselves, partition by partition or
	// record by record, so that even a critical failure refuses no start.
	Guarded bool `json:"guarded,omitempty"`
	// NotDetected: the row is true, and nothing looks for it yet.
	NotDetected bool `json:"not_detected,omitempty"`
	// Untried is the part of the detection that no test has seen fail on the real
	// thing, since it cannot be made here, and what was done instead.
	Untried string `json:"untried,omitempty"`
	// Probe: only veltrix doctor --probe looks for it, because that leaves traces.
	Probe bool `json:"probe,omitempty"`
}

// Symptom is what somebody sees who does not know the cause.
type Symptom string

// The symptoms.
const (
	OutOfOrder Symptom = "out of order"
	Missing    Symptom = "missing updates"
	Duplicates Symptom = "duplicates"
	Congestion Symptom = "congestion"
)

// Symptoms in the order of the page.
func Symptoms() []Symptom { return []Symptom{OutOfOrder, Missing, Duplicates, Congestion} }

// The services that checks concern.
const (
	producer  = "producer"
	processor = "processor"
	notifier  = "notifier"
)

// Groups of the catalogue, by the first letter of an ID.
var groups = []struct{ letter, title string }{
	{"K", "Kafka: brokers and topics"},
	{"C", "Consumers and groups"},
	{"P", "Producers of events"},
	{"R", "Redis"},
	{"N", "Notifications"},
	{"S", "Secrets and listeners"},
}

// Catalogue returns every entry, in the order of the page.
func Catalogue() []Entry {
	return slices.Concat(kafkaEntries, consumerEntries, producerEntries, redisEntries, notificationEntries, securityEntries)
}

// Find returns the entry with an ID, in any case.
func Find(id string) (Entry, bool) {
	for _, e := range Catalogue() {
		if strings.EqualFold(e.ID, id) {
			return e, true
		}
	}
	return Entry{}, false
}

// New returns the check of an entry; it panics where the catalogue has none.
func New(id string, run func(context.Context) Finding) Check {
	e, ok := Find(id)
	if !ok {
		panic("preflight: the catalogue has no " + id)
	}
	return Check{ID: e.ID, Title: e.Title, Harm: e.Harm, Severity: e.Severity, Players: e.Players, Guarded: e.Guarded, Run: run}
}

// Concerning returns the checks of a service's start. No service probes.
func Concerning(service string, checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool {
		e, _ := Find(c.ID)
		return e.Probe || !slices.Contains(e.Services, service)
	})
}

// Unprobed are the checks that are left to --probe, which skip with a sentence that
// says what they need.
func Unprobed() (checks []Check) {
	for _, e := range Catalogue() {
		if e.Probe {
			checks = append(checks, New(e.ID, func(context.Context) Finding {
				return Skipped("only veltrix doctor --probe looks: " + e.Look)
			}))
		}
	}
	return checks
}

// Replaced returns checks with those of the same ID in others in their place.
func Replaced(checks []Check, others ...Check) []Check {
	checks = slices.Clone(checks)
	for i := range checks {
		for _, o := range others {
			if o.ID == checks[i].ID {
				checks[i] = o
			}
		}
	}
	return checks
}

// Needing marks checks that cannot look without a server, by its name in
// Options.Reach; several have a space between them.
func Needing(server string, checks ...Check) []Check {
	for i := range checks {
		checks[i].Needs = server
	}
	return checks
}

// Sorted returns checks in the order of the catalogue.
func Sorted(checks []Check) []Check {
	place := map[string]int{}
	for i, e := range Catalogue() {
		place[e.ID] = i
	}
	slices.SortStableFunc(checks, func(a, b Check) int { return place[a.ID] - place[b.ID] })
	return checks
}

// Choose returns the checks that are named in only (all where it is empty) and
// not in skip. A name is an ID, or the letter of a group.
func Choose(checks []Check, only, skip []string) ([]Check, error) {
	for _, name := range slices.Concat(only, skip) {
		if known(name, checks) {
			continue
		}
		if e, ok := Find(name); ok {
			return nil, fmt.Errorf("%s is not detected yet: veltrix doctor explain %s says how to look for it", e.ID, e.ID)
		}
		return nil, fmt.Errorf("no check is called %q: veltrix doctor list shows them", name)
	}
	var chosen []Check
	for _, c := range checks {
		if (len(only) == 0 || named(c.ID, only)) && !named(c.ID, skip) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no check is left to run")
	}
	return chosen, nil
}

func known(name string, checks []Check) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { return named(c.ID, []string{name}) })
}

func named(id string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return strings.EqualFold(n, id) || len(n) == 1 && strings.EqualFold(n, id[:1])
	})
}
