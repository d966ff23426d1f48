package kafka

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

// Kind is what a right is about, as kafka-acls.sh names it.
type Kind string

// The kinds of resources that brokers know.
const (
	TopicKind         Kind = "topic"
	GroupKind         Kind = "group"
	TransactionalKind Kind = "transactional-id"
	ClusterKind       Kind = "cluster"
)

// Operation is what a right lets its user do, as the brokers' logs name it.
type Operation string

// The operations that the commands need.
const (
	Read            Operation = "READ"
	Write           Operation = "WRITE"
	Create          Operation = "CREATE"
	Describe        Operation = "DESCRIBE"
	DescribeConfigs Operation = "DESCRIBE_CONFIGS"
	AlterConfigs    Operation = "ALTER_CONFIGS"
	ClusterAction   Operation = "CLUSTER_ACTION"
)

// Implies reports whether the brokers take a right to o for one to other, too.
func (o Operation) Implies(other Operation) bool {
	switch other {
	case Describe:
		return o == Describe || o == Read || o == Write
	case DescribeConfigs:
		return o == DescribeConfigs || o == AlterConfigs
	}
	return o == other
}

// Right is one thing that a user is allowed.
type Right struct {
	Kind      Kind      `json:"resource"`
	Name      string    `json:"name"`     // full, with the deployment's prefix
	Prefixed  bool      `json:"prefixed"` // Name is what the resources' names begin with
	Operation Operation `json:"operation"`
	// Gate marks what the checks at the start need and the work does not: without
	// it they are unknown, which is told and refuses nothing.
	Gate bool   `json:"gate"`
	For  string `json:"for"`
}

// String names the right as a sentence does: "WRITE topic hunt.events".
func (r Right) String() string {
	name := r.Name
	if r.Prefixed {
		name += "*"
	}
	return fmt.Sprintf("%s %s %s", r.Operation, r.Kind, name)
}

// Covers reports whether the right is about a resource of that full name.
func (r Right) Covers(name string) bool {
	return name == r.Name || r.Prefixed && strings.HasPrefix(name, r.Name)
}

// Rights are all that one command needs, and no more.
type Rights struct {
	Command string  `json:"command"`
	Runs    string  `json:"runs"`  // what is run with them
	Extra   bool    `json:"extra"` // given only to who is named: nothing that runs well needs it
	Remark  string  `json:"remark,omitempty"`
	User    string  `json:"user"` // without User:
	Rights  []Right `json:"rights"`
}

// every stands for all topics of a deployment.
const every = ""

// on is a right in the table, without the deployment's prefix.
func on(kind Kind, name string, o Operation, why string) Right {
	return Right{Kind: kind, Name: name, Operation: o, For: why}
}

// under is a right to everything whose name begins so.
func under(kind Kind, name string, o Operation, why string) Right {
	return Right{Kind: kind, Name: name, Prefixed: true, Operation: o, For: why}
}

// gate is a right that only the checks at the start need.
func gate(o Operation, why string) Right {
	return Right{Kind: TopicKind, Name: every, Prefixed: true, Operation: o, Gate: true, For: why}
}

// needs is the one place that says what each command may do at the brokers. A
// test runs each with exactly these rights, sees the brokers use each of them,
// and sees it missed where one is taken away. Right implies right: READ and WRITE
// give DESCRIBE, ALTER_CONFIGS gives DESCRIBE_CONFIGS; what is implied is not here.
var needs = []Rights{
	{Command: "producer", Runs: "`producer`, the gateway", Rights: []Right{
		on(TopicKind, "manifest", Read, "how many partitions there are, and which rules"),
		on(TopicKind, "events", Write, "takes events"),
		on(TopicKind, "events", Read, "tells what became of an event"),
		on(TopicKind, "rejected", Read, "tells what became of an event"),
		on(TopicKind, "notifications", Read, "tells what became of an event"),
		on(TopicKind, "receipts", Read, "tells what became of a notification"),
		on(GroupKind, "processor", Describe, "tells accepted from applied"),
		gate(Describe, "whether every topic is there"),
		gate(DescribeConfigs, "whether the topics keep what they are given"),
	}},
	{Command: "loader", Runs: "`producer load`", Rights: []Right{
		on(TopicKind, "manifest", Read, "how many partitions there are, and which rules"),
		on(TopicKind, "events", Write, "appends the file's events"),
		on(TopicKind, "events", Read, "goes on where an interrupted load ended"),
	}},
	{Command: "processor", Runs: "`processor`", Rights: []Right{
		on(TopicKind, "manifest", Read, "what the deployment is pinned to"),
		on(TopicKind, "manifest", Write, "pins the rules, and each partition's first commit"),
		on(TransactionalKind, "manifest", Write, "no two write the manifest at once"),
		on(TopicKind, "events", Read, "folds events"),
		on(TopicKind, "events", Write, "moves events from a wrong partition to their own"),
		on(TopicKind, "notifications", Write, "tells players"),
		on(TopicKind, "notifications", Read, "looks whether a transaction was left open there"),
		on(TopicKind, "rejected", Write, "says why an event had no effect"),
		on(TopicKind, "rejected", Read, "looks whether a transaction was left open there"),
		on(TopicKind, "snapshots", Write, "keeps copies of states"),
		on(TopicKind, "snapshots", Read, "builds states anew from copies"),
		on(GroupKind, "processor", Read, "shares the partitions, and commits"),
		under(TransactionalKind, "processor.", Write, "one transactional ID for each slot; fences, and commits exactly once"),
		gate(Describe, "whether every topic is there"),
		gate(DescribeConfigs, "whether the topics keep what they are given"),
	}},
	{Command: "notifier", Runs: "`notifier`", Rights: []Right{
		on(TopicKind, "manifest", Read, "waits for the deployment"),
		on(TopicKind, "notifications", Read, "tells players"),
		under(TopicKind, "notify.retry.", Read, "tries again later"),
		under(TopicKind, "notify.retry.", Write, "tries again later"),
		on(TopicKind, "receipts", Write, "says what became of each notification"),
		on(GroupKind, "notifier", Read, "shares the partitions, and commits"),
		gate(Describe, "whether every topic is there"),
		gate(DescribeConfigs, "whether the topics keep what they are given"),
	}},
	{Command: "topics", Runs: "`veltrix topics apply`", Rights: []Right{
		under(TopicKind, every, Describe, "what is there"),
		under(TopicKind, every, Create, "creates what is missing"),
		under(TopicKind, every, AlterConfigs, "reads the settings, and sets those that differ"),
		on(TopicKind, "manifest", Read, "what the deployment is pinned to"),
		on(TopicKind, "manifest", Write, "pins the deployment"),
		on(TransactionalKind, "manifest", Write, "no two write the manifest at once"),
	}},
	{Command: "doctor", Runs: "`veltrix doctor`, `veltrix topics plan`", Rights: []Right{
		under(TopicKind, every, Describe, "what is there"),
		under(TopicKind, every, DescribeConfigs, "how the topics are set"),
		on(TopicKind, "manifest", Read, "what the deployment is pinned to"),
	}},
	{Command: "verify", Runs: "`veltrix verify`", Rights: []Right{
		on(TopicKind, "manifest", Read, "which rules, and which beginnings operators declared"),
		on(TopicKind, "events", Read, "folds them again"),
		on(TopicKind, "notifications", Read, "compares them"),
		on(TopicKind, "rejected", Read, "compares them"),
		on(TopicKind, "snapshots", Read, "begins where an operator declared a beginning"),
		on(GroupKind, "processor", Describe, "how far the processors have committed"),
	}},
	{Command: "player", Runs: "`veltrix player explain`", Rights: []Right{
		on(TopicKind, "manifest", Read, "how many partitions there are"),
		on(TopicKind, "events", Read, "the player's events"),
		on(TopicKind, "rejected", Read, "why some had no effect"),
		on(TopicKind, "notifications", Read, "what the player was told"),
		on(TopicKind, "receipts", Read, "and what became of it"),
		on(GroupKind, "processor", Describe, "how far the processors have committed"),
	}},
	{Command: "repair", Runs: "`veltrix rebase`, `veltrix rebuild`, `veltrix rules promote`", Rights: []Right{
		on(TopicKind, "manifest", Read, "what the deployment is pinned to"),
		on(TopicKind, "manifest", Write, "notes who did what, and declares beginnings"),
		on(TransactionalKind, "manifest", Write, "no two write the manifest at once"),
		on(TopicKind, "events", Read, "folds them again"),
		on(TopicKind, "notifications", Read, "which events have an outcome"),
		on(TopicKind, "rejected", Read, "which events have an outcome"),
		on(TopicKind, "snapshots", Read, "begins with a copy"),
		on(TopicKind, "snapshots", Write, "keeps the beginning that it declares"),
		on(GroupKind, "processor", Read, "sees that no processor runs, and commits in its place"),
	}},
	{Command: "lag", Runs: "`veltrix lag`", Rights: []Right{
		on(TopicKind, "manifest", Read, "how many partitions there are, and whose Redis' states are"),
		on(TopicKind, "events", Read, "counts what waits for the processors"),
		on(TopicKind, "notifications", Read, "counts what waits for the notifiers"),
		on(TopicKind, "events", DescribeConfigs, "how long what waits is kept"),
		on(TopicKind, "notifications", DescribeConfigs, "how long what waits is kept"),
		on(GroupKind, "processor", Describe, "how far the processors have committed"),
		on(GroupKind, "notifier", Describe, "how far the notifiers have committed"),
	}},
	{Command: "advise", Runs: "`veltrix advise grace`", Rights: []Right{
		on(TopicKind, "events", Read, "how late they come"),
	}},
	{Command: "checks", Extra: true, Runs: "`veltrix doctor`, and any service whose checks are to see all there is", Remark: "Beside a command's own rights, for whoever is to look at the brokers, the groups and the senders as well. Without them those checks are unknown, " +
		"and nothing is refused.", Rights: []Right{
		on(ClusterKind, ClusterName, Describe, "the controller's clock, and which groups and transactional IDs there are"),
		on(ClusterKind, ClusterName, DescribeConfigs, "whom the brokers' addresses lead to, how they are set, and quotas"),
		on(TopicKind, "__consumer_offsets", Describe, "how many copies Kafka keeps of the groups' commits"),
		on(TopicKind, "__transaction_state", Describe, "how many copies Kafka keeps of transactions"),
		on(TopicKind, "events", Read, "a sample of what senders sent"),
		on(GroupKind, "processor", Describe, "who is in the group, and how far it has committed"),
		under(TransactionalKind, "processor.", Describe, "whose transactions are at work"),
	}},
	{Command: "left-open", Extra: true, Runs: "`processor`, where it is to end by itself what a coordinator left open", Remark: "Nothing that runs well needs it, and it is a strong right. What happens without it says the [runbook](runbook/left-open.md).", Rights: []Right{
		on(ClusterKind, ClusterName, ClusterAction, "writes the marker that was left out"),
	}},
}

// ClusterName is the brokers' own name for the one resource of its kind.
const ClusterName = "kafka-cluster"

// RightsOf returns what a command needs in a deployment. The user is the
// prefix's: "hunt-processor".
func RightsOf(prefix, command string) (Rights, bool) {
	i := slices.IndexFunc(needs, func(r Rights) bool { return r.Command == command })
	if i < 0 {
		return Rights{}, false
	}
	of := needs[i]
	of.User = objectName(prefix + "-" + command)
	of.Rights = slices.Clone(of.Rights)
	for j := range of.Rights {
		if of.Rights[j].Kind != ClusterKind && !strings.HasPrefix(of.Rights[j].Name, "__") { // Kafka's own have no prefix
			of.Rights[j].Name = prefix + "." + of.Rights[j].Name
		}
	}
	return of, true
}

// Commands are those that need rights, in the order of the page; extra says
// whether with those that nothing needs while it runs well.
func Commands(extra bool) []string {
	var names []string
	for _, n := range needs {
		if extra || !n.Extra {
			names = append(names, n.Command)
		}
	}
	return names
}

// objectName makes a name that brokers and Kubernetes both take: lower case, and
// no underscores. Two names that differ in nothing else would become one, and two
// users would share their rights; so a name that had to be changed keeps a mark of
// what it was.
func objectName(name string) string {
	if validName.MatchString(name) {
		return name
	}
	plain := strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-")
	mark := fnv.New32a()
	_, _ = mark.Write([]byte(name)) // never fails
	return fmt.Sprintf("%s-%08x", plain, mark.Sum32())
}

var (
	validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	notInName = regexp.MustCompile(`[^a-z0-9]+`)
)
