package com.veltrix.bench.streams;

/** JSON by hand: no reflection and no tokens, for those who find that Jackson costs too much. */
final class HandCodec implements Codec {
  private final Rules rules;

  HandCodec(Rules rules) {
    this.rules = rules;
  }

  @Override
  public Event event(byte[] json) {
    JsonReader in = new JsonReader(json);
    String id = null;
    String type = null;
    String time = null;
    Event.Data data = null;
    for (String name = in.object(); name != null; name = in.member()) {
      switch (name) {
        case "id" -> id = in.string();
        case "type" -> type = in.string();
        case "time" -> time = in.string();
        case "data" -> data = data(in);
        default -> in.skip();
      }
    }
    in.finish();
    return new Event(id, type, time, data);
  }

  private static Event.Data data(JsonReader in) {
    long metres = 0;
    String clue = null;
    long points = 0;
    String zone = null;
    String device = null;
    for (String name = in.object(); name != null; name = in.member()) {
      switch (name) {
        case "metres" -> metres = in.number();
        case "clue" -> clue = in.string();
        case "points" -> points = in.number();
        case "zone" -> zone = in.string();
        case "device" -> device = in.string();
        default -> in.skip();
      }
    }
    return new Event.Data(metres, clue, points, zone, device);
  }

  @Override
  public State state(byte[] json) {
    JsonReader in = new JsonReader(json);
    State state = rules.fresh();
    for (String name = in.object(); name != null; name = in.member()) {
      state.read(name, in);
    }
    in.finish();
    return state;
  }

  @Override
  public byte[] json(State state) {
    JsonWriter out = new JsonWriter();
    state.write(out);
    return out.bytes();
  }

  @Override
  public byte[] json(Output output) {
    JsonWriter out = new JsonWriter();
    out.object();
    out.member("id", output.id());
    out.member("title", output.title());
    out.member("body", output.body());
    out.end();
    return out.bytes();
  }
}
