package kafka

import (
	"bytes"
	"fmt"
	"strings"
)

// A user is authenticated by SCRAM; nothing that is written here holds a password.

type userObject struct {
	Authentication kindOf        `yaml:"authentication"`
	Authorization  authorization `yaml:"authorization"`
}

type kindOf struct {
	Type string `yaml:"type"`
}

type authorization struct {
	Type string     `yaml:"type"`
	ACLs []aclEntry `yaml:"acls"`
}

type aclEntry struct {
	Resource   aclResource `yaml:"resource"`
	Operations []string    `yaml:"operations,flow"`
}

type aclResource struct {
	Type        string `yaml:"type"`
	Name        string `yaml:"name,omitempty"`
	PatternType string `yaml:"patternType,omitempty"`
}

// entry is rights to one resource.
type entry struct {
	Right
	operations []Operation
}

// entries puts the rights to one resource together, in the order of the table.
func (r Rights) entries() (all []entry) {
	for _, right := range r.Rights {
		at := -1
		for i := range all {
			if all[i].Kind == right.Kind && all[i].Name == right.Name && all[i].Prefixed == right.Prefixed {
				at = i
			}
		}
		if at < 0 {
			at, all = len(all), append(all, entry{Right: right})
		}
		all[at].operations = append(all[at].operations, right.Operation)
	}
	return all
}

// camel is an operation as Strimzi and kafka-acls.sh write it: DescribeConfigs.
func (o Operation) camel() string {
	var b strings.Builder
	for word := range strings.SplitSeq(string(o), "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String()
}

// about says who runs with these rights.
func (r Rights) about() string { return strings.ReplaceAll(r.Runs, "`", "") }

// StrimziUsers renders rights as KafkaUser objects for Strimzi's user operator,
// which makes each a password and keeps it in a Secret of the same name.
func StrimziUsers(all []Rights, prefix, cluster string) ([]byte, error) {
	var objects []object
	var abouts []string
	for _, r := range all {
		if !validName.MatchString(r.User) {
			return nil, fmt.Errorf("user %q: Strimzi's users are Kubernetes objects, whose names are lower-case letters, digits, dashes and dots", r.User)
		}
		spec := userObject{Authentication: kindOf{"scram-sha-512"}, Authorization: authorization{Type: "simple"}}
		for _, e := range r.entries() {
			acl := aclEntry{Resource: strimziResource(e.Right)}
			for _, o := range e.operations {
				acl.Operations = append(acl.Operations, o.camel())
			}
			spec.Authorization.ACLs = append(spec.Authorization.ACLs, acl)
		}
		objects = append(objects, newObject("KafkaUser", r.User, cluster, spec))
		abouts = append(abouts, r.about())
	}
	head := "The users of the deployment " + prefix + " and the least that each needs, written by veltrix topics acls --format strimzi.\n" +
		"The cluster needs a listener with authentication scram-sha-512, and authorization simple. The password of each\n" +
		"is in the Secret of its name: give it to the command as kafka.sasl.password_file."
	return documents(head, objects, abouts)
}

func strimziResource(r Right) aclResource {
	switch r.Kind {
	case ClusterKind:
		return aclResource{Type: "cluster"}
	case TransactionalKind:
		return aclResource{"transactionalId", r.Name, pattern(r, "prefix")}
	default:
		return aclResource{string(r.Kind), r.Name, pattern(r, "prefix")}
	}
}

// pattern names how a right's name is meant; the tools have different words.
func pattern(r Right, prefixed string) string {
	if r.Prefixed {
		return prefixed
	}
	return "literal"
}

// ACLScript renders rights as a POSIX shell script of kafka-acls.sh. Run again, it
// changes nothing. It adds and takes nothing away.
func ACLScript(all []Rights, prefix string) []byte {
	var b bytes.Buffer
	b.WriteString(scriptHead("The users of the deployment " + prefix + " and the least that each needs, written by veltrix topics acls --format script.\n" +
		"The users themselves are made by kafka-configs.sh --entity-type users; no password is here."))
	for _, r := range all {
		fmt.Fprintf(&b, "\n# %s\n", r.about())
		for _, e := range r.entries() {
			fmt.Fprintf(&b, "run kafka-acls.sh --add --allow-principal %s", quote("User:"+r.User))
			for _, o := range e.operations {
				b.WriteString(" --operation " + o.camel())
			}
			if e.Kind == ClusterKind {
				b.WriteString(" --cluster\n")
				continue
			}
			fmt.Fprintf(&b, " --%s %s --resource-pattern-type %s\n", e.Kind, quote(e.Name), pattern(e.Right, "prefixed"))
		}
	}
	return b.Bytes()
}

// ACLText renders rights for people.
func ACLText(all []Rights) []byte {
	var b bytes.Buffer
	for i, r := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s (%s), as user %s\n", r.Command, r.about(), r.User)
		for _, right := range r.Rights {
			fmt.Fprintf(&b, "  %-64s %s\n", right, right.why())
		}
	}
	return b.Bytes()
}

// why says what the right is for, and how much depends on it.
func (r Right) why() string {
	if r.Gate {
		return r.For + " (checks at the start; unknown without it)"
	}
	return r.For
}
