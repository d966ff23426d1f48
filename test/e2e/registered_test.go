package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/trail"
)

var cluesRules = []byte(`hunt: clues
version: 1
events:
  clue.found:
    data:
      clue: {type: string, max: 64}
state:
  found: {type: int}
rules:
  - name: found
    on: clue.found
    set: {found: state.found + 1}
    notify:
      - name: clue
        class: clue
        title: "Clue ${event.data.clue}"
        body: "${state.found} so far."
classes:
  clue: {channels: [inbox, webhook, webpush, fcm, apns], expires: 2h, on_unknown: resend}
`)

// player is somebody at the public interfaces: a gateway and an inbox.
type player struct {
	*deployment
	name          string
	gateway, door string // the gateway's address, and the inbox's
	token         string
	clues         int // that were found
}

// do makes a request to the inbox with the player's token.
func (p *player) do(method, path, body string) (status int, text string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.door+path, strings.NewReader(body))
	p.must(err)
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	p.must(err)
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	p.must(err)
	return resp.StatusCode, string(read)
}

// register makes a device of the player's known, as an app does.
func (p *player) register(id, body string) {
	p.t.Helper()
	if status, text := p.do(http.MethodPut, "/v1/participants/"+p.name+"/devices/"+id, body); status != http.StatusCreated {
		p.t.Fatalf("the device %s is answered with %d: %s", id, status, text)
	}
}

// sends sends the next event.
func (p *player) sends() {
	p.t.Helper()
	p.clues++
	body := fmt.Sprintf(`{"specversion":"1.0","id":"clue-%d","source":"/app","type":"clue.found","time":%q,"partitionkey":%q,"data":{"clue":"%d"}}`,
		p.clues, time.Now().UTC().Format(time.RFC3339Nano), p.name, p.clues)
	resp, err := http.Post("http://"+p.gateway+"/v1/events", "application/cloudevents+json", strings.NewReader(body))
	p.must(err)
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusAccepted {
		p.t.Fatalf("the gateway answers %d: %s", resp.StatusCode, text)
	}
}

// finds sends the next event, and waits until its notification has come to an
// end on every channel. It returns what veltrix player explain says of it.
func (p *player) finds() map[string]trail.Delivery {
	p.t.Helper()
	p.sends()
	var ends map[string]trail.Delivery
	p.until(func() (bool, string) {
		text, _ := p.operate("player", "explain", p.name, "--json")
		var told trail.Trail
		p.must(json.Unmarshal([]byte(text), &told))
		ends = map[string]trail.Delivery{}
		if len(told.Entries) != p.clues || len(told.Entries[p.clues-1].Notifications) != 1 {
			return false, "it is not told yet: " + text
		}
		settled := true
		for _, d := range told.Entries[p.clues-1].Notifications[0].Channels {
			ends[d.Channel] = d
			settled = settled && d.Outcome != trail.Pending && d.Outcome != string(delivery.OutPruned)
		}
		return settled, "not every channel has come to an end: " + text
	})
	return ends
}

// TestFromRegistrationToPush goes the whole way with all commands: devices are
// registered by the player, an event comes in at the gateway, and each provider
// gets one push that its device can read. Then the providers say that the devices
// are gone: they are taken out, and what was told of it is why.
func TestFromRegistrationToPush(t *testing.T) {
	t.Parallel()
	d := deploy(t, real(t), 2, cluesRules)
	providers := d.providers(attemptMax)
	d.start("processor", "the processor")
	notifier := d.start("notifier", "the notifier")
	_, gateway := d.gatewayProcess()
	ada := &player{deployment: d, name: "ada", gateway: gateway, door: notifier.says(notifier.serves)}
	token, _ := d.operate("token", "--participant", "ada")
	ada.token = strings.TrimSpace(token)
	android, iphone := phoneTokens("ada")
	ada.register("browser", subscriptionOf(providers.push.Subscribe("browser")))
	ada.register("android", fmt.Sprintf(`{"channel":"fcm","token":%q}`, android))
	ada.register("iphone", fmt.Sprintf(`{"channel":"apns","token":%q}`, iphone))

	ends := ada.finds()
	targets := map[string]string{"webpush": "browser", "fcm": "android", "apns": "iphone"}
	for _, channel := range outside {
		if end := ends[channel]; end.Outcome != string(delivery.OutAccepted) || end.Attempts != 1 || targets[channel] != "" && end.Target != targets[channel] {
			t.Errorf("by %s it came to %+v, want accepted at %s", channel, end, targets[channel])
		}
	}
	came := map[string]int{}
	ids := map[string]bool{}
	for _, push := range providers.took() {
		came[push.Channel]++
		ids[push.Notification] = true
		if push.InboxOffset != 1 || push.Op != "send" || push.Revision != 1 || push.Title != "Clue 1" {
			t.Errorf("a push says %+v", push)
		}
	}
	if len(ids) != 1 || len(came) != len(outside) || len(providers.took()) != len(outside) {
		t.Errorf("of notifications %v came %v, want one push of one on each channel", ids, came)
	}

	providers.answers(gone)
	ends = ada.finds()
	for channel, target := range targets {
		if end := ends[channel]; end.Outcome != string(delivery.OutDead) || end.Target != target || end.Reason == "" {
			t.Errorf("gone from %s, it came to %+v", channel, end)
		}
	}
	pruned := map[string]string{}
	for at, attempts := range d.receipts(delivery.OutPruned) {
		pruned[at.channel] = attempts[1]
	}
	for channel, word := range map[string]string{"webpush": "410", "fcm": "UNREGISTERED", "apns": "Unregistered"} {
		if !strings.Contains(pruned[channel], word) {
			t.Errorf("the receipt of %s says %q, want %s", channel, pruned[channel], word)
		}
	}
	if status, text := ada.do(http.MethodGet, "/v1/participants/ada/devices", ""); status != http.StatusOK || !strings.Contains(text, `"devices":[]`) {
		t.Errorf("the devices are still there: %d, %s", status, text)
	}
}

// gone is how providers say that a device is no more; the webhook goes on.
func gone(p channeltest.Push, _ int) http.HandlerFunc {
	switch p.Channel {
	case "webpush":
		return channeltest.Status(http.StatusGone)
	case "fcm":
		return channeltest.FCMFailure(http.StatusNotFound, "NOT_FOUND", "UNREGISTERED")
	case "apns":
		return channeltest.APNsReason(http.StatusGone, "Unregistered", time.Now())
	}
	return nil
}

// subscriptionOf is the JSON of a browser's PushSubscription.
func subscriptionOf(d delivery.Device) string {
	return fmt.Sprintf(`{"endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`, d.Token, d.P256dh, d.Auth)
}
