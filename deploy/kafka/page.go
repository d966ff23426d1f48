package kafka

import (
	"fmt"
	"strings"
)

const pageHead = `# What each command may do at the brokers

<!-- Generated from the table in deploy/kafka/rights.go: go test ./deploy/kafka -run TestPageIsCurrent -rewrite -->

Where brokers check rights (` + "`authorizer.class.name`" + `), each command gets a user of its own with the least that it needs:

` + "```sh" + `
veltrix topics acls --prefix hunt                                      # to read
veltrix topics acls --prefix hunt --format script | less               # kafka-acls.sh; read it before it runs
veltrix topics acls --prefix hunt --format strimzi --cluster my-kafka  # KafkaUser objects
veltrix topics acls --prefix hunt --command processor --user CN=hunt --format json
` + "```" + `

A user is ` + "`<prefix>-<command>`" + ` where ` + "`--user`" + ` names no other. Commands authenticate with ` + "`kafka.sasl.*`" + ` or with a certificate (` + "`kafka.tls.cert_file`" + `), and
speak TLS with ` + "`kafka.tls.*`" + `; see [configuration](configuration.md). The tables are for the prefix ` + "`hunt`" + `; a name that ends with ` + "`*`" + ` is a prefixed pattern.

READ and WRITE imply DESCRIBE, and ALTER_CONFIGS implies DESCRIBE_CONFIGS: what is implied is not listed. IDEMPOTENT_WRITE on the cluster is not needed: Kafka gives it
to whoever may write to a topic. A test runs the whole pipeline and every command below with exactly these rights, over SASL_SSL on brokers that check them, and asks the brokers
what each right was used for; then it takes each one away, and sees it missed.

## When a right is missing
- **At the start** a command asks the brokers for its rights before it does anything. Where one is missing it ends with exit code 77 and a sentence that names it: ` +
	"`user hunt-processor may not WRITE topic hunt.notifications: veltrix topics acls --command processor shows what it needs`" + `.
- **While it runs**, a service asks every 10 seconds. What was taken away is an error in its log, once, and the reason in ` + "`/readyz`" + ` until it is back. The gateway and the processor
  wait meanwhile and go on by themselves. A notifier that may no longer read ends with exit code 77, and its supervisor starts it again.
- **What only the checks at the start need** is marked *checks*. Without it a service starts, the checks are unknown, and their warnings name the right. ` + "`veltrix doctor`" + ` ends with 1 then.
- Brokers tell nothing about a topic that a user may not DESCRIBE but that. What else is missing there is said once that is given.
- Brokers tell whether a user may DESCRIBE a transactional ID, and not whether it may WRITE. A user with the former alone is refused with the broker's own words when it begins a transaction.
`

const pageTail = `
## Others
Senders that write to Kafka directly need WRITE on ` + "`hunt.events`" + `, readers of your own READ on what they read and on a group of their own. Give nobody else anything under the prefix: who may
commit for ` + "`hunt.processor`" + `, or write to ` + "`hunt.notifications`" + `, can make a partition be refused or tell players anything.

` + "`veltrix topics plan`" + ` and ` + "`apply`" + ` need no Kafka administrator: with the rights of ` + "`topics`" + ` they create and set the topics of this prefix alone. Where topics are made by others, export them:
` + "`veltrix topics export`" + ` writes them as Strimzi's ` + "`KafkaTopic`" + ` objects or as a script of Kafka's own tools. ` + "`veltrix topics apply`" + ` still has to run once after that: it compares, and pins the
deployment in the manifest, which no topic can.
`

// Page is docs/acls.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, command := range Commands(true) {
		of, _ := RightsOf("hunt", command)
		fmt.Fprintf(&b, "\n## %s\n%s%s.", command, strings.ToUpper(of.Runs[:1]), of.Runs[1:])
		if of.Extra {
			fmt.Fprintf(&b, " Not among the rest; given with\n`veltrix topics acls --command %s --user hunt-processor` (or another's user). %s", command, of.Remark)
		}
		b.WriteString("\n\n| right | on | for |\n| --- | --- | --- |\n")
		for _, r := range of.Rights {
			name := r.Name
			if r.Prefixed {
				name += "*"
			}
			why := r.For
			if r.Gate {
				why += " (*checks*)"
			}
			fmt.Fprintf(&b, "| %s | %s `%s` | %s |\n", r.Operation, r.Kind, name, why)
		}
	}
	b.WriteString(pageTail)
	return b.String()
}
