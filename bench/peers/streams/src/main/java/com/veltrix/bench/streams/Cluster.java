package com.veltrix.bench.streams;

import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import java.util.stream.Collectors;
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
    var topics = await("describe the topics " + events + " and " + outputs, admin.describeTopics(Set.of(events, outputs)).allTopicNames());
    int partitions = topics.get(events).partitions().size();
    if (topics.get(outputs).partitions().size() != partitions) {
      throw new IllegalArgumentException(
          "the topic " + outputs + " has " + topics.get(outputs).partitions().size() + " partitions and " + events + " has " + partitions + "; make them the same number");
    }
    Map<TopicPartition, OffsetSpec> earliest =
        topics.get(events).partitions().stream()
            .collect(Collectors.toMap(p -> new TopicPartition(events, p.partition()), p -> OffsetSpec.earliest()));
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
      offsets = await("read what the group committed", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
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
      throw new IllegalStateException(what + ": " + e.getCause().getMessage() + "; look at --brokers and at the topics", e.getCause());
    }
  }

  @Override
  public void close() {
    admin.close(java.time.Duration.ofSeconds(1));
  }
}
