package com.veltrix.bench.streams;

import java.time.Duration;
import java.util.function.Supplier;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Folds each event into its participant's state, and forwards what the player is told. */
final class FoldProcessor implements Processor<String, Event, String, Output> {
  private final Rules rules;
  private final Codec codec;
  private final Progress progress;
  private final Supplier<RedisView> views; // null: no Redis
  private final Duration viewInterval;
  private ProcessorContext<String, Output> context;
  private RedisView view; // null: no Redis, or not yet
  // Of bytes and not of State: so a state is encoded once for the store and for Redis.
  private KeyValueStore<String, byte[]> store;

  FoldProcessor(Rules rules, Codec codec, Progress progress, Supplier<RedisView> views, Duration viewInterval) {
    this.rules = rules;
    this.codec = codec;
    this.progress = progress;
    this.views = views;
    this.viewInterval = viewInterval;
  }

  @Override
  public void init(ProcessorContext<String, Output> context) {
    this.context = context;
    store = context.getStateStore(FoldTopology.STORE);
    if (views != null) {
      view = views.get(); // here, and not where the processor is made: the library makes some that it never uses
      context.schedule(viewInterval, PunctuationType.WALL_CLOCK_TIME, now -> view.write());
    }
  }

  @Override
  public void process(Record<String, Event> record) {
    String participant = record.key();
    byte[] before = store.get(participant);
    State state = before == null ? rules.fresh() : codec.state(before);
    Output output = state.apply(record.value());
    byte[] after = codec.json(state);
    store.put(participant, after);
    if (view != null) view.touch(participant, after);
    if (output != null) {
      // A new record: the event's headers say that it is a CloudEvent, which an output is not.
      context.forward(new Record<>(participant, output, record.timestamp()));
    }
    progress.record();
  }

  @Override
  public void close() {
    if (view != null) view.close();
  }
}
