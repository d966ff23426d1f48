package preflight

import (
	"fmt"
	"io"
	"strings"
)

// notYet is said of a row that nothing looks for.
const notYet = "not detected yet"

// Explain is the entry in full, for a terminal.
func (e Entry) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  (%s · %s)\n", e.ID, e.Title, e.Severity, e.Harm)
	state := e.effect()
	switch {
	case e.NotDetected:
		state = notYet + ": look for it by hand"
	case e.Probe:
		state = "veltrix doctor --probe looks for it, and a failure ends that with 1; no service looks at its start"
	}
	writeLines(&b, [][2]string{
		{"players", e.Players},
		{"looks at", e.Look},
		{"untried", e.Untried},
		{"fix", e.Fix},
		{"looks like", strings.Join(e.symptoms(), ", ")},
		{"concerns", strings.Join(e.Services, ", ")},
		{"state", state},
	})
	return b.String()
}

// sight is what is looked at, without the sentences behind it.
func (e Entry) sight() string {
	first, _, _ := strings.Cut(e.Look, ". ")
	return first
}

func (e Entry) symptoms() []string {
	var all []string
	for _, s := range e.Symptoms {
		all = append(all, string(s))
	}
	return all
}

// effect says what a failure does.
func (e Entry) effect() string {
	if e.Severity == Critical && !e.Guarded {
		return "a failure ends veltrix doctor with 1, and the services named here do not start"
	}
	return "a failure ends veltrix doctor with 1; services start, and say so in their log"
}

const pageHead = `# What the doctor looks for

<!-- Generated from the catalogue in internal/preflight: go test ./internal/preflight -run TestPageIsCurrent -rewrite -->

` + "`veltrix doctor`" + ` looks at brokers, topics, Redis and the configuration, changes nothing, and says what would break
order, exactness or durability, what players would notice, and the fix.

` + "```sh" + `
veltrix doctor                       # what is not as it should be
veltrix doctor --profile prod --all  # as production would have it, with what passed
veltrix doctor --only K02,R          # one check, and all of Redis
veltrix doctor --json                # or --junit FILE, for a build server
veltrix doctor --probe --all         # as senders and players do, too, through the public URLs
veltrix doctor explain K02
veltrix doctor list
` + "```" + `

| ends with | when |
| --- | --- |
| 0 | everything passed, was waived, or does not apply |
| 1 | a check failed, a critical one could not look, or brokers or Redis cannot be reached |
| 2 | only warnings, or unknowns that are not critical |
| 78 | the configuration, the file of waivers or the command line is wrong |

- **What could not be seen is unknown, never a pass.** A managed Redis may deny CONFIG; INFO is read instead, and where that is
  denied too, the check says which right it needs.
- **A server that does not answer is one line**, not one for each check, and one broker of several likewise. The whole run ends within
  ` + "`--timeout`" + `.
- **What no test has seen fail** on the real thing, because it cannot be made there, is said under "untried".
- **Profile dev** asks for no replication. What production would ask for stands at the end, under "before production".
- **The same checks are a gate.** Each service runs the critical ones that concern it before it does anything, and does not start where one
  of them fails, unless the services bound its harm themselves (the row says so: ` + "`guarded`" + ` in JSON). Seconds later it looks at the
  others as well, and at all of them again every five minutes or so; ` + "`veltrix_doctor_check{id,state}`" + ` shows what it found.

## Through the public URL
` + "`veltrix doctor --probe`" + ` does what the rows marked "with --probe" need: it sends events and opens streams as senders and players do, through whatever stands in
front of the gateways and the inbox, and asks FCM and APNs whether they take the credentials (N06). It goes by these settings; what is not set is skipped:

| setting | for |
| --- | --- |
| ` + "`doctor.gateway_url`" + ` | P03: where senders reach the gateway, as ` + "`https://events.example`" + ` |
| ` + "`doctor.gateway_key_file`" + ` | P03, where the gateway asks for keys: one with ` + "`--source /veltrix/doctor --type veltrix.probe`" + ` |
| ` + "`doctor.inbox_url`" + ` | N03 and N04: where players reach the inbox, as ` + "`https://inbox.example`" + ` |
| ` + "`notifier.token_secret_file`" + ` | N03 and N04, where the notifiers have it; else the secret is read from Redis, and none is made. With ` + "`notifier.jwks_url`" + ` both are skipped |

The brokers and Redis are needed as well: what was sent is read back from the log. Certificates are checked against the system's authorities
(` + "`SSL_CERT_FILE`" + ` names others), and ` + "`HTTPS_PROXY`" + ` is not heeded. It takes up to ` + "`--timeout`" + `, 45 s where it is not given: a stream's heartbeat comes every 15 s.

**P03 holds the public URL against what [ingest.md](ingest.md#by-http) promises.** It sends 56 events without a time, within 5 s or fewer of them: 12 on one HTTP/1.1 connection and 12 on a
connection each, each after the 202 of the one before; 12 on one connection without waiting; and four times 5 on connections of their own, 0, 5, 20 and 100 ms apart,
without waiting. It fails where one that was answered 202 is not in the log, or was not yet; where they lie in several partitions; where one of the first 36 lies before one that was sent
before it, or has an earlier stamp, as happens behind several gateways whose clocks differ. It warns where one lies in the log twice, or was not taken. For the last 20 nothing
promises an order: how they came is told, because senders who do not wait and give no time see the same. ` + "`Veltrix-Instance`" + ` says which gateways answered.

**N03** times the first line of a stream, which is sent at once, and a heartbeat. **N04** asks for pages and streams behind a cursor that never was, with two players' tokens one after the
other, without a token, and for another player's devices.

**What it leaves behind.** 56 events, or twice that where something repeats requests, of the participant ` + "`veltrix-probe`" + `, the type ` + "`veltrix.probe`" + ` and the source ` + "`/veltrix/doctor`" + `, in
the log for as long as that keeps events. Give no rule that type. Then they count for nobody: they change no state and notify nobody, and that participant is on no leaderboard; where the rules say
` + "`unknown: reject`" + `, a gateway with the rules refuses them (declare the type, with no data), and one without has them rejected. In Redis they leave one participant,
` + "`veltrix-probe`" + `, in the state in which everybody begins, with its latest events, and for 40 s that it looks at its inbox. It is always the same one, however often you probe. Metrics count the events. APNs
sees a push to the device 000…0, which is none; FCM sees an exchange of the credentials. Nobody is sent anything.

## Waivers
` + "`doctor.waivers_file`" + ` names a file of findings that are accepted for a time:

` + "```yaml" + `
- id: K02
  reason: two brokers until the third arrives, OPS-1482
  expires: 2026-12-31
` + "```" + `

` + "`expires`" + ` is the last day, in UTC. Until then the check's finding is shown as waived and refuses nothing, in the doctor and at every start; from
then on it counts again, and says that its waiver expired. An unknown ID, a waiver without a reason or without an end is refused, with its
line. A running service goes by the waivers it was started with. That a server cannot be reached cannot be waived.

## JSON
` + "`--json`" + ` prints one object: ` + "`version`" + ` (1; fields are only ever added under it), ` + "`profile`, `exit`" + `, ` + "`unreachable`" + ` (each with ` + "`server`, `where`, `error`, `fix`, `checks`" + `)
and ` + "`results`" + `, each with ` + "`id`, `title`, `harm`, `severity`, `state`, `duration_ms`" + ` and, where there is something to say, ` + "`observed`, `expected`, `players`, `fix`,\n`docs`, `waived`, `waived_until`, `waiver_expired`, `before_production`, `unreachable`, `guarded`" + `.
States are ` + "`pass`, `warn`, `fail`, `unknown`, `skip`" + `.

`

// Page is docs/doctor.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString("## By what is seen\n\n| symptom | look at |\n| --- | --- |\n")
	for _, s := range Symptoms() {
		var ids []string
		for _, e := range Catalogue() {
			for _, of := range e.Symptoms {
				if of == s {
					ids = append(ids, e.ID)
				}
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", s, strings.Join(ids, " "))
	}
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n", g.title)
		for _, e := range Catalogue() {
			if e.ID[:1] == g.letter {
				writeEntry(&b, &e)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func writeEntry(b *strings.Builder, e *Entry) {
	mark := ""
	switch {
	case e.NotDetected:
		mark = " · " + notYet
	case e.Probe:
		mark = " · with --probe"
	}
	fmt.Fprintf(b, "### %s %s\n%s · %s%s\n\n", e.ID, e.Title, e.Severity, e.Harm, mark)
	fmt.Fprintf(b, "- players: %s\n- looks at: %s\n", e.Players, e.Look)
	if e.Untried != "" {
		fmt.Fprintf(b, "- untried: %s\n", e.Untried)
	}
	fmt.Fprintf(b, "- fix: %s\n- concerns: %s\n\n", e.Fix, strings.Join(e.Services, ", "))
}

// WriteList writes a line for each entry.
func WriteList(w io.Writer) error {
	var b strings.Builder
	undetected, probed := 0, 0
	for _, e := range Catalogue() {
		mark, how := " ", ""
		switch {
		case e.NotDetected:
			mark, undetected = "·", undetected+1
		case e.Probe:
			how, probed = "  (probe)", probed+1
		}
		fmt.Fprintf(&b, "%s %s  %-8s  %s%s\n", mark, e.ID, e.Severity, e.Title, how)
	}
	fmt.Fprintf(&b, "%d are looked for, %d of them (probe) with --probe alone; %d, marked ·, are %s\n", len(Catalogue())-undetected, probed, undetected, notYet)
	_, err := io.WriteString(w, b.String())
	return err
}
