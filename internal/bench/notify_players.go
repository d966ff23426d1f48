package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// seat is one player: a name, and the token that opens the inbox.
type seat struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

// What the players are told to do.
const (
	doConnect = "connect" // to Address, as Seats
	doMeasure = "measure" // how long what is due from From on takes to be shown
	doReport  = "report"  // what was seen; Want is how many each seat was to be shown
)

// instruction is a line to the players.
type instruction struct {
	Do      string  `json:"do"`
	Address string  `json:"address,omitempty"`
	Seats   []seat  `json:"seats,omitempty"`
	From    int64   `json:"from,omitempty"` // µs since the Unix epoch
	Want    []int64 `json:"want,omitempty"`
}

// seen is a line from the players: how far they are, and in the end everything.
type seen struct {
	Connected int64 `json:"connected"`
	Shown     int64 `json:"shown"`
	Last      int64 `json:"last"`   // when an entry came last, ns since the Unix epoch
	Broken    bool  `json:"broken"` // a stream ended: it will not get further
	// In the end:
	Done     bool     `json:"done,omitempty"`
	Findings findings `json:"findings,omitzero"`
	Times    []int64  `json:"times,omitempty"` // µs from due to shown
}

// crowd is the players' side: one connection each, which reads what it is sent
// and checks it.
type crowd struct {
	connected, shown, last, from atomic.Int64
	broken, ending               atomic.Bool

	mu      sync.Mutex // guards what follows, and the screens
	found   findings
	times   []int64
	screens []*screen
}

func newCrowd() *crowd { return &crowd{} }

const (
	dialsMost     = 64 // connections being made at a time
	sayEvery      = 25 * time.Millisecond
	streamTimeout = time.Minute // without a byte, where a heartbeat comes every 15 s
	streamBuffer  = 4 << 10
)

// run does what it is told until in ends.
func (c *crowd) run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer stop()
	var saying sync.Mutex
	encoder := json.NewEncoder(out)
	say := func(s seen) error {
		saying.Lock()
		defer saying.Unlock()
		return encoder.Encode(s)
	}
	go c.keepSaying(ctx, say)
	for told := json.NewDecoder(in); ; {
		var do instruction
		if err := told.Decode(&do); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what to do: %w", err)
		}
		switch do.Do {
		case doConnect:
			dials := make(chan struct{}, dialsMost)
			for _, s := range do.Seats {
				screen := newScreen(s.Name)
				c.screens = append(c.screens, screen)
				streams.Go(func() { c.hold(ctx, do.Address, s, screen, dials) })
			}
		case doMeasure:
			c.from.Store(do.From)
		case doReport:
			c.ending.Store(true)
			stop()
			streams.Wait()
			return say(c.report(do.Want))
		}
	}
}

// keepSaying says how far the crowd is whenever that has changed.
func (c *crowd) keepSaying(ctx context.Context, say func(seen) error) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	var before seen
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := c.now()
		if now.Connected == before.Connected && now.Shown == before.Shown && now.Broken == before.Broken {
			continue
		}
		before = now
		if say(now) != nil {
			return
		}
	}
}

func (c *crowd) now() seen {
	return seen{Shown: c.shown.Load(), Last: c.last.Load(), Connected: c.connected.Load(), Broken: c.broken.Load()}
}

// report is the end: what each was shown against what each was to be shown.
func (c *crowd) report(want []int64) seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.screens {
		if i < len(want) {
			s.end(&c.found, want[i])
		}
	}
	r := c.now()
	r.Done, r.Findings, r.Times = true, c.found, slices.Sorted(slices.Values(c.times))
	return r
}

// hold keeps one player's stream open. That it ends is a finding: a client
// would come back, but its time would be told as the notifier's.
func (c *crowd) hold(ctx context.Context, address string, s seat, screen *screen, dials chan struct{}) {
	err := c.stream(ctx, address, s, screen, dials)
	if c.ending.Load() || ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	c.found.add(findStream, 1, "%s: %v", s.Name, err)
	c.mu.Unlock()
	c.broken.Store(true)
}

func (c *crowd) stream(ctx context.Context, address string, s seat, screen *screen, dials chan struct{}) error {
	select {
	case dials <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	dialled := sync.OnceFunc(func() { <-dials })
	defer dialled()
	conn, err := (&net.Dialer{Timeout: streamTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(streamTimeout))
	_, err = fmt.Fprintf(conn, "GET /v1/inbox/stream HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", address, s.Token)
	if err != nil {
		return err
	}
	reader := bufio.NewReaderSize(conn, streamBuffer)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, streamBuffer))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	c.connected.Add(1)
	dialled()
	return c.read(conn, bufio.NewReaderSize(resp.Body, streamBuffer), screen)
}

// read takes events until the stream ends.
func (c *crowd) read(conn net.Conn, body *bufio.Reader, screen *screen) error {
	var kind, id string
	var data []byte
	for {
		line, err := body.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("the stream ended: %w", err)
		}
		text := strings.TrimSuffix(string(line), "\n")
		name, value, _ := strings.Cut(text, ": ")
		switch name {
		case "event":
			kind = value
		case "id":
			id = value
		case "data":
			data = []byte(value)
		case "": // the end of an event, or a comment
			_ = conn.SetReadDeadline(time.Now().Add(streamTimeout))
			if text != "" || data == nil {
				continue
			}
			if kind != "notification" {
				return fmt.Errorf("an event %q came: %s", kind, data)
			}
			if err := c.take(screen, id, data); err != nil {
				return err
			}
			kind, id, data = "", "", nil
		}
	}
}

// take checks one entry, and how long it took.
func (c *crowd) take(screen *screen, id string, data []byte) error {
	now := time.Now()
	epoch, offset, number, due, notification, err := readEntry(id, data)
	if err != nil {
		return fmt.Errorf("entry %s: %w: %s", id, err, data)
	}
	c.mu.Lock()
	before := screen.shown()
	screen.see(&c.found, epoch, offset, notification, number)
	fresh := screen.shown() - before
	if from := c.from.Load(); from > 0 && due >= from && fresh > 0 {
		c.times = append(c.times, now.UnixMicro()-due)
	}
	c.mu.Unlock()
	c.shown.Add(fresh)
	c.last.Store(now.UnixNano())
	return nil
}

// readEntry reads what the rules and the backlog write: the title "Clue n …",
// and the body "Due µs: …".
func readEntry(id string, data []byte) (epoch string, offset, number, due int64, notification string, err error) {
	var e struct {
		Offset                    int64
		Notification, Title, Body string
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return "", 0, 0, 0, "", err
	}
	epoch, at, _ := strings.Cut(id, "-")
	if at != strconv.FormatInt(e.Offset, 10) {
		return "", 0, 0, 0, "", fmt.Errorf("its ID %q and its offset do not agree", id)
	}
	number, due, err = readNote(e.Title, e.Body)
	return epoch, e.Offset, number, due, e.Notification, err
}

func readNote(title, body string) (number, due int64, err error) {
	text, _, _ := strings.Cut(strings.TrimPrefix(title, "Clue "), " ")
	if number, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, 0, err
	}
	text, _, _ = strings.Cut(strings.TrimPrefix(body, "Due "), ":")
	due, err = strconv.ParseInt(text, 10, 64)
	return number, due, err
}
