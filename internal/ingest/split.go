package ingest

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

const (
	typeEvent = "application/cloudevents+json"
	typeBatch = "application/cloudevents-batch+json"
	typeLines = "application/x-ndjson"

	acceptedTypes = typeEvent + ", " + typeBatch + ", " + typeLines + ", application/json"
)

// item is one event of a request, or why it cannot be read.
type item struct {
	line int
	ce   wire.CloudEvent
	bad  *wire.Problem
}

// split finds the events of a request, by its content type.
func (g *Gateway) split(r *http.Request, body []byte) ([]item, *refusal) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, &refusal{name: problemMedia, detail: "the content type is malformed"}
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return nil, &refusal{name: problemMedia, detail: "events are UTF-8, and the content type says charset " + strconv.QuoteToGraphic(cut(charset))}
	}
	switch media {
	case typeEvent:
		return g.one(body)
	case typeBatch:
		return g.batch(body)
	case typeLines, "application/ndjson", "application/jsonl":
		return g.lines(body)
	}
	if r.Header.Get("Ce-Specversion") == "" && r.Header.Get("Ce-Id") == "" {
		return nil, &refusal{name: problemMedia, detail: "send a CloudEvent: as " + typeEvent + ", as " + typeBatch + ", as lines of " +
			typeLines + ", or with its attributes in ce- headers and its data as application/json"}
	}
	if media != "" && media != "application/json" && media != "text/json" && !strings.HasSuffix(media, "+json") {
		return nil, &refusal{name: problemMedia, detail: "the data of an event is JSON, and the content type is " + media}
	}
	it := item{line: 1}
	it.bad = binaryEvent(r.Header, body, &it.ce)
	return []item{it}, nil
}

// one reads a single structured event.
func (g *Gateway) one(body []byte) ([]item, *refusal) {
	if !json.Valid(body) {
		return nil, &refusal{name: problemRequest, detail: "the body is not JSON: " + complaint(body)}
	}
	it := item{line: 1}
	it.bad = wire.ParseCloudEvent(body, &it.ce)
	return []item{it}, nil
}

// complaint says what is wrong with an envelope.
func complaint(body []byte) string {
	var ce wire.CloudEvent
	if bad := wire.ParseCloudEvent(body, &ce); bad != nil {
		return bad.Reason
	}
	return "it cannot be read"
}

func (g *Gateway) batch(body []byte) ([]item, *refusal) {
	most := g.limits().BatchEventsMax
	elements, bad := wire.SplitBatch(body, most)
	if bad != nil {
		return nil, &refusal{name: problemRequest, detail: bad.Reason}
	}
	if len(elements) > most {
		return nil, tooMany(most)
	}
	items := make([]item, len(elements))
	for i, element := range elements {
		items[i].line = i + 1
		items[i].bad = wire.ParseCloudEvent(element, &items[i].ce)
	}
	return items, nil
}

func (g *Gateway) lines(body []byte) ([]item, *refusal) {
	var items []item
	most := g.limits().BatchEventsMax
	for line := 1; len(body) > 0; line++ {
		text, rest, _ := bytes.Cut(body, []byte{'\n'})
		body = rest
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if len(items) == most {
			return nil, tooMany(most)
		}
		items = append(items, item{line: line})
		it := &items[len(items)-1]
		it.bad = wire.ParseCloudEvent(text, &it.ce)
	}
	if len(items) == 0 {
		return nil, &refusal{name: problemRequest, detail: "the body has no events: put one CloudEvent on each line"}
	}
	return items, nil
}

func tooMany(most int) *refusal {
	return &refusal{name: problemTooLarge, detail: "a request has at most " + strconv.Itoa(most) + " events: send several"}
}

// binaryEvent reads an event in HTTP's binary mode: attributes in ce- headers,
// percent-encoded, and the data as body.
func binaryEvent(h http.Header, body []byte, ce *wire.CloudEvent) *wire.Problem {
	*ce = wire.CloudEvent{}
	if len(body) > 0 {
		ce.Data = body
	}
	spec, stamp := "", ""
	for key, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(key), "ce-")
		if !ok {
			continue
		}
		if len(values) > 1 {
			return bad(name, "its header ce-"+name+" is given twice")
		}
		value, err := url.PathUnescape(values[0])
		if err != nil {
			return bad(name, "its header ce-"+name+" has a percent sign that encodes nothing")
		}
		switch name {
		case "specversion":
			spec = value
		case "id":
			ce.ID = value
		case "source":
			ce.Source = value
		case "type":
			ce.Type = value
		case "time":
			stamp = value
		case "partitionkey":
			ce.Participant = value
		case "sequence":
			ce.Sequence = value
		case "traceparent":
			ce.SetTraceParent(value)
		default:
			if p := ce.AddExtension(name, value); p != nil {
				return p
			}
		}
	}
	if spec != "1.0" {
		return bad("specversion", "its header ce-specversion is "+strconv.QuoteToGraphic(cut(spec))+"; only 1.0 is known")
	}
	for _, a := range [...]struct{ name, value string }{{"id", ce.ID}, {"source", ce.Source}, {"type", ce.Type}} {
		if a.value == "" {
			return bad(a.name, "its header ce-"+a.name+" is missing")
		}
	}
	if ce.Participant == "" {
		return &wire.Problem{Field: "partitionkey", Rejection: participant.Rejection{
			Fate: participant.NoParticipant, Reason: "its header ce-partitionkey is missing: it names the participant",
		}}
	}
	return ce.SetTime(stamp)
}

func bad(field, reason string) *wire.Problem {
	return &wire.Problem{Field: field, Rejection: participant.Rejection{Fate: participant.Malformed, Reason: reason}}
}

// cut shortens what is repeated in a sentence.
func cut(s string) string {
	const longest = 100
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
