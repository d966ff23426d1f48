package ingest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// What GET /v1/leaderboards/{name} gives at most, and where nothing is said.
const (
	TopMax, topDefault   = 1000, 10
	NearMax, nearDefault = 100, 5
)

// boardQuery asks for the top of a leaderboard, or for what is around somebody.
type boardQuery struct {
	around    string
	top, near int
}

// boardView answers GET /v1/leaderboards/{name}.
type boardView struct {
	Leaderboard  string          `json:"leaderboard"`
	Order        string          `json:"order"` // desc: the highest score first; asc: the lowest
	Participants int64           `json:"participants"`
	Entries      []boardStanding `json:"entries"`
}

type boardStanding struct {
	Rank        int64  `json:"rank"`
	Participant string `json:"participant"`
	Score       any    `json:"score"`
}

func (g *Gateway) getLeaderboard(w http.ResponseWriter, r *http.Request) {
	bad := g.mayRead(r)
	if bad == nil && g.o.Boards == nil {
		bad = &refusal{name: problemNoRules, detail: "start it with the deployment's rules file: it says what is ranked"}
	}
	var board int
	if bad == nil {
		board, bad = g.board(r.PathValue("name"))
	}
	var q boardQuery
	if bad == nil {
		q, bad = parseBoardQuery(r.URL.RawQuery)
	}
	if bad != nil {
		bad.write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.o.Timeout)
	defer cancel()
	declared := &g.o.Schema.Leaderboards[board]
	view, err := q.read(ctx, g.o.Boards, declared, board)
	switch {
	case err != nil:
		g.o.Logger.Warn("a leaderboard cannot be read", "leaderboard", declared.Name, "error", err)
		(&refusal{name: problemUnavailable, retryAfter: 2, detail: "the leaderboards cannot be read now; events are accepted all the same"}).write(w)
	case view == nil:
		(&refusal{name: problemUnknown, detail: "this participant is not on the leaderboard: none of its events has been applied, or it has nothing to be ranked by"}).write(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		writeJSON(w, g.shown(declared, view))
	}
}

// board finds a leaderboard by its name.
func (g *Gateway) board(name string) (int, *refusal) {
	names := g.o.Schema.LeaderboardNames()
	if at := slices.Index(names, name); at >= 0 {
		return at, nil
	}
	if len(names) == 0 {
		return 0, &refusal{name: problemNotFound, detail: "the rules declare no leaderboard"}
	}
	return 0, &refusal{name: problemNotFound, detail: "there is no such leaderboard; the rules declare " + strings.Join(names, ", ")}
}

func (q *boardQuery) read(ctx context.Context, boards BoardReader, declared *participant.Leaderboard, board int) (*BoardView, error) {
	if q.around != "" {
		return Around(ctx, boards, declared, board, q.around, q.near)
	}
	return Top(ctx, boards, declared, board, q.top)
}

func parseBoardQuery(raw string) (q boardQuery, bad *refusal) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, &refusal{name: problemRequest, detail: "the query is malformed"}
	}
	q.top, q.near = topDefault, nearDefault
	for name, list := range values {
		switch ok := len(list) == 1; {
		case ok && name == "around":
			q.around = list[0]
			ok = validParticipant(q.around)
			if !ok {
				return q, &refusal{name: problemRequest, detail: participantRule}
			}
		case ok && name == "top":
			q.top, bad = inRange(name, list[0], 1, TopMax)
		case ok && name == "near":
			q.near, bad = inRange(name, list[0], 0, NearMax)
		default:
			bad = &refusal{name: problemRequest, detail: "the parameters here are top, or around and near, each given once"}
		}
		if bad != nil {
			return q, bad
		}
	}
	if values.Has("top") == values.Has("around") && values.Has("top") || values.Has("near") && !values.Has("around") {
		return q, &refusal{name: problemRequest, detail: "top gives the first places, around with near those next to a participant: ask for one of the two"}
	}
	return q, nil
}

func inRange(name, text string, least, most int) (int, *refusal) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, &refusal{name: problemRequest, detail: name + " is a number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)}
	}
	return n, nil
}

// shown is a view as JSON, with scores as a state shows them.
func (g *Gateway) shown(board *participant.Leaderboard, v *BoardView) boardView {
	out := boardView{Leaderboard: board.Name, Order: "desc", Participants: v.All, Entries: make([]boardStanding, len(v.Entries))}
	if board.Ascending {
		out.Order = "asc"
	}
	kind := g.o.Schema.Slots[board.Slot].Kind
	for i, e := range v.Entries {
		out.Entries[i] = boardStanding{e.Rank, e.Participant, wire.ValueJSON(&participant.Value{Kind: kind, Int: e.Number}, kind)}
	}
	return out
}
