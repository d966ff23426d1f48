package com.veltrix.bench.streams;

/** What a player is told; id is the event's. */
record Output(String id, String title, String body) {
  static Output clue(Event event, String body) {
    return new Output(event.id(), "Clue " + event.data().clue() + " found", body);
  }
}
