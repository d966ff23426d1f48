#!/bin/sh
# The users of the deployment hunt and the least that each needs, written by veltrix topics acls --format script.
# The users themselves are made by kafka-configs.sh --entity-type users; no password is here.
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

# producer, the gateway
run kafka-acls.sh --add --allow-principal 'User:hunt-producer' --operation Read --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-producer' --operation Write --operation Read --topic 'hunt.events' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-producer' --operation Read --topic 'hunt.rejected' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-producer' --operation Read --topic 'hunt.notifications' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-producer' --operation Read --topic 'hunt.receipts' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-producer' --operation Describe --group 'hunt.processor' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-producer' --operation Describe --operation DescribeConfigs --topic 'hunt.' --resource-pattern-type prefixed

# producer load
run kafka-acls.sh --add --allow-principal 'User:hunt-loader' --operation Read --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-loader' --operation Write --operation Read --topic 'hunt.events' --resource-pattern-type literal

# processor
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Read --operation Write --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Write --transactional-id 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Read --operation Write --topic 'hunt.events' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Write --operation Read --topic 'hunt.notifications' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Write --operation Read --topic 'hunt.rejected' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Write --operation Read --topic 'hunt.snapshots' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Read --group 'hunt.processor' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Write --transactional-id 'hunt.processor.' --resource-pattern-type prefixed
run kafka-acls.sh --add --allow-principal 'User:hunt-processor' --operation Describe --operation DescribeConfigs --topic 'hunt.' --resource-pattern-type prefixed

# notifier
run kafka-acls.sh --add --allow-principal 'User:hunt-notifier' --operation Read --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-notifier' --operation Read --topic 'hunt.notifications' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-notifier' --operation Read --operation Write --topic 'hunt.notify.retry.' --resource-pattern-type prefixed
run kafka-acls.sh --add --allow-principal 'User:hunt-notifier' --operation Write --topic 'hunt.receipts' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-notifier' --operation Read --group 'hunt.notifier' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-notifier' --operation Describe --operation DescribeConfigs --topic 'hunt.' --resource-pattern-type prefixed

# veltrix topics apply
run kafka-acls.sh --add --allow-principal 'User:hunt-topics' --operation Describe --operation Create --operation AlterConfigs --topic 'hunt.' --resource-pattern-type prefixed
run kafka-acls.sh --add --allow-principal 'User:hunt-topics' --operation Read --operation Write --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-topics' --operation Write --transactional-id 'hunt.manifest' --resource-pattern-type literal

# veltrix doctor, veltrix topics plan
run kafka-acls.sh --add --allow-principal 'User:hunt-doctor' --operation Describe --operation DescribeConfigs --topic 'hunt.' --resource-pattern-type prefixed
run kafka-acls.sh --add --allow-principal 'User:hunt-doctor' --operation Read --topic 'hunt.manifest' --resource-pattern-type literal

# veltrix verify
run kafka-acls.sh --add --allow-principal 'User:hunt-verify' --operation Read --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-verify' --operation Read --topic 'hunt.events' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-verify' --operation Read --topic 'hunt.notifications' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-verify' --operation Read --topic 'hunt.rejected' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-verify' --operation Read --topic 'hunt.snapshots' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-verify' --operation Describe --group 'hunt.processor' --resource-pattern-type literal

# veltrix player explain
run kafka-acls.sh --add --allow-principal 'User:hunt-player' --operation Read --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-player' --operation Read --topic 'hunt.events' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-player' --operation Read --topic 'hunt.rejected' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-player' --operation Read --topic 'hunt.notifications' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-player' --operation Read --topic 'hunt.receipts' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-player' --operation Describe --group 'hunt.processor' --resource-pattern-type literal

# veltrix rebase, veltrix rebuild, veltrix rules promote
run kafka-acls.sh --add --allow-principal 'User:hunt-repair' --operation Read --operation Write --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-repair' --operation Write --transactional-id 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-repair' --operation Read --topic 'hunt.events' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-repair' --operation Read --topic 'hunt.notifications' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-repair' --operation Read --topic 'hunt.rejected' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-repair' --operation Read --operation Write --topic 'hunt.snapshots' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-repair' --operation Read --group 'hunt.processor' --resource-pattern-type literal

# veltrix lag
run kafka-acls.sh --add --allow-principal 'User:hunt-lag' --operation Read --topic 'hunt.manifest' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-lag' --operation Read --operation DescribeConfigs --topic 'hunt.events' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-lag' --operation Read --operation DescribeConfigs --topic 'hunt.notifications' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-lag' --operation Describe --group 'hunt.processor' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-lag' --operation Describe --group 'hunt.notifier' --resource-pattern-type literal

# veltrix advise grace
run kafka-acls.sh --add --allow-principal 'User:hunt-advise' --operation Read --topic 'hunt.events' --resource-pattern-type literal

# veltrix doctor, and any service whose checks are to see all there is
run kafka-acls.sh --add --allow-principal 'User:hunt-checks' --operation Describe --operation DescribeConfigs --cluster
run kafka-acls.sh --add --allow-principal 'User:hunt-checks' --operation Describe --topic '__consumer_offsets' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-checks' --operation Describe --topic '__transaction_state' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-checks' --operation Read --topic 'hunt.events' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-checks' --operation Describe --group 'hunt.processor' --resource-pattern-type literal
run kafka-acls.sh --add --allow-principal 'User:hunt-checks' --operation Describe --transactional-id 'hunt.processor.' --resource-pattern-type prefixed

# processor, where it is to end by itself what a coordinator left open
run kafka-acls.sh --add --allow-principal 'User:hunt-left-open' --operation ClusterAction --cluster
