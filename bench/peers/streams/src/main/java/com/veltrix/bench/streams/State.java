package com.veltrix.bench.streams;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** A participant's state: what both folds have, and how each folds an event into it. */
@JsonAutoDetect(fieldVisibility = Visibility.ANY)
abstract class State {
  long score;
  long walked;
  long steps;
  String zone = "";
  List<String> found = new ArrayList<>(); // a set: sorted, each once
  String last = "";

  /** Folds an event into the state, and returns what the player is told of it, or null. */
  abstract Output apply(Event event);

  /** Writes all members in the order of the rules file. */
  abstract void write(JsonWriter out);

  /** Reads the value of one member; one that the state does not have is skipped. */
  void read(String member, JsonReader in) {
    switch (member) {
      case "score" -> score = in.number();
      case "walked" -> walked = in.number();
      case "steps" -> steps = in.number();
      case "zone" -> zone = in.string();
      case "found" -> found = in.strings();
      case "last" -> last = in.string();
      default -> in.skip();
    }
  }

  final boolean has(String clue) {
    return Collections.binarySearch(found, clue) >= 0;
  }

  final void find(String clue) {
    int at = Collections.binarySearch(found, clue);
    if (at < 0) {
      found.add(-at - 1, clue);
    }
  }
}
