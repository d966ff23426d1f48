package com.veltrix.bench.streams;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;

/**
 * The fold "ten": the same effect as internal/bench/rules_ten.yaml has for events in order. Each
 * line is one rule of that file, in its order, since a later rule sees what an earlier one did.
 */
@JsonPropertyOrder({
  "score", "walked", "steps", "sprints", "strolls", "moves", "bonus",
  "streak", "longest", "zone", "device", "found", "last"
})
final class TenState extends State {
  long sprints;
  long strolls;
  long moves;
  long bonus;
  long streak;
  long longest;
  String device = "";

  @Override
  Output apply(Event event) {
    return switch (event.type()) {
      case Event.WALKED -> walk(event);
      case Event.FOUND -> clue(event);
      default -> null;
    };
  }

  private Output walk(Event event) {
    long metres = event.data().metres();
    if (metres > 0) walked += metres;
    steps++;
    if (metres >= 60 && walked > 500) sprints++;
    if (metres < 20 || event.data().zone().equals("harbour-7")) strolls++;
    move(event);
    if (steps % 10 == 0 && found.size() > 2) bonus += 5;
    if (metres > 10) streak++;
    if (streak > longest) longest = streak;
    last = event.time();
    return null;
  }

  private Output clue(Event event) {
    Event.Data data = event.data();
    find(data.clue());
    score += data.points();
    if (data.points() > 80) bonus += data.points() / 10;
    if (!has(data.clue())) bonus++; // never: the clue's own rule is before this one
    if (found.size() >= 20) bonus += 2;
    move(event);
    if (streak > 0) streak = 0;
    last = event.time();
    return Output.clue(
        event,
        score + " points, " + bonus + " more and " + walked + " m so far; " + found.size() + " clues.");
  }

  /** The rules on the zone and on the device, which both types have. */
  private void move(Event event) {
    if (!event.data().zone().equals(zone)) {
      moves++;
      zone = event.data().zone();
    }
    if (!event.data().device().equals(device)) device = event.data().device();
  }

  @Override
  void read(String member, JsonReader in) {
    switch (member) {
      case "sprints" -> sprints = in.number();
      case "strolls" -> strolls = in.number();
      case "moves" -> moves = in.number();
      case "bonus" -> bonus = in.number();
      case "streak" -> streak = in.number();
      case "longest" -> longest = in.number();
      case "device" -> device = in.string();
      default -> super.read(member, in);
    }
  }

  @Override
  void write(JsonWriter out) {
    out.object();
    out.member("score", score);
    out.member("walked", walked);
    out.member("steps", steps);
    out.member("sprints", sprints);
    out.member("strolls", strolls);
    out.member("moves", moves);
    out.member("bonus", bonus);
    out.member("streak", streak);
    out.member("longest", longest);
    out.member("zone", zone);
    out.member("device", device);
    out.member("found", found);
    out.member("last", last);
    out.end();
  }
}
