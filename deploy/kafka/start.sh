#!/bin/sh
# Formats the volume once, with the cluster id that `ved init` made, then runs Kafka.
set -eu
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --standalone \
    --cluster-id "$(cat /run/ved-secrets/cluster_id)" --config /etc/ved/server.properties
exec /opt/kafka/bin/kafka-server-start.sh /etc/ved/server.properties
