package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/veltrix/veltrix/internal/participant"
)

// Headers of output records beside the CloudEvents attributes.
const (
	HeaderOp              = "veltrix-op"
	HeaderReason          = "veltrix-reason"
	HeaderSourcePartition = "veltrix-source-partition"
	HeaderSourceOffset    = "veltrix-source-offset"
	HeaderCauseID         = "ce_causeid"
	HeaderCauseSource     = "ce_causesource"
)

// microseconds is how outputs write times: RFC 3339 in UTC, always to the µs.
const microseconds = "2006-01-02T15:04:05.000000Z07:00"

// appendTime appends a time, given in µs since the Unix epoch. A time that RFC
// 3339 cannot write becomes the nearest that it can.
func appendTime(b []byte, us int64) []byte {
	return time.UnixMicro(min(max(us, timeMin), timeMax)).UTC().AppendFormat(b, microseconds)
}

// draft builds an output record in one piece of memory. Headers and key point
// into it once finish was called, because it may move while it grows.
type draft struct {
	b       []byte
	headers []Header
	ends    []int // of the headers' values, parallel to headers; 0: set already
}

// sealed returns the headers with their values.
func (d *draft) sealed() []Header {
	from := 0
	for i, end := range d.ends {
		if end > 0 {
			d.headers[i].Value = d.b[from:end:end]
			from = end
		}
	}
	return d.headers
}

// constant adds a header whose value nobody changes.
func (d *draft) constant(key string, value []byte) {
	d.headers = append(d.headers, Header{key, value})
	d.ends = append(d.ends, 0)
}

// close ends the header whose value was just appended to d.b.
func (d *draft) close(key string) {
	d.headers = append(d.headers, Header{Key: key})
	d.ends = append(d.ends, len(d.b))
}

func (d *draft) text(key, value string) {
	if value != "" {
		d.b = append(d.b, value...)
		d.close(key)
	}
}

// The values that every output shares.
var (
	specVersion = []byte("1.0")
	jsonType    = []byte(contentTypeJSON)
	eventType   = []byte(contentTypeEvent)
)

// output begins a record with the headers that all outputs share; its id is
// appended by the caller before. The cause is the event whose arrival produced
// the output; what is not known of it is left out.
func (d *draft) output(hunt, kind string, cause *participant.Event) {
	d.close("ce_id")
	d.constant("ce_specversion", specVersion)
	d.b = append(append(d.b, "/veltrix/"...), hunt...)
	d.close("ce_source")
	d.text("ce_type", kind)
	d.b = appendTime(d.b, cause.Arrival.Time)
	d.close("ce_time")
	d.text("ce_partitionkey", cause.Participant)
	d.constant(headerContentType, jsonType)
	d.text("ce_traceparent", cause.TraceParent)
	d.text(HeaderCauseID, cause.ID)
	d.text(HeaderCauseSource, cause.Source)
	d.b = strconv.AppendInt(d.b, int64(cause.Arrival.Partition), 10)
	d.close(HeaderSourcePartition)
	d.b = strconv.AppendInt(d.b, cause.Arrival.Offset, 10)
	d.close(HeaderSourceOffset)
}

const outputHeaders = 14 // at most

// outputHead is what the shared headers say.
type outputHead struct {
	hunt, traceParent string
	time              time.Time
	cause             Cause
}

// decodeHeaders reads the headers that all outputs share.
func decodeHeaders(r *Record, kind string) (outputHead, error) {
	var h outputHead
	if got := string(r.Header("ce_type")); got != kind {
		return h, fmt.Errorf("its type is %q, not %s", got, kind)
	}
	us, ok := parseTime(r.Header("ce_time"))
	if !ok {
		return h, fmt.Errorf("its ce_time is %q", r.Header("ce_time"))
	}
	partition, err := strconv.ParseInt(string(r.Header(HeaderSourcePartition)), 10, 32)
	if err != nil {
		return h, fmt.Errorf("its %s is no number: %w", HeaderSourcePartition, err)
	}
	offset, err := strconv.ParseInt(string(r.Header(HeaderSourceOffset)), 10, 64)
	if err != nil {
		return h, fmt.Errorf("its %s is no number: %w", HeaderSourceOffset, err)
	}
	h.hunt = strings.TrimPrefix(string(r.Header("ce_source")), "/veltrix/")
	h.traceParent = string(r.Header("ce_traceparent"))
	h.time = time.UnixMicro(us).UTC()
	h.cause = Cause{
		ID: string(r.Header(HeaderCauseID)), Source: string(r.Header(HeaderCauseSource)),
		Partition: int32(partition), Offset: offset,
	}
	return h, nil
}
