package com.veltrix.bench.streams;

/**
 * What the folds use of a structured CloudEvent. A member of data that the event's type does not
 * have is null, or 0.
 */
record Event(String id, String type, String time, Data data) {
  static final String WALKED = "player.walked";
  static final String FOUND = "clue.found";

  record Data(long metres, String clue, long points, String zone, String device) {}

  Event {
    if (id == null || type == null || time == null || data == null) {
      throw new IllegalArgumentException(
          "an event has an id, a type, a time and data; send structured CloudEvents JSON");
    }
  }
}
