// Command go-client sends what a team of the harbour hunt did to a gateway, with
// Veltrix's own client, and one event of it twice. Then it reads the team's
// score. Run it again: the score stays what it is.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/veltrix/veltrix/client"
)

const team = "team-go-client"

var (
	url = cmp.Or(os.Getenv("VELTRIX_URL"), "http://127.0.0.1:8080")
	key = os.Getenv("VELTRIX_KEY")
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := send(ctx)
	if err == nil {
		err = show(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func send(ctx context.Context) (err error) {
	c, err := client.New(client.Options{URL: url, Key: key, Source: "/example/go-client"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }() // waits for what is on its way

	// These are batched. The outcome of each is told later.
	told := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	hint := event("3", "hint.used", 7, map[string]any{"clue": "bell", "player": "ada", "cost": 10})
	for _, e := range []client.Event{
		event("1", "team.joined", 0, map[string]any{"player": "ada"}),
		event("2", "clue.found", 5, map[string]any{"clue": "anchor", "player": "ada", "distance_m": 5, "points": 50}),
		hint,
		hint, // costs its ten points once, as the client's own retries would
	} {
		if err := c.Enqueue(ctx, e, told); err != nil {
			return err
		}
	}
	// This one is waited for. It comes after those before it.
	return c.Send(ctx, event("4", "clue.found", 9, map[string]any{"clue": "lantern", "player": "ada", "distance_m": 3, "points": 40}))
}

// event has an id and a time of its own, so that this program may run twice.
func event(id, kind string, minute int, data map[string]any) client.Event {
	return client.Event{
		ID: id, Type: kind, Participant: team, Data: data,
		Time: time.Date(2025, 6, 14, 10, minute, 0, 0, time.UTC),
	}
}

// show prints the score when the state has the last event.
func show(ctx context.Context) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/participants/"+team, nil)
		if err != nil {
			return err
		}
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("wait until the events are applied; is a processor running? %w", err)
		}
		var view struct {
			State struct {
				Score int
				Found []string
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&view)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if slices.Contains(view.State.Found, "lantern") {
			fmt.Printf("%s has %d points\n", team, view.State.Score)
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}
