package com.veltrix.bench.streams;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.HashMap;
import java.util.Map;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Pipeline;

/**
 * One task's states in Redis: those that were touched since the last write, each once, in one
 * pipeline of SETs. A punctuator calls it as often as the application commits.
 *
 * <p>What that can promise: once no more events come, and nothing died, Redis has each
 * participant's newest state within a commit interval.
 *
 * <p>What it cannot: Kafka Streams has no hook behind a commit, a store's flush is not one (the
 * runtime calls it rarely), and no transaction holds both Redis and Kafka. So:
 *
 * <ul>
 *   <li>Redis may lead: what is written may belong to a transaction that aborts. The events are
 *       read again and give the same state again, but a reader saw it before it was committed.
 *   <li>Redis may lag for good: of a process that dies between a commit and the next punctuation,
 *       the touched participants stay old in Redis until each one's next event. Nothing notices.
 *   <li>Redis may go back: a thread that lost its partition and has not noticed yet is fenced by
 *       Kafka, and not by Redis, where its older states can replace the new owner's.
 * </ul>
 */
final class RedisView implements AutoCloseable {
  private final Jedis redis;
  private final String prefix;
  private final Progress progress;
  private final Map<String, byte[]> touched = new HashMap<>();

  /** The view owns the connection. */
  RedisView(Jedis redis, String prefix, Progress progress) {
    this.redis = redis;
    this.prefix = prefix + ":s:";
    this.progress = progress;
  }

  void touch(String participant, byte[] state) {
    if (touched.put(participant, state) == null) progress.unwritten(1);
  }

  /** Throws what Jedis throws, which ends the application: the next step is then to look at Redis. */
  void write() {
    if (touched.isEmpty()) return;
    try (Pipeline pipeline = redis.pipelined()) {
      touched.forEach((participant, state) -> pipeline.set((prefix + participant).getBytes(UTF_8), state));
      for (Object answer : pipeline.syncAndReturnAll()) {
        if (answer instanceof RuntimeException refused) throw refused;
      }
    }
    progress.unwritten(-touched.size());
    touched.clear();
  }

  /** Writes what is left: when a partition moves to another thread, the commit was just before. */
  @Override
  public void close() {
    try (redis) {
      write();
    }
  }
}
