package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/veltrix/veltrix/internal/wire"
)

// TopicPartition names a partition of one of the notifier's topics, without
// the deployment's prefix: "notifications" or one of the retry topics.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// NotificationsTopic is the topic that the notifier reads.
const NotificationsTopic = "notifications"

// RetryTopic is a topic whose records wait there for Delay, or until they are due.
type RetryTopic struct {
	Name  string
	Delay time.Duration
}

// RetryTopics are the topics for delays too long to wait in memory. A longer
// delay takes several hops.
func RetryTopics() []RetryTopic {
	return []RetryTopic{
		{"notify.retry.1m", time.Minute},
		{"notify.retry.10m", 10 * time.Minute},
		{"notify.retry.1h", time.Hour},
		{"notify.retry.6h", 6 * time.Hour},
	}
}

// Fetch is what one poll brought of one partition.
type Fetch struct {
	TopicPartition
	Records []wire.Record
	Next    int64 // the position after this fetch, behind transaction markers too
	End     int64 // the last stable offset
}

// Holder is told about the partitions that its process holds. Its methods are
// called by the source, one at a time, and never while a poll's records are
// being taken.
type Holder interface {
	Assigned(parts []TopicPartition)
	// Revoked returns when nothing of parts is being worked on any more; what
	// was finished is committed.
	Revoked(parts []TopicPartition)
	// Lost is Revoked without the right to commit.
	Lost(parts []TopicPartition)
}

// Source reads the notifications and retry topics as a member of one group,
// committed transactions only.
type Source interface {
	// Poll returns records, or nothing when ctx ends. No rebalance is let in
	// until Release. An error is final: reading on would skip records.
	Poll(ctx context.Context, recordsMax int) ([]Fetch, error)
	Release()
	Pause(part TopicPartition)
	Resume(part TopicPartition)
	// Commit commits next offsets to read.
	Commit(ctx context.Context, offsets map[TopicPartition]int64) error
	// Close leaves the group, after Revoked of all that is held.
	Close()
}

// Key names one notification at one target.
type Key struct {
	Participant, Notification, Channel, Target string
}

// ClaimRequest asks for the right to make one attempt.
type ClaimRequest struct {
	Owner    string
	Lease    time.Duration // longer than the attempt can take
	Revision int
	Retract  bool
	// Expired says that the deadline is over: where an attempt would be due,
	// the end is noted instead.
	Expired bool
}

// ClaimState is the ledger's answer to a claim.
type ClaimState string

// The answers.
const (
	Claimed   ClaimState = "claimed"   // go on and send
	Busy      ClaimState = "busy"      // a live claim exists; Wait says how long it can live
	Early     ClaimState = "early"     // Attempt attempts failed; Wait is the time to the next
	Finished  ClaimState = "finished"  // this revision or a later one reached its end; Reason has it
	Expired   ClaimState = "expired"   // noted as expired just now
	Retracted ClaimState = "retracted" // nothing had been sent, so there is nothing to retract
)

// Claim is the ledger's answer.
type Claim struct {
	State   ClaimState
	Attempt int
	Wait    time.Duration
	// Unknown says that the claim replaces one whose owner never reported: it
	// may have been sent.
	Unknown bool
	// Seen says that some revision has, or may have, reached the target.
	Seen   bool
	Reason string
}

// Mark is how an attempt ended.
type Mark struct {
	State    MarkState
	Provider string        // the provider's identifier, for Sent
	Reason   string        // for Dead and Waiting
	Wait     time.Duration // until the next attempt, for Waiting
	// Seen says that the attempt may have reached the target.
	Seen bool
}

// MarkState is the state an attempt leaves.
type MarkState string

// The states.
const (
	Sent    MarkState = "sent"
	Dead    MarkState = "dead"
	Waiting MarkState = "waiting"
)

// Ledger remembers attempts. Its clock is its own. Errors are transport
// errors: the outcome is unknown and every method may be called again.
type Ledger interface {
	Claim(ctx context.Context, key Key, req ClaimRequest) (Claim, error)
	// Mark ends the attempt by compare-and-set on owner and attempt. False
	// says that the claim belongs to somebody else by now. Marking the same
	// twice is true twice.
	Mark(ctx context.Context, key Key, owner string, attempt int, mark Mark) (bool, error)
}

// Entry is one notification in an inbox.
type Entry struct {
	Offset       int64     `json:"offset"`
	Notification string    `json:"notification"`
	Revision     int       `json:"revision"`
	Op           Op        `json:"op"`
	Class        string    `json:"class"`
	Title        string    `json:"title"`
	Body         string    `json:"body"`
	At           time.Time `json:"at"`
	Expires      time.Time `json:"expires,omitzero"`
	EventType    string    `json:"event_type,omitempty"`
	EventTime    time.Time `json:"event_time,omitzero"`
}

// AppendOutcome is what an append did.
type AppendOutcome string

// The outcomes.
const (
	Appended   AppendOutcome = "appended"
	Deduped    AppendOutcome = "deduped"    // this revision or a later one is known
	TooOld     AppendOutcome = "too-old"    // from before what the inbox remembers
	NothingYet AppendOutcome = "nothing"    // a retraction of what was never there
	Tombstone  AppendOutcome = "tombstoned" // a retraction replaced its entry
)

// Cursor is a place in an inbox. The zero Cursor is before everything.
type Cursor struct {
	Epoch  string // names the inbox's life; empty for the zero Cursor
	Offset int64  // the last entry seen
}

// Page is a stretch of an inbox.
type Page struct {
	Epoch   string
	Last    int64 // the newest offset given out
	Acked   int64
	Entries []Entry
	// Resync says that the cursor is of another life or that entries behind it
	// are gone: Entries then begin with the oldest kept, and what the client
	// holds is to be thrown away.
	Resync bool
}

// Inbox keeps each participant's notifications. Errors are transport errors
// and every method may be called again.
type Inbox interface {
	// Append adds a revision under the next offset and removes the one that it
	// replaces, or does nothing where it is known.
	Append(ctx context.Context, n *Notification) (AppendOutcome, int64, error)
	// Page returns up to limit entries after cursor, oldest first.
	Page(ctx context.Context, participant string, after Cursor, limit int) (Page, error)
	// Newest returns up to limit entries below the offset before, newest
	// first; before 0 means from the end.
	Newest(ctx context.Context, participant string, before int64, limit int) (Page, error)
	// Ack notes that everything up to offset was seen and returns what is
	// noted; it never goes back nor past the newest.
	Ack(ctx context.Context, participant string, offset int64) (int64, error)
	// Wake returns a channel that receives when an inbox may have changed. It
	// is a hint: it may come late, without cause, or never.
	Wake(participant string) (woken <-chan struct{}, stop func())
}

// Outcome is what a receipt reports.
type Outcome string

// The outcomes. OutSent is the inbox's, OutAccepted an outside provider's word.
const (
	OutAccepted  Outcome = "accepted"
	OutSent      Outcome = "sent"
	OutDeduped   Outcome = "deduped"
	OutAmbiguous Outcome = "ambiguous"
	OutRetried   Outcome = "retried"
	OutExpired   Outcome = "expired"
	OutRetracted Outcome = "retracted"
	OutPruned    Outcome = "pruned" // the device is gone, and was taken out
	OutDead      Outcome = "dead"
	// The gate's: nothing was sent, or not yet.
	OutSeen     Outcome = "seen"     // by the participant, in the inbox
	OutMuted    Outcome = "muted"    // by the participant
	OutDeferred Outcome = "deferred" // to the end of the participant's quiet hours
	OutDigested Outcome = "digested" // told in a digest
)

// Receipt says what became of one notification on one channel.
type Receipt struct {
	Notification string    `json:"notification"`
	Revision     int       `json:"revision"`
	Participant  string    `json:"participant"`
	Channel      string    `json:"channel"`
	Target       string    `json:"target"`
	Outcome      Outcome   `json:"outcome"`
	Attempt      int       `json:"attempt"`
	At           time.Time `json:"at"`
	Reason       string    `json:"reason,omitempty"`

	Partition   int32  `json:"-"`
	TraceParent string `json:"-"`
}

// Receipts writes to the log: receipts at least once, and what is to wait.
type Receipts interface {
	// Write queues a receipt.
	Write(r Receipt)
	// Flush returns when everything queued before it is acknowledged.
	Flush(ctx context.Context) error
	// Park returns when the topic has taken the record.
	Park(ctx context.Context, topic string, p Parked) error
}

// Attempt is one try at one target.
type Attempt struct {
	Notification *Notification
	Op           Op // send where the target has seen no revision yet
	Target       string
	Number       int // from 1
	InboxOffset  int64
	At           time.Time
}

// Verdict classifies an attempt's end.
type Verdict uint8

// The verdicts. Failed and Refused are definite: nothing was delivered.
const (
	Unknown  Verdict = iota // it may have been delivered: timeout, reset, 5xx
	Accepted                // the provider has it
	Failed                  // it has it not, and another try may help: dial error, 4xx, 429
	Refused                 // it has it not, and never will: gone
)

// Result is what a channel says about an attempt.
type Result struct {
	Verdict    Verdict
	Provider   string        // the provider's identifier
	Reason     string        // short, without secrets
	RetryAfter time.Duration // the provider's wish, 0 for none
	// Alarm says that our configuration is at fault (401, 403): the target is
	// left alone for a while and somebody has to look.
	Alarm bool
	// Pruned says of a refusal that the device is gone and was taken out.
	Pruned bool
	// Unreachable says of a definite failure that nobody answered at all.
	Unreachable bool
}

// Channel is a way to a person outside.
type Channel interface {
	Name() string
	// Targets returns where a participant is reached, or nothing. An error is
	// passing: it is asked again.
	Targets(ctx context.Context, participant string) ([]string, error)
	// Timeout bounds Deliver.
	Timeout() time.Duration
	// Retry returns the pause after the failed attempt with that number, or
	// false after the last.
	Retry(attempt int) (time.Duration, bool)
	// Deliver makes one attempt. It never retries by itself.
	Deliver(ctx context.Context, a Attempt) Result
}

// Device is an app or a browser of a participant.
type Device struct {
	ID      string // of the participant's choice, 1 to 128 bytes; the target's name
	Channel string // webpush, fcm or apns
	// Token is what the provider knows it by; of Web Push the subscription's
	// endpoint. It is a secret: whoever has it can write to the device.
	Token string `json:"-"`
	// P256dh and Auth are a Web Push subscription's keys, in base64url without
	// padding.
	P256dh     string    `json:"-"`
	Auth       string    `json:"-"`
	Registered time.Time // when the token was registered last
}

// Ending returns the end of the token, enough to tell devices apart and too
// little to write to one.
func (d Device) Ending() string {
	if len(d.Token) < 16 {
		return "…"
	}
	return "…" + d.Token[len(d.Token)-4:]
}

// String names the device without its secrets, wherever it is printed.
func (d Device) String() string { return d.Channel + " device " + d.ID + " (" + d.Ending() + ")" }

// GoString is String.
func (d Device) GoString() string { return d.String() }

// ErrDevicesFull says that a participant has as many devices as may be.
var ErrDevicesFull = errors.New("this participant has as many devices as may be: delete one")

// Devices keeps each participant's devices. A token belongs to one participant
// and one ID: registered again, it is taken from whoever had it. Errors are
// transport errors where nothing else is said, and every method may be called
// again.
type Devices interface {
	// Put registers a device, or its new token under the same ID. It fails with
	// ErrDevicesFull where a new ID would be one too many, and then takes the
	// token from nobody.
	Put(ctx context.Context, participant string, d Device) error
	// Delete takes a device out; one that is not there is no error.
	Delete(ctx context.Context, participant, id string) error
	// List returns a participant's devices, by ID.
	List(ctx context.Context, participant string) ([]Device, error)
	// Find returns a device while its token is still this participant's; nil
	// otherwise.
	Find(ctx context.Context, participant, id string) (*Device, error)
	// Prune takes a device out if it still has the token and was not registered
	// after seen, and says whether it did: a provider's word on a token is no word
	// on the one that replaced it.
	Prune(ctx context.Context, participant, id, token string, seen time.Time) (bool, error)
}

// Personal is a Channel whose targets are participants' own devices: what they
// call them says nothing about others' devices of the same name, and what is sent
// there passes the Gate.
type Personal interface{ Personal() }

// Metrics counts. Every method may be called from many goroutines.
type Metrics interface {
	// Consumed counts records of the notifications topic.
	Consumed(op Op)
	// Outcome counts receipts. Cause is one of a few phrases, for dead only.
	Outcome(channel string, outcome Outcome, cause string)
	// Ambiguous counts attempts with an unknown outcome, by what was done.
	Ambiguous(channel string, policy Policy)
	// Attempt observes one attempt's duration.
	Attempt(channel string, took time.Duration)
	// Age observes the time from the causing record's arrival to acceptance.
	Age(channel string, age time.Duration)
	// Alarm counts answers that blame our configuration.
	Alarm(channel string)
	// Stalled counts failures of a store that made a lane wait.
	Stalled(store string)
}
