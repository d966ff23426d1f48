package kafka

import (
	"strconv"
	"strings"
	"testing"
)

func resolved(t *testing.T, w Wish) map[string]Topic {
	t.Helper()
	topics, err := Declared().Resolve(w)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Topic{}
	for _, topic := range topics {
		byName[topic.Name] = topic
	}
	return byName
}

func TestDeclaredTopicsKeepThePipelinesPromises(t *testing.T) {
	topics := resolved(t, Wish{Profile: "prod"})
	for _, name := range []string{
		"events", "notifications", "rejected", "receipts", "manifest", "snapshots",
		"notify.retry.1m", "notify.retry.10m", "notify.retry.1h", "notify.retry.6h",
	} {
		topic, ok := topics[name]
		if !ok {
			t.Errorf("%s is not declared", name)
			continue
		}
		if topic.Replication != 3 || topic.Settings["min.insync.replicas"] != "2" || topic.Settings["unclean.leader.election.enable"] != "false" {
			t.Errorf("%s: replication %d, settings %v", name, topic.Replication, topic.Settings)
		}
		if name != "manifest" && topic.Partitions != topics["events"].Partitions {
			t.Errorf("%s has %d partitions, events %d", name, topic.Partitions, topics["events"].Partitions)
		}
	}
	if e := topics["events"].Settings; e["cleanup.policy"] != "delete" || e["message.timestamp.type"] != "LogAppendTime" {
		t.Errorf("events: %v", e)
	}
	for _, name := range []string{"manifest", "snapshots"} {
		if topics[name].Settings["cleanup.policy"] != "compact" {
			t.Errorf("%s is not compacted", name)
		}
	}
	if topics["manifest"].Partitions != 1 {
		t.Errorf("the manifest has %d partitions", topics["manifest"].Partitions)
	}
	days := func(name, setting string) float64 {
		ms, err := strconv.ParseFloat(topics[name].Settings[setting], 64)
		if err != nil {
			t.Fatal(err)
		}
		return ms / (24 * 3600 * 1000)
	}
	if days("rejected", "retention.ms") <= days("events", "retention.ms") {
		t.Error("a reject must outlive its event")
	}
	// A closed segment is deleted when its newest record is past the retention.
	if life := days("notifications", "retention.ms") + days("notifications", "segment.ms"); life >= 7 {
		t.Errorf("a notification can be replayed for %v days, the ledger remembers 7", life)
	}
}

func TestReplicationBoundsMinInSync(t *testing.T) {
	if got := resolved(t, Wish{Profile: "prod", Replication: 1, Partitions: 3})["events"]; got.Settings["min.insync.replicas"] != "1" || got.Partitions != 3 {
		t.Fatalf("%+v", got)
	}
}

func TestParseIsStrict(t *testing.T) {
	const good = "version: 1\nprofiles: {dev: {partitions: 1, replication: 1}}\ntopics: {a: {partitions: pipeline, settings: {cleanup.policy: delete}}}\n"
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for want, text := range map[string]string{
		"field retention not found":    strings.Replace(good, "settings:", "retention: 1, settings:", 1),
		"more than one document":       good + "---\n" + good,
		"must be \"pipeline\" or 1 to": strings.Replace(good, "pipeline", "0", 1),
		"must be delete or compact":    strings.Replace(good, "delete", "shred", 1),
		"settings.compact is empty":    strings.Replace(good, "delete", "delete,compact", 1),
		"version is 2":                 strings.Replace(good, "version: 1", "version: 2", 1),
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := Declared().Resolve(Wish{Profile: "production"}); err == nil || !strings.Contains(err.Error(), "prod") {
		t.Errorf("an unknown profile: %v", err)
	}
}
