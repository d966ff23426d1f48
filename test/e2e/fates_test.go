package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// bad is one record that does not count, or not where it is.
type bad struct {
	name, fate, sentence string // the fate, and words of the sentence that explains it
	record               *kgo.Record
}

// binaryEvent is an event in binary mode; headers are laid over it, an empty
// value takes one away.
func (d *deployment) binaryEvent(key, id, kind, at, data string, headers ...string) *kgo.Record {
	r := &kgo.Record{Value: []byte(data), Key: []byte(key), Partition: wire.PartitionFor([]byte(key), d.partitions)}
	set := []string{
		"ce_specversion", "1.0", "ce_id", id, "ce_source", "/phone", "ce_type", kind, "ce_time", at,
		"ce_partitionkey", key, "content-type", "application/json",
	}
	for i := 0; i < len(set); i += 2 {
		value := set[i+1]
		for j := 0; j < len(headers); j += 2 {
			if headers[j] == set[i] {
				value = headers[j+1]
			}
		}
		if value != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: set[i], Value: []byte(value)})
		}
	}
	return r
}

const noon = "2025-06-01T12:00:"

// bads are records of every fate but applied, for ada unless they say otherwise.
func (d *deployment) bads() []bad {
	walk := func(id, data string, headers ...string) *kgo.Record {
		return d.binaryEvent("ada", id, "walked", noon+"05Z", data, headers...)
	}
	envelope := func(text string) *kgo.Record {
		r := d.event(`{"partitionkey":"ada"}`)
		r.Value = []byte(text)
		return r
	}
	const one = `{"metres":1}`
	huge := walk("huge", `{"metres":1,"note":"`+strings.Repeat("x", 500<<10)+`"}`)
	nobody := d.binaryEvent("", "nobody", "walked", noon+"05Z", one)
	stray := walk("stray", one)
	stray.Partition = (stray.Partition + 1) % d.partitions
	blob := d.binaryEvent("\xff\xfe", "blob", "walked", noon+"05Z", one, "ce_partitionkey", "")
	return []bad{
		{"malformed data", "malformed", "data cannot be read", walk("m1", `{"metres":`)},
		{"malformed envelope", "malformed", "", envelope(`{"specversion":"1.0","id":`)},
		{"not an event at all", "malformed", "no ce_ headers", &kgo.Record{Key: []byte("ada"), Value: []byte("hello"), Partition: stray.Partition}},
		{"no id", "malformed", "ce_id is missing", walk("", one)},
		{"no id in an envelope", "malformed", "attribute id is missing", envelope(`{"specversion":"1.0","source":"/phone","type":"walked","partitionkey":"ada","data":{"metres":1}}`)},
		{"another content type", "malformed", "only JSON", walk("m2", one, "content-type", "text/xml")},
		{"no time that is one", "malformed", "RFC 3339", walk("m3", one, "ce_time", "yesterday")},
		{"empty key", "no-participant", "no key", nobody},
		{"foreign key", "no-participant", "both must name the same participant", walk("n1", one, "ce_partitionkey", "grace")},
		{"key that is no text", "no-participant", "UTF-8", blob},
		{"oversize", "too-large", "4096 are allowed", walk("large", `{"metres":1,"note":"`+strings.Repeat("x", 5000)+`"}`)},
		{"far too large to be kept", "too-large", "4096 are allowed", huge},
		{"field of another type", "schema", "metres", walk("s1", `{"metres":"far"}`)},
		{"field out of bounds", "schema", "metres", walk("s2", `{"metres":5001}`)},
		{"missing field", "schema", "metres", walk("s3", `{}`)},
		{"unknown type", "schema", "walkd", walk("s4", one, "ce_type", "walkd")},
		{"the same again", "duplicate", "", walk("good-0", one, "ce_time", noon+"01Z")},
		{"an id reused with other content", "conflict", "", walk("good-0", `{"metres":2}`, "ce_time", noon+"01Z")},
		{"a clock in 2090", "future", "", walk("f1", one, "ce_time", "2090-01-01T00:00:00Z")},
		{"ten minutes behind", "late", "", walk("l1", one, "ce_time", "2025-06-01T11:50:00Z")},
		{"shared among nobody", "rule-error", "", walk("r1", `{"among":0}`, "ce_type", "shared")},
		{"one clue too many", "overflow", "", d.binaryEvent("full", "o1", "clue.found", noon+"05Z", `{"clue":"b"}`)},
		{"on another partition", "rerouted", "", stray},
	}
}

// TestBadInputHasItsFate sends every kind of bad record in the middle of good
// ones. Each must be explained in the rejected topic, and nothing else may stop
// or be lost.
func TestBadInputHasItsFate(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		source, err := os.ReadFile("testdata/fates.yaml")
		if err != nil {
			t.Fatal(err)
		}
		d := deploy(t, at, 3, source)
		d.processor()
		d.notifier()
		cl, bads := d.client(), d.bads()
		produce := func(r *kgo.Record) *kgo.Record { return d.produced(cl, r) }
		produce(d.binaryEvent("full", "o0", "clue.found", noon+"01Z", `{"clue":"a"}`))
		good := func(n int) {
			for _, who := range []string{"ada", "grace", "full"} {
				at := fmt.Sprintf("%s%09.6fZ", noon, 1+float64(n)/4)
				if n == 0 {
					at = noon + "01Z"
				}
				produce(d.binaryEvent(who, fmt.Sprintf("good-%d", n), "walked", at, `{"metres":1}`))
			}
		}
		fates := map[string]int64{"applied": 1 + 3*int64(len(bads)+1)}
		good(0)
		for i := range bads {
			bads[i].record = produce(bads[i].record)
			fates[bads[i].fate]++
			good(i + 1)
		}
		fates["applied"] += fates["rerouted"] // where they belong
		d.delivered()
		d.verified(fates)
		for fate := participant.Applied; fate < participant.FateCount; fate++ {
			if fates[fate.String()] == 0 {
				t.Errorf("no record has the fate %s", fate)
			}
		}
		d.rejections(bads)
		d.statuses(bads)
		for who, metres := range map[string]int{"ada": len(bads) + 2, "grace": len(bads) + 1, "full": len(bads) + 1} {
			if got := d.statesInRedis()[who]; !strings.Contains(got, fmt.Sprintf(`"walked":%d`, metres)) {
				t.Errorf("%s has walked %d m; the state is %s", who, metres, got)
			}
		}
		d.inboxes()
	})
}

func (d *deployment) produced(cl *kgo.Client, r *kgo.Record) *kgo.Record {
	d.t.Helper()
	d.must(cl.ProduceSync(d.t.Context(), r).FirstErr())
	return r
}

// rejections holds each bad record against its entry in the rejected topic.
func (d *deployment) rejections(bads []bad) {
	d.t.Helper()
	type position struct {
		partition int32
		offset    int64
	}
	found := map[position]*wire.RejectedRecord{}
	records := d.read("rejected")
	for i := range records {
		r, err := wire.DecodeRejected(&records[i])
		d.must(err)
		if got := string(records[i].Header(wire.HeaderReason)); got != r.Reason {
			d.t.Errorf("the header says %s and the record %s", got, r.Reason)
		}
		found[position{r.Partition, r.Offset}] = r
	}
	for _, b := range bads {
		r := found[position{b.record.Partition, b.record.Offset}]
		switch {
		case b.fate == "rerouted":
			if r != nil {
				d.t.Errorf("%s: rejected as %s: %s", b.name, r.Reason, r.Sentence)
			}
		case r == nil:
			d.t.Errorf("%s: it is not in the rejected topic", b.name)
		case r.Reason != b.fate || r.Sentence == "" || !strings.Contains(r.Sentence, b.sentence):
			d.t.Errorf("%s: rejected as %s (%s), want %s with %q", b.name, r.Reason, r.Sentence, b.fate, b.sentence)
		case r.OriginalBytes == 0 && !bytes.Equal(r.Original, b.record.Value), r.OriginalBytes != 0 && r.OriginalBytes != len(b.record.Value):
			d.t.Errorf("%s: the rejection does not carry what was sent", b.name)
		}
	}
}
