package veltrixtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/veltrixtest"
)

// sender is what an upstream team has written. It reports clues and tries again
// until somebody has answered that they were taken.
type sender struct {
	url   string
	now   func() time.Time
	pause func(time.Duration)
	newID func() string
	// careless makes a new id for every attempt: the bug to be found.
	careless bool
}

func (s *sender) found(team, clue string, points int) error {
	id, at := s.newID(), s.now().Format(time.RFC3339Nano)
	for range 5 {
		event := fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/phones","type":"clue.found","time":"%s",
			"partitionkey":"%s","data":{"clue":"%s","points":%d}}`, id, at, team, clue, points)
		answer, err := http.Post(s.url+"/v1/events", "application/cloudevents+json", strings.NewReader(event))
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusAccepted {
				return nil
			}
		}
		s.pause(2 * time.Second)
		if s.careless {
			id = s.newID()
		}
	}
	return fmt.Errorf("clue %s of %s was not taken in five attempts", clue, team)
}

// newSender points a sender at v, and gives it v's clock: its pauses take no time.
func newSender(v *veltrixtest.Veltrix) *sender {
	ids := 0
	return &sender{url: v.URL(), now: v.Now, pause: v.Advance, newID: func() string {
		ids++
		return fmt.Sprint("clue-", ids)
	}}
}

func TestRetriesCountOnce(t *testing.T) {
	t.Parallel()
	v := veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/rules.yaml"})
	v.Fail(veltrixtest.LostAnswer, 3)
	v.Fail(veltrixtest.Unavailable, 1)
	if err := newSender(v).found("ada", "anchor", 50); err != nil {
		t.Fatal(err)
	}
	if got := v.State("ada")["score"]; got != 50 {
		t.Errorf("the score is %v, want 50", got)
	}
	for _, e := range v.Rejected("ada") {
		if e.Fate != "duplicate" {
			t.Errorf("%s of %s is %s: %s", e.ID, e.Source, e.Fate, e.Reason)
		}
	}
}

// A sender with a new id per attempt meets the same faults, hears the same
// answers, and has a wrong score: the test above would say so of it.
func TestCarelessSenderIsFound(t *testing.T) {
	t.Parallel()
	v := veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/rules.yaml"})
	v.Fail(veltrixtest.LostAnswer, 3)
	v.Fail(veltrixtest.Unavailable, 1)
	s := newSender(v)
	s.careless = true
	if err := s.found("ada", "anchor", 50); err != nil {
		t.Fatal(err)
	}
	if got := v.State("ada")["score"]; got != 200 {
		t.Errorf("the score is %v; four ids count four times, 200", got)
	}
	if rejected := v.Rejected("ada"); len(rejected) != 0 {
		t.Errorf("Veltrix took %v for duplicates: it cannot know", rejected)
	}
}

func TestLateFineTakesTheCheerBack(t *testing.T) {
	t.Parallel()
	v := veltrixtest.Start(t, veltrixtest.Options{Rules: "testdata/rules.yaml"})
	s := newSender(v)
	fined := v.Now() // and reported much later
	v.Advance(10 * time.Second)
	if err := s.found("ada", "anchor", 100); err != nil {
		t.Fatal(err)
	}
	v.Advance(4 * time.Second) // the class cheer is held for five
	post(t, v, event("fine-1", "team.fined", fined, `{"points":30}`))
	v.Advance(time.Minute)
	if pushes := v.Pushes("ada"); len(pushes) != 0 {
		t.Errorf("the phone buzzed for %v", pushes)
	}
	if shown := v.Notifications("ada"); len(shown) != 1 || shown[0].Body != "70 points." || shown[0].Revision != 2 {
		t.Errorf("the player sees %+v", shown)
	}
}
