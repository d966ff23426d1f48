// Command go sends what a team of the harbour hunt did to a gateway, with the
// CloudEvents SDK: as a batch, and the same batch once more. Then it reads the
// team's score. Run it again: the score stays what it is.
//
// It is a module of its own, so that the product does not carry the SDK.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

const team = "team-go"

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	events := []cloudevents.Event{
		event(1, "team.joined", 0, map[string]any{"player": "ada"}),
		event(2, "clue.found", 5, map[string]any{"clue": "anchor", "player": "ada", "distance_m": 5, "points": 50}),
		event(3, "clue.found", 9, map[string]any{"clue": "lantern", "player": "ada", "distance_m": 3, "points": 40}),
		event(4, "hint.used", 12, map[string]any{"clue": "bell", "player": "ada", "cost": 10}),
	}
	// A hint costs ten points. Whoever did not hear the answer sends all of the
	// request again.
	if _, err := send(ctx, events); err != nil {
		return err
	}
	offset, err := send(ctx, events)
	if err != nil {
		return err
	}
	score, err := score(ctx, offset)
	if err != nil {
		return err
	}
	fmt.Printf("%s has %d points\n", team, score)
	return nil
}

// event has an id and a time of its own: both stay when it is repeated.
func event(number int, kind string, minute int, data map[string]any) cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID(strconv.Itoa(number))
	e.SetSource("/example/go")
	e.SetType(kind)
	e.SetTime(time.Date(2025, 6, 14, 10, minute, 0, 0, time.UTC))
	e.SetExtension("partitionkey", team)
	if err := e.SetData(cloudevents.ApplicationJSON, data); err != nil {
		panic(err) // a map of words and numbers is JSON
	}
	return e
}

// send sends a batch until it is acknowledged, the same each time, and returns
// the offset of its last event.
func send(ctx context.Context, events []cloudevents.Event) (offset int64, err error) {
	again := []int{408, 429, 502, 503, 504} // what may succeed later
	for wait := 100 * time.Millisecond; ; wait *= 2 {
		req, err := cloudevents.NewHTTPRequestFromEvents(ctx, url()+"/v1/events", events)
		if err != nil {
			return 0, err
		}
		status, header, body, err := do(req)
		if err != nil {
			status, body = 503, []byte(err.Error()) // it may have arrived
		}
		if status == http.StatusAccepted {
			var receipt struct{ Positions []struct{ Offset int64 } }
			if err := json.Unmarshal(body, &receipt); err != nil {
				return 0, err
			}
			return receipt.Positions[len(events)-1].Offset, nil
		}
		if !slices.Contains(again, status) || wait > 30*time.Second {
			return 0, fmt.Errorf("the gateway answered %d: %s", status, body)
		}
		seconds, _ := strconv.Atoi(header.Get("Retry-After"))
		time.Sleep(max(wait, time.Duration(seconds)*time.Second))
	}
}

// score reads the score when the state has the event: the applied offset is
// above the event's.
func score(ctx context.Context, offset int64) (int, error) {
	var said []byte
	for range 300 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url()+"/v1/participants/"+team, nil)
		if err != nil {
			return 0, err
		}
		status, _, body, err := do(req)
		if err != nil {
			return 0, err
		}
		var view struct {
			State    struct{ Score int }
			Position struct{ Applied int64 }
		}
		if status == http.StatusOK && json.Unmarshal(body, &view) == nil && view.Position.Applied > offset {
			return view.State.Score, nil
		}
		said = body
		time.Sleep(100 * time.Millisecond)
	}
	return 0, errors.New("the events were not applied in time: is a processor running? The last answer: " + string(said))
}

// do sends a request with the key, where there is one.
func do(req *http.Request) (status int, header http.Header, body []byte, err error) {
	if key := os.Getenv("VELTRIX_KEY"); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

func url() string {
	if url := os.Getenv("VELTRIX_URL"); url != "" {
		return url
	}
	return "http://127.0.0.1:8080"
}
