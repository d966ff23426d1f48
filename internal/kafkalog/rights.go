package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/veltrix/veltrix/deploy/kafka"
)

// ExitDenied is the exit code of a command that the brokers allow too little, as
// sysexits.h has it (EX_NOPERM).
const ExitDenied = 77

// DeniedError says which rights a user lacks.
type DeniedError struct {
	User    string // empty: known to the brokers by something else than SASL
	Command string // of the table in deploy/kafka; empty: none of it
	Missing []kafka.Right
	Err     error // what a broker answered; nil where it was asked before anything was tried
}

// Error implements error.
func (e *DeniedError) Error() string {
	user := "user " + e.User
	if e.User == "" {
		user = "this user"
	}
	hint := ""
	if e.Command != "" {
		hint = ": veltrix topics acls --command " + e.Command + " shows what it needs"
	}
	if len(e.Missing) == 0 {
		return fmt.Sprintf("%s was refused by the brokers: %v%s", user, e.Err, hint)
	}
	names := make([]string, len(e.Missing))
	for i, r := range e.Missing {
		names[i] = r.String()
	}
	return user + " may not " + strings.Join(names, ", ") + hint
}

// Unwrap returns the broker's answer.
func (e *DeniedError) Unwrap() error { return e.Err }

// ExitCode is the one that the process ends with.
func (e *DeniedError) ExitCode() int { return ExitDenied }

// denied reports whether a broker refused what the user asked for. None of these
// goes away by asking again.
func denied(err error) bool {
	for _, code := range []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// Denied translates an error by which a broker refused something: it asks the
// brokers which of the command's rights are missing. The code alone does not say:
// whoever may write to no topic is told CLUSTER_AUTHORIZATION_FAILED. Any other
// error, and nil, comes back as it is.
func (c Config) Denied(ctx context.Context, err error) error {
	if already := (*DeniedError)(nil); err == nil || !denied(err) || errors.As(err, &already) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deniedWait) // a command that ends still says why
	defer cancel()
	missing, _ := MissingRights(ctx, c) // as many as the brokers told; without any, their own words stand
	return &DeniedError{User: c.User, Command: c.command(), Missing: missing, Err: err}
}

// The question for rights, where it is asked to explain a denial, and where a
// coordinator is about to come.
const (
	deniedWait  = 5 * time.Second
	rightsRetry = 100 * time.Millisecond
)

// command is the client's command, if it is one that needs rights.
func (c Config) command() string {
	if _, ok := kafka.RightsOf(c.Prefix, c.Command); !ok {
		return ""
	}
	return c.Command
}

// MissingRights asks the brokers which rights of its command a client lacks, and
// changes nothing. Brokers that check no rights, or do not tell, lack none.
func MissingRights(ctx context.Context, cfg Config) ([]kafka.Right, error) {
	of, _ := kafka.RightsOf(cfg.Prefix, cfg.Command)
	r, err := newRights(cfg, of.Rights)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Missing(ctx)
}

// Rights asks for a client's rights, as often as one wants to know.
type Rights struct {
	cfg   Config
	needs []kafka.Right
	cl    *kgo.Client
}

// NewRights returns what asks for the rights of cfg's command, but for those that
// only the checks at the start need; close it. It asks about nothing else: a
// question about what a user may not even see is a denial in the brokers' logs.
func NewRights(cfg Config) (*Rights, error) {
	of, _ := kafka.RightsOf(cfg.Prefix, cfg.Command)
	return newRights(cfg, slices.DeleteFunc(of.Rights, func(r kafka.Right) bool { return r.Gate }))
}

func newRights(cfg Config, needs []kafka.Right) (*Rights, error) {
	cfg.Logger = nil // what is missing is the answer, and no trouble of the client's
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.DescribeGroups.Int16(), 5) // from 6 on, a group without members is an error, without its rights
	cl, err := kgo.NewClient(cfg.Options(kgo.MaxVersions(versions))...)
	if err != nil {
		return nil, fmt.Errorf("create the client that asks for rights: %w", err)
	}
	return &Rights{cfg, needs, cl}, nil
}

// Close ends the connections.
func (r *Rights) Close() { r.cl.Close() }

// Error returns what a command with these rights missing is told; nil where none is.
func (r *Rights) Error(missing []kafka.Right) error {
	if len(missing) == 0 {
		return nil
	}
	return &DeniedError{User: r.cfg.User, Command: r.cfg.command(), Missing: missing}
}

// Missing returns the rights that the client lacks, in the table's order; with an
// error, those that it had found before.
func (r *Rights) Missing(ctx context.Context) ([]kafka.Right, error) {
	if len(r.needs) == 0 {
		return nil, nil
	}
	topics, err := r.topics(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the rights to the topics: %w", err)
	}
	var missing []kafka.Right
	for _, need := range r.needs {
		lacks := false
		switch need.Kind {
		case kafka.TopicKind:
			for topic, allowed := range topics {
				lacks = lacks || need.Covers(topic) && !allowed.to(need.Operation)
			}
		case kafka.GroupKind:
			allowed, err := r.group(ctx, need.Name)
			if err != nil {
				return missing, fmt.Errorf("ask for the rights to group %s: %w", need.Name, err)
			}
			lacks = !allowed.to(need.Operation)
		case kafka.TransactionalKind:
			if lacks, err = r.cannotSee(ctx, need); err != nil {
				return missing, fmt.Errorf("ask for the right to transactional ID %s: %w", need.Name, err)
			}
		case kafka.ClusterKind: // no command needs any
		}
		if lacks {
			missing = append(missing, need)
		}
	}
	return missing, nil
}

// allowed is what a user may do with one resource, one bit an operation.
type allowed int32

const (
	nothing allowed = 0
	untold  allowed = math.MinInt32 // the protocol's own word for it
	// hidden is a topic that the user may not describe, and so neither read nor
	// write: these would give it that. Of the rest the brokers do not tell.
	hidden = allowed(math.MaxInt32) &^ (1<<kmsg.ACLOperationRead | 1<<kmsg.ACLOperationWrite | 1<<kmsg.ACLOperationDescribe)
)

// to reports whether the user may do o, or whether nobody says.
func (a allowed) to(o kafka.Operation) bool {
	code, err := kmsg.ParseACLOperation(string(o))
	return a == untold || err == nil && a&(1<<code) != 0
}

// topics returns what the user may do with each topic that it needs a right to, be
// it there or not.
func (r *Rights) topics(ctx context.Context) (map[string]allowed, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	req.Topics = []kmsg.MetadataRequestTopic{} // none: nil would mean all
	for name := range kafka.Declared().Topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(r.cfg.Topic(name))
		if slices.ContainsFunc(r.needs, func(n kafka.Right) bool { return n.Kind == kafka.TopicKind && n.Covers(*t.Topic) }) {
			req.Topics = append(req.Topics, t)
		}
	}
	resp, err := req.RequestWith(ctx, r.cl)
	if err != nil {
		return nil, err
	}
	topics := map[string]allowed{}
	for _, t := range resp.Topics {
		may := allowed(t.AuthorizedOperations)
		switch {
		case denied(kerr.ErrorForCode(t.ErrorCode)):
			may = hidden
		case may == nothing: // it was described, which is a right
			may = untold
		}
		topics[*t.Topic] = may
	}
	return topics, nil
}

// group returns what the user may do with a group, be it there or not.
func (r *Rights) group(ctx context.Context, name string) (may allowed, err error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{name}, true
	refused, err := asked(ctx, func() error {
		resp, err := req.RequestWith(ctx, r.cl)
		switch {
		case err != nil:
			return err
		case len(resp.Groups) != 1:
			return fmt.Errorf("the answer is about %d groups", len(resp.Groups))
		}
		may = allowed(resp.Groups[0].AuthorizedOperations)
		return kerr.ErrorForCode(resp.Groups[0].ErrorCode)
	})
	switch {
	case refused:
		return nothing, nil
	case may == nothing: // it was described, which is a right
		return untold, err
	}
	return may, err
}

// cannotSee reports whether the user lacks even the right to describe a
// transactional ID, which the right to write to it gives. Brokers tell no more
// about IDs; who may describe and not write is refused when it begins.
func (r *Rights) cannotSee(ctx context.Context, need kafka.Right) (bool, error) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{need.Name}
	if need.Prefixed {
		req.TransactionalIDs[0] += "0" // as the first slot's
	}
	return asked(ctx, func() error {
		resp, err := req.RequestWith(ctx, r.cl)
		if err != nil {
			return err
		}
		for _, s := range resp.TransactionStates {
			if s.ErrorCode != kerr.TransactionalIDNotFound.Code {
				err = errors.Join(err, kerr.ErrorForCode(s.ErrorCode))
			}
		}
		return err
	})
}

// asked asks a coordinator, again while it is about to come, and reports whether
// the user was refused.
func asked(ctx context.Context, ask func() error) (refused bool, err error) {
	for {
		switch err := ask(); {
		case denied(err):
			return true, nil
		case err == nil || !passing(err):
			return false, err
		case ctx.Err() != nil:
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(rightsRetry):
		}
	}
}
