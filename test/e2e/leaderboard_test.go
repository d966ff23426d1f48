package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// standing is an entry of GET /v1/leaderboards/{name}.
type standing struct {
	Rank        int64  `json:"rank"`
	Participant string `json:"participant"`
	Score       int64  `json:"score"`
}

// leaderboard asks a gateway for the hunt's leaderboard by score.
func (d *deployment) leaderboard(gateway, query string) (participants int64, entries []standing) {
	d.t.Helper()
	resp, err := http.Get("http://" + gateway + "/v1/leaderboards/score?" + query)
	d.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	d.must(err)
	if resp.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: %s: %s", query, resp.Status, body)
	}
	var view struct {
		Participants int64      `json:"participants"`
		Entries      []standing `json:"entries"`
	}
	d.must(json.Unmarshal(body, &view))
	return view.Participants, view.Entries
}

// ranked ranks what the gateway shows of each participant, the slow way.
func (d *deployment) ranked(gateway string, sent []string) (all []standing) {
	d.t.Helper()
	seen := map[string]bool{}
	for _, line := range sent {
		who := keyOf(line)
		if seen[who] {
			continue
		}
		seen[who] = true
		resp, err := http.Get("http://" + gateway + "/v1/participants/" + who)
		d.must(err)
		var view struct {
			State struct {
				Score int64 `json:"score"`
			} `json:"state"`
		}
		err = json.NewDecoder(resp.Body).Decode(&view)
		resp.Body.Close()
		d.must(err)
		all = append(all, standing{Participant: who, Score: view.State.Score})
	}
	slices.SortFunc(all, func(a, b standing) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Participant, b.Participant))
	})
	for i := range all {
		all[i].Rank = int64(i) + 1
		if i > 0 && all[i].Score == all[i-1].Score {
			all[i].Rank = all[i-1].Rank
		}
	}
	return all
}

// TestLeaderboards holds what a gateway shows against every participant's own
// state, over all partitions, and takes a leaderboard and a score away from
// Redis: both have to come back unattended.
func TestLeaderboards(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 3, 900)
		d.rt.Config.Processor.ScrubInterval = time.Second
		gateway := d.gateway()
		d.must(d.send(t.Context(), d.client(), sent))
		d.processor()
		d.processed()

		want := d.ranked(gateway, sent)
		holds := func() {
			t.Helper()
			n, got := d.leaderboard(gateway, "top=1000")
			if n != int64(len(want)) || !slices.Equal(got, want) {
				t.Fatalf("%d participants\n got %v\nwant %v", n, got, want)
			}
			for i := 0; i < len(want); i += 1 + len(want)/20 {
				_, got := d.leaderboard(gateway, "near=3&around="+want[i].Participant)
				if around := want[max(0, i-3):min(len(want), i+4)]; !slices.Equal(got, around) {
					t.Fatalf("around %s\n got %v\nwant %v", want[i].Participant, got, around)
				}
			}
		}
		holds()

		key := func() string {
			meta, err := d.state.Meta(t.Context(), 1)
			d.must(err)
			return fmt.Sprintf("{%s.events.1/1}:%s:leaderboard:score", d.kafka.Prefix, meta.Generation)
		}
		for what, damage := range map[string]func(board string) error{
			"a leaderboard is gone": func(board string) error { return d.redis.Del(t.Context(), board).Err() },
			"a score is another": func(board string) error {
				who, err := d.redis.ZRange(t.Context(), board, 0, 0).Result()
				d.must(err)
				return d.redis.ZAdd(t.Context(), board, redis.Z{Score: 1 << 30, Member: who[0]}).Err()
			},
		} {
			before := key()
			d.must(damage(before))
			d.until(func() (bool, string) { return key() != before, what + ", and nothing was done about it" })
			d.processed()
			holds()
		}
		d.countedOnce(sent)
		if n := strconv.Itoa(len(want)); len(want) < 100 {
			t.Errorf("only %s participants: little is shown", n)
		}
	})
}
