package com.veltrix.bench.streams;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Properties;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import redis.clients.jedis.Jedis;

/** One run of the application, from its start to the commit of the last record. */
final class Application implements AutoCloseable {
  private static final Duration CLOSE_MAX = Duration.ofSeconds(6); // SIGTERM ends it within 10 s
  private static final long READY_SECONDS = 60;
  private static final long STALLED_NANOS = Duration.ofSeconds(60).toNanos();
  private static final long LOOK_MILLIS = 2;

  private final Flags flags;
  private final Progress progress = new Progress();
  private final Cluster cluster;
  private final Path directory;
  private final KafkaStreams streams;
  private boolean closed;

  Application(Flags flags) throws IOException, InterruptedException {
    this.flags = flags;
    Supplier<Jedis> redis = flags.redis().isEmpty() ? null : RedisAddress.connections(flags.redis());
    cluster = new Cluster(flags);
    directory = Files.createTempDirectory("bench-streams-");
    streams = new KafkaStreams(FoldTopology.build(flags, progress, redis), config(flags, directory));
    streams.setStateListener((now, before) -> changed(now));
    streams.setUncaughtExceptionHandler(
        cause -> {
          progress.failed(cause);
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
  }

  static Properties config(Flags flags, Path directory) {
    boolean eos = flags.guarantee() == Flags.Guarantee.EOS;
    Properties config = new Properties();
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, flags.group());
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, flags.brokers());
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, flags.clients());
    config.put(
        StreamsConfig.PROCESSING_GUARANTEE_CONFIG, eos ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, flags.commitInterval().toMillis());
    config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, (long) flags.cacheMiB() << 20);
    config.put(StreamsConfig.STATE_DIR_CONFIG, directory.toString());
    // The defaults are for little traffic: batches of 16 KiB, and polls of 1000 records.
    config.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    config.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
    return config;
  }

  private void changed(KafkaStreams.State now) {
    if (now == KafkaStreams.State.RUNNING) progress.running();
    if (now == KafkaStreams.State.ERROR) {
      progress.failed(new IllegalStateException("Kafka Streams came to the state ERROR; see the lines above"));
    }
  }

  /**
   * Says ready when all threads run and the first record was processed, with how many records were
   * by then, and done when all were committed and Redis has all states.
   */
  void run(PrintStream out) throws InterruptedException {
    long before = cluster.committed();
    streams.start();
    boolean ready = progress.ready(READY_SECONDS);
    throwFailure();
    if (!ready) {
      throw new IllegalStateException(
          "no record came within " + READY_SECONDS + " s; fill the topic " + flags.events() + " beforehand");
    }
    out.println("{\"event\":\"ready\",\"processed\":" + progress.processed() + "}");
    awaitCommit(before);
    out.println("{\"event\":\"done\",\"records\":" + flags.records() + "}");
  }

  /** Asks the cluster only once all was processed, so that asking costs nothing before. */
  private void awaitCommit(long before) throws InterruptedException {
    long processed = -1;
    long moved = System.nanoTime();
    while (true) {
      throwFailure();
      long now = progress.processed();
      if (now != processed) {
        processed = now;
        moved = System.nanoTime();
      }
      boolean all = before + now >= flags.records();
      if (all && cluster.committed() >= flags.records() && progress.written()) return;
      if (System.nanoTime() - moved > STALLED_NANOS) {
        String at = (before + now) + " of " + flags.records();
        throw new IllegalStateException("nothing moved for a minute, at record " + at + "; is --records right?");
      }
      Thread.sleep(LOOK_MILLIS);
    }
  }

  private void throwFailure() {
    if (progress.failure() == null) return;
    Throwable cause = progress.failure();
    while (cause.getCause() != null) cause = cause.getCause();
    throw new IllegalStateException("the application failed: " + cause, progress.failure());
  }

  /** Ends the threads, and takes away the changelog and what is on the disk. Once: a second call waits for it. */
  @Override
  public synchronized void close() throws IOException, InterruptedException {
    if (closed) return;
    closed = true;
    try (cluster) {
      // Or the group would have its members until their session ends.
      streams.close(CloseOptions.timeout(CLOSE_MAX).withGroupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP));
      cluster.delete(FoldTopology.changelog(flags));
    } finally {
      remove(directory);
    }
  }

  private static void remove(Path directory) throws IOException {
    List<Path> all;
    try (Stream<Path> walk = Files.walk(directory)) {
      all = walk.sorted(Comparator.reverseOrder()).toList(); // what a directory holds is before it
    }
    for (Path each : all) Files.deleteIfExists(each);
  }
}
