package com.veltrix.bench.streams;

import java.util.function.Supplier;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import redis.clients.jedis.Jedis;

/** One sub-topology: events → fold, with a store and its changelog → outputs. */
final class FoldTopology {
  static final String STORE = "participants";

  private FoldTopology() {}

  /** Where redis is null, none is used. */
  static Topology build(Flags flags, Progress progress, Supplier<Jedis> redis) {
    Codec codec = flags.parser().codec(flags.rules());
    Deserializer<Event> event = (topic, json) -> codec.event(json);
    Serializer<Output> output = (topic, value) -> codec.json(value);
    Supplier<RedisView> views = redis == null ? null : () -> new RedisView(redis.get(), flags.prefix(), progress);
    ProcessorSupplier<String, Event, String, Output> fold =
        () -> new FoldProcessor(flags.rules(), codec, progress, views, flags.commitInterval());
    return new Topology()
        .addSource("events", new StringDeserializer(), event, flags.events())
        .addProcessor("fold", fold, "events")
        .addStateStore(store(flags), "fold")
        // No partitioner: the producer's own is murmur2 over the key, as it was for the event, and
        // both topics have the same number of partitions. So an output is on its event's partition.
        .addSink("outputs", flags.outputs(), new StringSerializer(), output, "fold");
  }

  /** A store with a changelog; the record cache keeps, of a commit's states, each participant's last. */
  private static StoreBuilder<KeyValueStore<String, byte[]>> store(Flags flags) {
    KeyValueBytesStoreSupplier kind =
        flags.store() == Flags.Store.MEMORY
            ? Stores.inMemoryKeyValueStore(STORE)
            : Stores.persistentKeyValueStore(STORE);
    StoreBuilder<KeyValueStore<String, byte[]>> store =
        Stores.keyValueStoreBuilder(kind, Serdes.String(), Serdes.ByteArray());
    return flags.cacheMiB() > 0 ? store.withCachingEnabled() : store.withCachingDisabled();
  }

  /** The internal topic that Kafka Streams makes for the store. */
  static String changelog(Flags flags) {
    return flags.group() + "-" + STORE + "-changelog";
  }
}
