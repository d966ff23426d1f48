package com.veltrix.bench.streams;

/** How events, states and outputs become JSON and come from it. Threads share one. */
interface Codec {
  /** Throws IllegalArgumentException where the JSON is not an event's. */
  Event event(byte[] json);

  /** Throws IllegalArgumentException where the JSON is not a state's. */
  State state(byte[] json);

  byte[] json(State state);

  byte[] json(Output output);
}
