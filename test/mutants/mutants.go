package main

import (
	"slices"

	"github.com/veltrix/veltrix/internal/preflight"
)

// edit replaces one piece of a file; it must be there exactly once.
type edit struct{ file, old, new string }

// mutant is a protection taken out, and what has to notice.
type mutant struct {
	protection string
	without    string // what exactly is taken out
	test       string // a test function with its subtest, or campaign
	pkg        string // where the test is
	edits      []edit
}

// campaign stands for the 10,000 seeds that make sim plays, as make test does.
const campaign = "make sim"

const (
	eng   = "internal/engine/"
	sim   = eng + "enginetest/"
	redis = "internal/redisstore/"
	kafka = "internal/kafkalog/"
	deliv = "internal/delivery/"
	part  = "internal/participant/"
)

// required are the protections without which an event counts twice, is lost or
// is told twice. Each has at least one mutant.
var required = []string{
	"require-stable", "group fence", "revoke-aborts", "overlay", "reuse", "drop-on-assign", "CAS", "verified load", "atomic flush",
	"flush-after-commit", "unknown-restarts", "KIP-890 gate", "refuse-ahead", "stamp", "eviction detection", "blind rebuild",
	"pinned dirty entries", "R-before-K", "scrub", "late floor", "reroute ack", "ledger pause", "mark-after-send",
}

// played is a mutant that the campaign has to kill.
func played(protection, without, file, old, new string) mutant {
	return mutant{protection, without, campaign, sim, []edit{{file, old, new}}}
}

// machine is a mutant of the machine or its world that a test has to kill.
func machine(protection, without, test, file, old, new string) mutant {
	return mutant{protection, without, test, sim, []edit{{file, old, new}}}
}

// scenario is a mutant of the machine that a scenario file has to kill.
func scenario(protection, without, name, file, old, new string) mutant {
	return machine(protection, without, "TestScenarios/"+name, file, old, new)
}

// in is a mutant of another package that a test of it has to kill.
func in(pkg, protection, without, test, file, old, new string) mutant {
	return mutant{protection, without, test, pkg, []edit{{pkg + file, old, new}}}
}

// all returns every mutant: those of the pipeline and those of the doctor.
func all() []mutant { return slices.Concat(pipeline(), doctor()) }

// doctor returns the mutants of what the doctor detects, in the catalogue's order.
func doctor() []mutant {
	list, catalogue := slices.Concat(doctorKafka, doctorRest), preflight.Catalogue()
	rank := func(m mutant) int {
		return slices.IndexFunc(catalogue, func(e preflight.Entry) bool { return e.ID == row(m) })
	}
	slices.SortStableFunc(list, func(a, b mutant) int { return rank(a) - rank(b) })
	return list
}

// row is the ID of the catalogue's row that a mutant of the doctor's is about, the
// first one of several.
func row(m mutant) string { return m.protection[:min(3, len(m.protection))] }

// pipeline returns the mutants of what keeps events exact, by protection: the required
// ones first.
func pipeline() []mutant {
	list := slices.Concat(commits, states, redisSide, decisions, looks, outside)
	rank := func(m mutant) int {
		if i := slices.Index(required, m.protection); i >= 0 {
			return i
		}
		return len(required)
	}
	slices.SortStableFunc(list, func(a, b mutant) int { return rank(a) - rank(b) })
	return list
}
