package com.veltrix.bench.streams;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;

/** The fold "core": the same effect as internal/bench/rules.yaml has for events in order. */
@JsonPropertyOrder({"score", "walked", "steps", "zone", "found", "last"})
final class CoreState extends State {
  @Override
  Output apply(Event event) {
    return switch (event.type()) {
      case Event.WALKED -> walk(event);
      case Event.FOUND -> clue(event);
      default -> null;
    };
  }

  private Output walk(Event event) {
    if (event.data().metres() > 0) {
      walked += event.data().metres();
      steps++;
      zone = event.data().zone();
      last = event.time();
    }
    return null;
  }

  private Output clue(Event event) {
    find(event.data().clue());
    score += event.data().points();
    last = event.time();
    return Output.clue(event, score + " points and " + walked + " m so far; " + found.size() + " clues.");
  }

  @Override
  void write(JsonWriter out) {
    out.object();
    out.member("score", score);
    out.member("walked", walked);
    out.member("steps", steps);
    out.member("zone", zone);
    out.member("found", found);
    out.member("last", last);
    out.end();
  }
}
