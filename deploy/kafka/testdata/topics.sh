#!/bin/sh
# The topics of the deployment hunt, written by veltrix topics export --format script.
# When every topic is there, run `veltrix topics apply --prefix hunt` once. It compares them with
# the declaration and pins the deployment, which no topic can: it writes the cluster's ID, the ID of
# hunt.events and the partition count to hunt.manifest. No service starts before that. The partition
# count is for ever then: never change it here.
# For topics that are there, prefer veltrix topics apply: this sets every setting as declared, also where that
# shortens a retention and so deletes records.
#
# BOOTSTRAP names the brokers, COMMAND_CONFIG a file with how they are spoken to (may be empty), and KAFKA_BIN
# where Kafka's tools are, if they are not on PATH.
set -eu
: "${BOOTSTRAP:=127.0.0.1:9092}" "${COMMAND_CONFIG:=}" "${KAFKA_BIN:=}"
run() {
	tool="${KAFKA_BIN:+$KAFKA_BIN/}$1"
	shift
	"$tool" --bootstrap-server "$BOOTSTRAP" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} "$@"
}

# what happened, keyed by participant; the source of everything else
run kafka-topics.sh --create --if-not-exists --topic 'hunt.events' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.events' --add-config 'cleanup.policy=delete,message.timestamp.type=LogAppendTime,min.insync.replicas=2,retention.bytes=-1,retention.ms=1209600000,unclean.leader.election.enable=false'

# what this deployment is pinned to
run kafka-topics.sh --create --if-not-exists --topic 'hunt.manifest' --partitions 1 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.manifest' --add-config 'cleanup.policy=compact,min.insync.replicas=2,segment.ms=86400000,unclean.leader.election.enable=false'

# what to tell whom, caused by events, committed with their offsets
run kafka-topics.sh --create --if-not-exists --topic 'hunt.notifications' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.notifications' --add-config 'cleanup.policy=delete,min.insync.replicas=2,retention.bytes=-1,retention.ms=259200000,segment.ms=86400000,unclean.leader.election.enable=false'

# deliveries waiting for their next attempt
run kafka-topics.sh --create --if-not-exists --topic 'hunt.notify.retry.10m' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.notify.retry.10m' --add-config 'cleanup.policy=delete,min.insync.replicas=2,retention.bytes=-1,retention.ms=604800000,segment.ms=86400000,unclean.leader.election.enable=false'

# deliveries waiting for their next attempt
run kafka-topics.sh --create --if-not-exists --topic 'hunt.notify.retry.1h' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.notify.retry.1h' --add-config 'cleanup.policy=delete,min.insync.replicas=2,retention.bytes=-1,retention.ms=604800000,segment.ms=86400000,unclean.leader.election.enable=false'

# deliveries waiting for their next attempt
run kafka-topics.sh --create --if-not-exists --topic 'hunt.notify.retry.1m' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.notify.retry.1m' --add-config 'cleanup.policy=delete,min.insync.replicas=2,retention.bytes=-1,retention.ms=604800000,segment.ms=86400000,unclean.leader.election.enable=false'

# deliveries waiting for their next attempt
run kafka-topics.sh --create --if-not-exists --topic 'hunt.notify.retry.6h' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.notify.retry.6h' --add-config 'cleanup.policy=delete,min.insync.replicas=2,retention.bytes=-1,retention.ms=604800000,segment.ms=86400000,unclean.leader.election.enable=false'

# what became of each notification on each channel
run kafka-topics.sh --create --if-not-exists --topic 'hunt.receipts' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.receipts' --add-config 'cleanup.policy=delete,min.insync.replicas=2,retention.bytes=-1,retention.ms=2592000000,unclean.leader.election.enable=false'

# events that had no effect, each with its reason and original bytes
run kafka-topics.sh --create --if-not-exists --topic 'hunt.rejected' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.rejected' --add-config 'cleanup.policy=delete,max.message.bytes=2097152,min.insync.replicas=2,retention.bytes=-1,retention.ms=2592000000,unclean.leader.election.enable=false'

# state by offset, from which a partition is rebuilt
run kafka-topics.sh --create --if-not-exists --topic 'hunt.snapshots' --partitions 24 --replication-factor 3
run kafka-configs.sh --alter --entity-type topics --entity-name 'hunt.snapshots' --add-config 'cleanup.policy=compact,min.insync.replicas=2,segment.ms=86400000,unclean.leader.election.enable=false'
