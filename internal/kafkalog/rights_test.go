package kafkalog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/veltrix/veltrix/deploy/kafka"
	"github.com/veltrix/veltrix/internal/kafkalog"
)

const rightsPrefix = "rights"

// aclsOf are rights as the embedded broker takes them.
func aclsOf(t *testing.T, rights []kafka.Right) (all []kfake.ACL) {
	t.Helper()
	for _, r := range rights {
		kind, err := kmsg.ParseACLResourceType(string(r.Kind))
		if err != nil {
			t.Fatal(err)
		}
		operation, err := kmsg.ParseACLOperation(string(r.Operation))
		if err != nil {
			t.Fatal(err)
		}
		pattern := kmsg.ACLResourcePatternTypeLiteral
		if r.Prefixed {
			pattern = kmsg.ACLResourcePatternTypePrefixed
		}
		all = append(all, kfake.ACL{Resource: kind, Name: r.Name, Pattern: pattern, Operation: operation, Allow: true})
	}
	return all
}

// allowing starts a broker that checks rights, with these users.
func allowing(t *testing.T, users map[string][]kafka.Right) (as func(user, command string) kafkalog.Config) {
	t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root")}
	for user, rights := range users {
		options = append(options, kfake.User("PLAIN", user, user, aclsOf(t, rights)...))
	}
	for name := range kafka.Declared().Topics {
		options = append(options, kfake.SeedTopics(1, rightsPrefix+"."+name))
	}
	c, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return func(user, command string) kafkalog.Config {
		return kafkalog.Config{
			Brokers: c.ListenAddrs(), Prefix: rightsPrefix, Command: command, User: user,
			SASL: plain.Auth{User: user, Pass: user}.AsMechanism(),
		}
	}
}

// TestMissingRights takes each right of each command away, and finds that one and
// no other to be missing; with all, none is.
func TestMissingRights(t *testing.T) {
	t.Parallel()
	users := map[string][]kafka.Right{}
	lacks := map[string]kafka.Right{}
	for _, command := range kafka.Commands(false) {
		of, _ := kafka.RightsOf(rightsPrefix, command)
		users[command] = of.Rights
		for i, r := range of.Rights {
			user := fmt.Sprint(command, i)
			users[user], lacks[user] = slices.Delete(slices.Clone(of.Rights), i, i+1), r
		}
	}
	as := allowing(t, users)
	for user := range users {
		command := strings.TrimRight(user, "0123456789")
		missing, err := kafkalog.MissingRights(t.Context(), as(user, command))
		want := []kafka.Right{}
		if r, fewer := lacks[user]; fewer {
			want = append(want, r)
		}
		if err != nil || !slices.Equal(missing, want) {
			t.Errorf("%s: missing %v, want %v; %v", user, missing, want, err)
		}
	}
}

// TestDeniedNamesTheRight: a code says what was refused and not what is missing.
// Whoever may write to no topic is told that the cluster refuses.
func TestDeniedNamesTheRight(t *testing.T) {
	t.Parallel()
	of, _ := kafka.RightsOf(rightsPrefix, "loader")
	reads := slices.DeleteFunc(slices.Clone(of.Rights), func(r kafka.Right) bool { return r.Operation == kafka.Write })
	as := allowing(t, map[string][]kafka.Right{"ann": reads, "ben": of.Rights})
	ann, ben := as("ann", "loader"), as("ben", "loader")
	const sentence = "user ann may not WRITE topic rights.events: veltrix topics acls --command loader shows what it needs"
	for _, code := range []error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed} {
		err := ann.Denied(t.Context(), fmt.Errorf("append: %w", code))
		var denied *kafkalog.DeniedError
		if !errors.As(err, &denied) || err.Error() != sentence || !errors.Is(err, code) || denied.ExitCode() != kafkalog.ExitDenied {
			t.Errorf("%v becomes %v", code, err)
		}
		if again := ann.Denied(t.Context(), err); again != err {
			t.Errorf("asked twice it is %v", again)
		}
		// The brokers tell of no right that is missing: then what they said stands.
		if err := ben.Denied(t.Context(), code); !strings.Contains(err.Error(), "user ben was refused by the brokers: "+code.Error()) {
			t.Errorf("%v becomes %v", code, err)
		}
	}
	for _, other := range []error{nil, kerr.UnknownTopicOrPartition, errors.New("away")} {
		if err := ann.Denied(t.Context(), other); err != other {
			t.Errorf("%v becomes %v", other, err)
		}
	}
	ann.Command, ann.User = "up", ""
	if err := ann.Denied(t.Context(), kerr.TopicAuthorizationFailed); !strings.HasPrefix(err.Error(), "this user was refused by the brokers") || strings.Contains(err.Error(), "--command") {
		t.Errorf("a command without rights of its own: %v", err)
	}
}

// TestRightsAreNamedAsTheClientsAre: groups and topics of the table are those that
// the clients use.
func TestRightsAreNamedAsTheClientsAre(t *testing.T) {
	t.Parallel()
	cfg := kafkalog.Config{Prefix: "hunt"}
	for _, command := range kafka.Commands(true) {
		of, _ := kafka.RightsOf(cfg.Prefix, command)
		for _, r := range of.Rights {
			name, known := strings.CutPrefix(r.Name, cfg.Prefix+".")
			if r.Kind == kafka.TopicKind && !r.Prefixed {
				_, known = kafka.Declared().Topics[name]
				known = known || r.Name == "__consumer_offsets" || r.Name == "__transaction_state"
			}
			if r.Kind == kafka.GroupKind {
				known = r.Name == cfg.ProcessorGroup() || r.Name == cfg.NotifierGroup()
			}
			if !known && r.Kind != kafka.ClusterKind {
				t.Errorf("%s: nobody uses %s", command, r)
			}
		}
	}
}
