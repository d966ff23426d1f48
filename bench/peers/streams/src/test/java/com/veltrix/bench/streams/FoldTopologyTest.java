package com.veltrix.bench.streams;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.errors.StreamsException;
import org.apache.kafka.streams.test.TestRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import redis.clients.jedis.Jedis;

class FoldTopologyTest {
  @TempDir Path directory;
  private final Progress progress = new Progress();

  private TopologyTestDriver driver(Flags flags, Supplier<Jedis> redis) {
    return new TopologyTestDriver(FoldTopology.build(flags, progress, redis), Application.config(flags, directory));
  }

  private static TestInputTopic<String, byte[]> events(TopologyTestDriver driver) {
    return driver.createInputTopic("e", new StringSerializer(), new ByteArraySerializer());
  }

  /** Sends events 0 to n-1 of the workload, with the header that they have. */
  private static void send(TopologyTestDriver driver, int n) {
    TestInputTopic<String, byte[]> events = events(driver);
    List<byte[]> all = Samples.workload(n);
    for (int i = 0; i < n; i++) {
      RecordHeaders headers = new RecordHeaders();
      headers.add("content-type", "application/cloudevents+json".getBytes(UTF_8));
      events.pipeInput(new TestRecord<>(Samples.participant(i), all.get(i), headers));
    }
  }

  /** What a plain loop makes of the same events: the outputs by participant, and the states. */
  private record Loop(List<TestRecord<String, String>> outputs, Map<String, byte[]> states) {
    static Loop over(Rules rules, int n) {
      Loop loop = new Loop(new ArrayList<>(), new HashMap<>());
      Codec codec = new JacksonCodec(rules);
      Map<String, State> states = new HashMap<>();
      List<byte[]> all = Samples.workload(n);
      for (int i = 0; i < n; i++) {
        State state = states.computeIfAbsent(Samples.participant(i), who -> rules.fresh());
        Output output = state.apply(codec.event(all.get(i)));
        if (output != null) {
          loop.outputs.add(new TestRecord<>(Samples.participant(i), new String(codec.json(output), UTF_8)));
        }
      }
      states.forEach((who, state) -> loop.states.put(who, codec.json(state)));
      return loop;
    }
  }

  @ParameterizedTest
  @CsvSource({
    "core,jackson,rocksdb,64", "core,hand,memory,64", "ten,jackson,memory,0", "ten,hand,rocksdb,0",
  })
  void outputsAndStates(String rules, String parser, String store, String cache) {
    Flags flags = FlagsTest.with("--rules", rules, "--parser", parser, "--store", store, "--cache", cache);
    try (TopologyTestDriver driver = driver(flags, null)) {
      send(driver, 500);
      Loop loop = Loop.over(flags.rules(), 500);
      var texts = new StringDeserializer();
      var outputs = driver.createOutputTopic("o", texts, texts).readRecordsToList();
      assertEquals(50, outputs.size());
      for (int i = 0; i < 50; i++) {
        assertEquals(loop.outputs.get(i).key(), outputs.get(i).key());
        assertEquals(loop.outputs.get(i).value(), outputs.get(i).value());
        assertTrue(outputs.get(i).value().startsWith("{\"id\":\"" + (100_000_000_009L + 10 * i) + "\""));
        assertEquals(0, outputs.get(i).headers().toArray().length);
      }
      var states = driver.<String, byte[]>getKeyValueStore(FoldTopology.STORE);
      loop.states.forEach((who, state) -> assertArrayEquals(state, states.get(who), who));
      assertEquals(500, progress.processed());
      // The changelog is the store's copy, and the topic that is deleted at the end.
      assertTrue(driver.producedTopicNames().contains(FoldTopology.changelog(flags)));
    }
  }

  @Test
  void whatIsNoEventEndsIt() {
    try (TopologyTestDriver driver = driver(FlagsTest.with(), null)) {
      byte[] none = "{}".getBytes(UTF_8);
      assertThrows(StreamsException.class, () -> events(driver).pipeInput("player-00000", none));
    }
  }

  /** Redis gets the touched states at each punctuation, and what is left at the end. */
  @Test
  void redis() throws Exception {
    try (RedisServer server = new RedisServer(directory);
        Jedis look = RedisAddress.connections(server.address).get()) {
      Flags flags = FlagsTest.with("--redis", server.address, "--prefix", "p", "--commit-interval", "20ms");
      try (TopologyTestDriver driver = driver(flags, RedisAddress.connections(server.address))) {
        send(driver, 500);
        assertNull(look.get("p:s:player-00000"));
        assertFalse(progress.written());

        driver.advanceWallClockTime(Duration.ofMillis(20));
        assertTrue(progress.written());
        assertStates(look, Loop.over(Rules.CORE, 500));

        look.flushAll();
        driver.advanceWallClockTime(Duration.ofMillis(20));
        assertEquals(0, look.dbSize()); // none was touched since
        events(driver).pipeInput("player-00001", Samples.walked(1, 5, "harbour-1", "d"));
      }
      assertTrue(progress.written());
      assertEquals(1, look.dbSize());
    }
  }

  private static void assertStates(Jedis redis, Loop loop) {
    assertEquals(loop.states.size(), redis.dbSize());
    IntStream.range(0, Samples.PARTICIPANTS)
        .mapToObj(Samples::participant)
        .forEach(who -> assertEquals(new String(loop.states.get(who), UTF_8), redis.get("p:s:" + who)));
  }

  /** A Redis that refuses, as when its memory is full, is an error and not a state that is missing. */
  @Test
  void redisRefuses() throws Exception {
    try (RedisServer server = new RedisServer(directory);
        Jedis look = RedisAddress.connections(server.address).get()) {
      look.configSet("maxmemory", "1");
      RedisView view = new RedisView(RedisAddress.connections(server.address).get(), "p", progress);
      view.touch("player-00000", "{}".getBytes(UTF_8));
      Exception refusal = assertThrows(RuntimeException.class, view::write);
      assertTrue(refusal.getMessage().startsWith("OOM"), refusal.getMessage());
      assertFalse(progress.written());
    }
  }
}
