package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The hunt that is played twice: how many players find how many clues, one after
// the other, and how long a back end waits for an answer before it sends again.
const (
	incidentPlayers  = 12
	incidentClues    = 10
	incidentPace     = 300 * time.Millisecond
	incidentPatience = time.Second
	incidentGivesUp  = 30 * time.Second
)

// incidentEvent is a clue that a player found, as the back end sends it.
type incidentEvent struct {
	Specversion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Time        time.Time `json:"time"`
	Player      string    `json:"partitionkey"`
	Data        struct {
		Clue int `json:"clue"`
	} `json:"data"`
}

// incidentHunt is what was sent, and what the players were told.
type incidentHunt struct {
	first int // clue

	mu   sync.Mutex
	sent map[string]map[int]time.Time
	told map[string][]told
}

type told struct {
	clue int
	at   time.Time
}

func newIncidentHunt(first int) *incidentHunt {
	return &incidentHunt{first: first, sent: map[string]map[int]time.Time{}, told: map[string][]told{}}
}

func (h *incidentHunt) tell(player string, clue int) {
	if clue < h.first {
		return // of the hunt before
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told[player] = append(h.told[player], told{clue, time.Now()})
}

// play has all players find their clues, sent to url. Each back end sends a player's
// next clue when it has an answer for the last, and again when it has none in time.
func (h *incidentHunt) play(ctx context.Context, url string) {
	client := &http.Client{Timeout: incidentPatience, Transport: &http.Transport{MaxIdleConnsPerHost: incidentPlayers}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for n := range incidentPlayers {
		player := fmt.Sprintf("player-%02d", n)
		all.Go(func() {
			for clue := h.first; clue < h.first+incidentClues && ctx.Err() == nil; clue++ {
				h.find(ctx, client, url, player, clue)
				time.Sleep(incidentPace)
			}
		})
	}
	all.Wait()
}

func (h *incidentHunt) find(ctx context.Context, client *http.Client, url, player string, clue int) {
	now := time.Now().UTC()
	e := incidentEvent{Specversion: "1.0", ID: fmt.Sprintf("%s-%d", player, clue), Source: "/game", Type: "clue.found", Time: now, Player: player}
	e.Data.Clue = clue
	body, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	h.mu.Lock()
	if h.sent[player] == nil {
		h.sent[player] = map[int]time.Time{}
	}
	h.sent[player][clue] = now
	h.mu.Unlock()
	for time.Since(now) < incidentGivesUp && ctx.Err() == nil {
		resp, err := client.Post(url, "application/cloudevents+json", bytes.NewReader(body))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusAccepted {
				return
			}
		}
	}
}

// incidentSeen is what the hunt was like.
type incidentSeen struct {
	sent, missing, twice, disorder, late int
	half, most, longest                  time.Duration // p50, p99 and the most, from the clue to the player
}

func (s incidentSeen) String() string {
	return fmt.Sprintf("%d clues: %d never told, %d told again, %d after a later one, %d later than a second; p50 %s, p99 %s, at most %s",
		s.sent, s.missing, s.twice, s.disorder, s.late,
		s.half.Round(time.Millisecond), s.most.Round(time.Millisecond), s.longest.Round(time.Millisecond))
}

func (h *incidentHunt) seen() (s incidentSeen) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var took []time.Duration
	for player, sent := range h.sent {
		s.sent += len(sent)
		first, highest := map[int]bool{}, 0
		for _, t := range h.told[player] {
			if first[t.clue] {
				s.twice++
				continue
			}
			first[t.clue] = true
			if t.clue < highest {
				s.disorder++
			}
			highest = max(highest, t.clue)
			latency := t.at.Sub(sent[t.clue])
			took = append(took, latency)
			if latency > time.Second {
				s.late++
			}
		}
		s.missing += len(sent) - len(first)
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		s.half, s.most, s.longest = took[n/2], took[n*99/100], took[n-1]
	}
	return s
}

// watch reads a player's inbox as an app does, until ctx ends.
func (h *incidentHunt) watch(ctx context.Context, inbox, player, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, inbox+"/v1/inbox/stream", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the stream of %s: %s", player, resp.Status)
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		var entry struct{ Title string }
		var clue int
		if err := json.Unmarshal([]byte(data), &entry); err != nil {
			return err
		}
		if _, err := fmt.Sscanf(entry.Title, "Clue %d", &clue); err != nil {
			return fmt.Errorf("%q: %w", entry.Title, err)
		}
		h.tell(player, clue)
	}
	return nil
}
