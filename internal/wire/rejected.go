package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/veltrix/veltrix/internal/participant"
)

// RejectedType is the CloudEvents type of rejection records.
const RejectedType = "veltrix.rejected.v1"

// What of a rejected record goes into its rejection, in bytes. They keep every
// rejection below a broker's default limit of 1 MB, whatever was sent: a
// rejection that cannot be written would stop its partition.
const (
	originalBytesMax = 400 << 10 // 533 KiB as base64
	headersBytesMax  = 64 << 10  // at most 6 times that in JSON
	keyBytesMax      = 4 << 10
)

// RejectedRecord is a record of the rejected topic.
type RejectedRecord struct {
	Reason    string           `json:"reason"` // a fate's name
	Sentence  string           `json:"sentence"`
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Key       []byte           `json:"key_base64,omitempty"`
	KeyBytes  int              `json:"key_bytes_omitted,omitempty"`
	Headers   []RejectedHeader `json:"headers"`
	// HeadersBytes and OriginalBytes are set instead of what is too large.
	HeadersBytes  int    `json:"headers_bytes_omitted,omitempty"`
	Original      []byte `json:"original_base64"`
	OriginalBytes int    `json:"original_bytes_omitted,omitempty"`

	// From the record's key and headers.
	RecordKey   []byte    `json:"-"`
	Participant string    `json:"-"` // empty where not known
	Hunt        string    `json:"-"`
	Time        time.Time `json:"-"` // when the rejected record arrived
	TraceParent string    `json:"-"`
	Cause       Cause     `json:"-"`
}

// RejectedHeader is a header of the rejected record: Value, or Base64 where its
// value is not UTF-8.
type RejectedHeader struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Base64 []byte `json:"value_base64,omitempty"`
}

// Rejected writes the rejection of record r, which belongs on r's partition.
// The cause holds what could be read of r.
func Rejected(hunt string, r *Record, cause *participant.Event, rej *participant.Rejection) (key, value []byte, headers []Header) {
	size := 768 + len(rej.Reason) + 2*min(len(r.Key), keyBytesMax) + base64.StdEncoding.EncodedLen(min(len(r.Value), originalBytesMax))
	d := draft{
		b:       make([]byte, 0, size),
		headers: make([]Header, 0, outputHeaders),
		ends:    make([]int, 0, outputHeaders),
	}
	about := *cause
	about.Arrival = participant.Arrival{Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp}
	d.b = strconv.AppendInt(append(strconv.AppendInt(d.b, int64(r.Partition), 10), '.'), r.Offset, 10)
	d.output(hunt, RejectedType, &about)
	d.text(HeaderReason, rej.Fate.String())
	at := len(d.b)
	d.b = appendRejected(d.b, r, rej)
	if len(r.Key) <= keyBytesMax {
		key = r.Key
	}
	return key, d.b[at:], d.sealed()
}

func appendRejected(b []byte, r *Record, rej *participant.Rejection) []byte {
	b = append(b, `{"reason":`...)
	b = appendQuoted(b, rej.Fate.String())
	b = appendMember(b, "sentence", rej.Reason)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(r.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, r.Offset, 10)
	if len(r.Key) > keyBytesMax {
		b = append(b, `,"key_bytes_omitted":`...)
		b = strconv.AppendInt(b, int64(len(r.Key)), 10)
	} else if !utf8.Valid(r.Key) {
		b = appendBase64(append(b, `,"key_base64":`...), r.Key)
	}
	b = append(b, `,"headers":[`...)
	total := 0
	for i := range r.Headers {
		total += len(r.Headers[i].Key) + len(r.Headers[i].Value) + 32
	}
	if total <= headersBytesMax {
		b = appendHeaders(b, r.Headers)
	}
	b = append(b, ']')
	if total > headersBytesMax {
		b = append(b, `,"headers_bytes_omitted":`...)
		b = strconv.AppendInt(b, int64(total), 10)
	}
	if len(r.Value) > originalBytesMax {
		b = append(b, `,"original_bytes_omitted":`...)
		b = strconv.AppendInt(b, int64(len(r.Value)), 10)
	} else {
		b = appendBase64(append(b, `,"original_base64":`...), r.Value)
	}
	return append(b, '}')
}

func appendHeaders(b []byte, headers []Header) []byte {
	for i := range headers {
		h := &headers[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(append(b, `{"key":`...), h.Key)
		if utf8.Valid(h.Value) {
			b = appendMember(b, "value", string(h.Value))
		} else {
			b = appendBase64(append(b, `,"value_base64":`...), h.Value)
		}
		b = append(b, '}')
	}
	return b
}

func appendBase64(b, raw []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), raw), '"')
}

// DecodeRejected reads a record of the rejected topic. What it returns outlives
// the record.
func DecodeRejected(r *Record) (*RejectedRecord, error) {
	var x RejectedRecord
	if err := json.Unmarshal(r.Value, &x); err != nil {
		return nil, fmt.Errorf("decode rejection: %w", err)
	}
	if _, ok := participant.FateByName(x.Reason); !ok {
		return nil, fmt.Errorf("decode rejection: its reason %q is not a fate", x.Reason)
	}
	h, err := decodeHeaders(r, RejectedType)
	if err != nil {
		return nil, fmt.Errorf("decode rejection: %w", err)
	}
	x.RecordKey = append([]byte(nil), r.Key...)
	x.Participant = string(r.Header("ce_partitionkey"))
	x.Hunt, x.Time, x.TraceParent, x.Cause = h.hunt, h.time, h.traceParent, h.cause
	return &x, nil
}
