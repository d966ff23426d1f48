package com.veltrix.bench.streams;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.junit.jupiter.api.Test;

class FoldTest {
  private final Codec codec = new JacksonCodec(Rules.CORE);
  private int events;

  private Output walk(State state, int metres, String zone, String device) {
    return state.apply(codec.event(Samples.walked(events++, metres, zone, device)));
  }

  private Output find(State state, String clue, int points, String zone, String device) {
    return state.apply(codec.event(Samples.found(events++, clue, points, zone, device)));
  }

  private static String json(Rules rules, State state) {
    return new String(new HandCodec(rules).json(state), UTF_8);
  }

  /** What the state is as JSON; with ' for ", and at second n of the samples' time. */
  private static void assertState(Rules rules, State state, int n, String... members) {
    String want = "{" + String.join("", members) + ",'last':'" + Samples.time(n) + "'}";
    assertEquals(want.replace('\'', '"'), json(rules, state));
  }

  @Test
  void core() {
    State state = Rules.CORE.fresh();
    assertNull(walk(state, 600, "harbour-7", "d1"));
    assertNull(walk(state, 0, "harbour-8", "d1")); // not a step
    assertState(Rules.CORE, state, 0, "'score':0,'walked':600,'steps':1,'zone':'harbour-7','found':[]");
    assertEquals(
        new Output("100000000002", "Clue c-2 found", "85 points and 600 m so far; 1 clues."),
        find(state, "c-2", 85, "harbour-1", "d1"));
    find(state, "c-10", 5, "harbour-1", "d1");
    assertEquals("95 points and 600 m so far; 2 clues.", find(state, "c-2", 5, "harbour-1", "d1").body());
    assertNull(walk(state, 3, "harbour-9", "d1"));
    assertState(Rules.CORE, state, 5, "'score':95,'walked':603,'steps':2,'zone':'harbour-9','found':['c-10','c-2']");
  }

  @Test
  void ten() {
    State state = Rules.TEN.fresh();
    walk(state, 600, "harbour-7", "d1"); // a sprint and a stroll, by its zone
    walk(state, 5, "harbour-7", "d1"); // a stroll, by its metres; the streak stays
    assertEquals(
        new Output("100000000002", "Clue c-2 found", "85 points, 8 more and 605 m so far; 1 clues."),
        find(state, "c-2", 85, "harbour-1", "d2"));
    find(state, "c-10", 10, "harbour-1", "d2");
    find(state, "c-1", 80, "harbour-1", "d2");
    for (int i = 0; i < 8; i++) walk(state, 20, "harbour-1", "d2"); // the last is the tenth step: 5 more
    walk(state, 0, "harbour-1", "d2"); // a step and a stroll, of no metres
    assertState(
        Rules.TEN,
        state,
        13,
        "'score':175,'walked':765,'steps':11,'sprints':1,'strolls':3,'moves':2,'bonus':13,'streak':8,'longest':8,",
        "'zone':'harbour-1','device':'d2','found':['c-1','c-10','c-2']");
  }

  /** From the twentieth clue on each is worth two more; and a clue ends the streak, not the longest. */
  @Test
  void tenCollects() {
    TenState state = (TenState) Rules.TEN.fresh();
    walk(state, 60, "harbour-1", "d1"); // no sprint: not yet 500 m
    for (int i = 0; i < 20; i++) find(state, "c-" + i, 0, "harbour-1", "d1");
    find(state, "c-0", 81, "harbour-1", "d1");
    assertEquals(12, state.bonus);
    assertEquals(0, state.sprints);
    assertEquals(0, state.streak);
    assertEquals(1, state.longest);
    assertEquals(1, state.moves);
  }

  @Test
  void anUnknownTypeChangesNothing() {
    for (Rules rules : Rules.values()) {
      State state = rules.fresh();
      String before = json(rules, state);
      assertNull(state.apply(codec.event(Samples.event(0, "clue.lost", "{\"metres\":5,\"points\":5}"))));
      assertEquals(before, json(rules, state));
    }
  }
}
