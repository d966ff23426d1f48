package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"
)

// ReceiptType is the CloudEvents type of receipt records.
const ReceiptType = "veltrix.receipt.v1"

// Receipt says what became of one notification at one target of one channel.
// Receipts are written at least once; copies have the same CloudEvents id.
type Receipt struct {
	Notification string    `json:"notification"` // 32 hexadecimal digits
	Revision     uint32    `json:"revision"`
	Participant  string    `json:"participant"`
	Channel      string    `json:"channel"`
	Target       string    `json:"target"`
	Outcome      string    `json:"outcome"` // accepted, sent, deduped, ambiguous, retried, expired, retracted, pruned or dead
	Attempt      int       `json:"attempt"` // from 1; 0: none was made
	At           time.Time `json:"at"`
	Reason       string    `json:"reason,omitempty"`

	TraceParent string `json:"-"`
}

// Encode writes the receipt of a writer, "notifier" or so. It belongs on the
// notification's partition.
func (x *Receipt) Encode(writer string) (key, value []byte, headers []Header) {
	value, err := json.Marshal(x)
	if err != nil { // a time beyond the year 9999
		panic("wire: encode receipt: " + err.Error())
	}
	target := strconv.FormatUint(xxh3.HashString(x.Target), 16)
	add := func(key, value string) { headers = append(headers, Header{key, []byte(value)}) }
	add("ce_specversion", "1.0")
	add("ce_id", x.Notification+"."+strconv.FormatUint(uint64(x.Revision), 10)+"."+x.Channel+"."+target+"."+strconv.Itoa(x.Attempt)+"."+x.Outcome)
	add("ce_source", "/veltrix/"+writer)
	add("ce_type", ReceiptType)
	add("ce_time", string(appendTime(nil, x.At.UnixMicro())))
	add("ce_partitionkey", x.Participant)
	add(headerContentType, contentTypeJSON)
	if x.TraceParent != "" {
		add("ce_traceparent", x.TraceParent)
	}
	return []byte(x.Participant), value, headers
}

// DecodeReceipt reads a record of the receipts topic.
func DecodeReceipt(r *Record) (*Receipt, error) {
	var x Receipt
	if err := json.Unmarshal(r.Value, &x); err != nil {
		return nil, fmt.Errorf("decode receipt: %w", err)
	}
	if x.Notification == "" || x.Participant == "" || x.Outcome == "" {
		return nil, errors.New("decode receipt: it has no notification, participant or outcome")
	}
	x.TraceParent = string(r.Header("ce_traceparent"))
	return &x, nil
}
