package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// answerBytesMax bounds what is read of an answer: a batch of faults is far
// below it.
const answerBytesMax = 16 << 20

// answer is what an attempt came to.
type answer struct {
	err    error   // nil: taken, apart from the faults
	faults []fault // the events that were refused
	again  bool    // the same request may succeed later
	after  time.Duration
	unsure bool // although it failed, events may have arrived
}

// fault is an event that was refused, as the gateway gives it.
type fault struct {
	Line   int    `json:"line"` // in the request, from 1
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Fate   string `json:"fate"`
}

// attempt sends a request once.
func (c *Client) attempt(body []byte, events int) answer {
	ctx, cancel := context.WithTimeout(c.ctx, c.o.RequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	// Lines and not a batch: what is wrong with one is no matter of the others.
	req.Header.Set("Content-Type", "application/x-ndjson")
	if c.o.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.Key)
	}
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return answer{err: err, again: true, unsure: true}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	switch {
	case resp.StatusCode == http.StatusAccepted && err != nil:
		return answer{} // the status is the promise; the rest says where they are
	case resp.StatusCode == http.StatusAccepted, resp.StatusCode == http.StatusMultiStatus:
		return taken(text, err, resp.StatusCode, events)
	}
	return refused(resp, text, events)
}

// taken reads an answer that says which events were accepted. Each event of the
// request is in it, or the answer is none of a gateway: something else at the
// address must not make events vanish.
func taken(text []byte, cut error, status, events int) answer {
	if cut != nil {
		return answer{err: fmt.Errorf("read the answer %d: %w", status, cut), again: true, unsure: true}
	}
	var receipt struct {
		Accepted int     `json:"accepted"`
		Errors   []fault `json:"errors"`
	}
	err := json.Unmarshal(text, &receipt)
	if err != nil || receipt.Accepted+len(receipt.Errors) != events || !places(receipt.Errors, events) {
		return answer{err: fmt.Errorf("the answer %d does not say what became of %d events: is the URL that of a gateway?", status, events), unsure: true}
	}
	return answer{faults: receipt.Errors}
}

// places says whether each fault is of an event of the request, and no two of one.
func places(faults []fault, events int) bool {
	seen := make(map[int]bool, len(faults))
	for _, f := range faults {
		if f.Line < 1 || f.Line > events || seen[f.Line] {
			return false
		}
		seen[f.Line] = true
	}
	return true
}

// refused reads an answer that takes nothing, or that nobody expects.
func refused(resp *http.Response, text []byte, events int) answer {
	var document struct {
		Type   string  `json:"type"`
		Title  string  `json:"title"`
		Detail string  `json:"detail"`
		Errors []fault `json:"errors"`
	}
	status := resp.StatusCode
	if json.Unmarshal(text, &document) != nil || document.Type == "" {
		document.Type, document.Title, document.Detail = "about:blank", http.StatusText(status), ""
	}
	a := answer{err: &Problem{Type: document.Type, Title: document.Title, Status: status, Detail: document.Detail}}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		a.again, a.after = true, retryAfter(resp.Header.Get("Retry-After"))
	case http.StatusUnprocessableEntity, http.StatusForbidden:
		if places(document.Errors, events) {
			a.faults = document.Errors
		}
	}
	// What refuses a request says 4xx. A request that timed out may have gone on.
	a.unsure = status < 400 || status >= 500 || status == http.StatusRequestTimeout
	return a
}

// retryAfter reads the header: seconds, or a date. 0: it says nothing.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}
