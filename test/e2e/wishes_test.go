package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/veltrix/veltrix/internal/delivery"
)

// TestPlayersWishes has a player say which channels may push, and gives them more
// than they are to be pushed: what is muted goes nowhere but into the inbox, and
// what is too many is told by one digest.
func TestPlayersWishes(t *testing.T) {
	t.Parallel()
	d := deploy(t, real(t), 1, cluesRules)
	providers := d.providers(attemptMax)
	d.env = append(d.env, "VELTRIX_NOTIFIER_PUSHES_MAX=1", "VELTRIX_NOTIFIER_PUSHES_WINDOW=10s")
	d.start("processor", "the processor")
	notifier := d.start("notifier", "the notifier")
	_, gateway := d.gatewayProcess()
	ada := &player{deployment: d, name: "ada", gateway: gateway, door: notifier.says(notifier.serves)}
	token, _ := d.operate("token", "--participant", "ada")
	ada.token = strings.TrimSpace(token)
	android, _ := phoneTokens("ada")
	ada.register("browser", subscriptionOf(providers.push.Subscribe("browser")))
	ada.register("android", fmt.Sprintf(`{"channel":"fcm","token":%q}`, android))
	if status, text := ada.do(http.MethodPut, "/v1/participants/ada/preferences", `{"classes":{"clue":{"channels":["webpush"]}}}`); status != http.StatusOK {
		t.Fatalf("the preferences are answered with %d: %s", status, text)
	}
	const clues = 3
	for range clues {
		ada.sends()
	}
	counts := func() string {
		by := map[string]int{}
		for _, push := range providers.took() {
			by[push.Channel+" "+push.Title]++
		}
		return fmt.Sprint(by)
	}
	// One by itself, and a digest of the others.
	want := fmt.Sprint(map[string]int{
		"webhook Clue 1": 1, "webhook Clue 2": 1, "webhook Clue 3": 1, "webpush Clue 1": 1, "webpush 2 more messages": 1,
	})
	d.until(func() (bool, string) { return counts() == want, "pushes " + counts() + ", want " + want })
	for outcome, n := range map[delivery.Outcome]int{delivery.OutMuted: clues, delivery.OutDigested: clues - 1} {
		d.until(func() (bool, string) {
			said := d.receipts(outcome)
			return len(said) == n, fmt.Sprintf("%d receipts say %s, want %d", len(said), outcome, n)
		})
	}
	if status, text := ada.do(http.MethodGet, "/v1/inbox", ""); status != http.StatusOK || strings.Count(text, `"class":"clue"`) != clues {
		t.Errorf("the inbox says %d, %s", status, text)
	}
}
