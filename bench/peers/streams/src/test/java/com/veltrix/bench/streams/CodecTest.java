package com.veltrix.bench.streams;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class CodecTest {
  private static final List<Codec> BOTH = List.of(new JacksonCodec(Rules.CORE), new HandCodec(Rules.CORE));

  @Test
  void readsAnEvent() {
    byte[] json = Samples.found(7, "c-3", 42, "harbour-5", "phone/17.4 app/2.9.1");
    Event.Data data = new Event.Data(0, "c-3", 42, "harbour-5", "phone/17.4 app/2.9.1");
    Event want = new Event("100000000007", "clue.found", "2025-06-01T08:00:07.000000Z", data);
    for (Codec codec : BOTH) assertEquals(want, codec.event(json));
  }

  @Test
  void bothReadTheSame() {
    for (byte[] json : Samples.workload(2_000)) {
      assertEquals(BOTH.get(0).event(json), BOTH.get(1).event(json));
    }
  }

  /** What the workload does not have and JSON may: spaces, escapes, members of all kinds that nobody asks for. */
  @Test
  void bothReadWhatElseJsonMayHave() {
    String json =
        """
         { "extra" : {"a":[1,-2.5e3,{"b":[]}, true],"c":{},"d":null,"e":"}\\"]"} , "id":"\\u00e4\\n\\"\\\\\\/\\t",
           "time":"t","data":{"zone":"Zürich 🎉","metres": -12 ,"more":["x","y"]},
           "type":"player.walked" }
        """;
    Event want = new Event("ä\n\"\\/\t", Event.WALKED, "t", new Event.Data(-12, null, 0, "Zürich 🎉", null));
    for (Codec codec : BOTH) assertEquals(want, codec.event(json.getBytes(UTF_8)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "[]",
        "{",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\"}",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{}",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{}} x",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{},}",
        "{\"id\":\"1\" \"type\":\"t\",\"time\":\"t\",\"data\":{}}",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{\"metres\":1.5}}",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{\"metres\":01}}",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{\"metres\":-}}",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{\"zone\":\"\\x\"}}",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{\"zone\":\"a",
        "{\"id\":\"1\",\"type\":\"t\",\"time\":\"t\",\"data\":{\"zone\":\"a\\",
      })
  void bothRefuseWhatIsNoEvent(String json) {
    for (Codec codec : BOTH) {
      assertThrows(IllegalArgumentException.class, () -> codec.event(json.getBytes(UTF_8)));
    }
  }

  /** Each reads what the other wrote, and both write the same bytes. */
  @ParameterizedTest
  @EnumSource(Rules.class)
  void bothWriteTheSameState(Rules rules) {
    Codec jackson = new JacksonCodec(rules);
    Codec hand = new HandCodec(rules);
    State state = rules.fresh();
    assertArrayEquals(jackson.json(state), hand.json(state));
    for (byte[] json : Samples.workload(600)) {
      state.apply(jackson.event(json));
      byte[] written = jackson.json(state);
      assertArrayEquals(written, hand.json(state));
      assertArrayEquals(written, hand.json(hand.state(written)));
      assertArrayEquals(written, jackson.json(jackson.state(written)));
    }
  }

  @Test
  void bothWriteWhatHasToBeEscaped() {
    String more = "x".repeat(600);
    Output output = new Output("1", "\" \\ \n \u0007 \u001f", "Zürich 🎉 \" ~ " + more);
    String want =
        "{\"id\":\"1\",\"title\":\"\\\" \\\\ \\n \\u0007 \\u001F\",\"body\":\"Zürich 🎉 \\\" ~ " + more + "\"}";
    for (Codec codec : BOTH) assertEquals(want, new String(codec.json(output), UTF_8));
  }
}
