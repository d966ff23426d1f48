package com.veltrix.bench.streams;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.DeleteTopicsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What the application asks of the cluster beside its records. */
final class Cluster implements AutoCloseable {
  private static final int TIMEOUT_MILLIS = 15_000;
  private static final int DELETE_MILLIS = 2_000; // within what SIGTERM leaves

  private final Admin admin;
  private final String group;
  private final Map<TopicPartition, Long> begins;

  /** Throws IllegalArgumentException where the topics are not as the application needs them. */
  Cluster(Flags flags) throws InterruptedException {
    Properties config = new Properties();
    config.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, flags.brokers());
    config.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, TIMEOUT_MILLIS);
    config.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, TIMEOUT_MILLIS);
    admin = Admin.create(config);
    group = flags.group();
    try {
      begins = begins(flags.events(), flags.outputs());
    } catch (RuntimeException | InterruptedException e) {
      admin.close();
      throw e;
    }
  }

  private Map<TopicPartition, Long> begins(String events, String outputs) throws InterruptedException {
    var described = admin.describeTopics(Set.of(events, outputs)).allTopicNames();
    var topics = await("describe the topics " + events + " and " + outputs, described);
    int partitions = topics.get(events).partitions().size();
    int others = topics.get(outputs).partitions().size();
    if (others != partitions) {
      throw new IllegalArgumentException(
          events + " has " + partitions + " partitions and " + outputs + " has " + others + "; make them the same");
    }
    Map<TopicPartition, OffsetSpec> earliest =
        IntStream.range(0, partitions)
            .mapToObj(p -> new TopicPartition(events, p))
            .collect(Collectors.toMap(p -> p, p -> OffsetSpec.earliest()));
    var offsets = await("look where the topic " + events + " begins", admin.listOffsets(earliest).all());
    return offsets.entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().offset()));
  }

  /**
   * Returns how many records of the events' topic the group has committed. It is exact: under
   * exactly_once_v2 the offsets are part of the transaction that has the outputs and the changelog,
   * and the group shows them only once it is committed; at least once, they are committed after
   * what they stand for is flushed. The topic's records are not written by transactions, whose
   * markers would take offsets too.
   */
  long committed() throws InterruptedException {
    Map<TopicPartition, OffsetAndMetadata> offsets;
    try {
      var listed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata();
      offsets = await("read what the group committed", listed);
    } catch (IllegalStateException e) {
      if (e.getCause() instanceof GroupIdNotFoundException) return 0; // it has yet to commit
      throw e;
    }
    long all = 0;
    for (var begin : begins.entrySet()) {
      OffsetAndMetadata offset = offsets.get(begin.getKey());
      if (offset != null) all += offset.offset() - begin.getValue();
    }
    return all;
  }

  /** Deletes a topic, where there is one. */
  void delete(String topic) throws InterruptedException {
    var options = new DeleteTopicsOptions().timeoutMs(DELETE_MILLIS);
    try {
      await("delete the topic " + topic, admin.deleteTopics(List.of(topic), options).all());
    } catch (IllegalStateException e) {
      if (!(e.getCause() instanceof UnknownTopicOrPartitionException)) throw e;
    }
  }

  private static <T> T await(String what, KafkaFuture<T> answer) throws InterruptedException {
    try {
      return answer.get();
    } catch (ExecutionException e) {
      String why = e.getCause().getMessage();
      throw new IllegalStateException(what + ": " + why + "; look at --brokers and at the topics", e.getCause());
    }
  }

  @Override
  public void close() {
    admin.close(Duration.ofSeconds(1));
  }
}
