package com.veltrix.bench.streams;

/** The two folds. */
enum Rules {
  CORE(CoreState.class),
  TEN(TenState.class);

  final Class<? extends State> type;

  Rules(Class<? extends State> type) {
    this.type = type;
  }

  /** The state of a participant of whom there was no event. */
  State fresh() {
    return this == CORE ? new CoreState() : new TenState();
  }
}
