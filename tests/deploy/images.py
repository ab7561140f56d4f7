"""What the images of deploy/compose.yaml bring, as far as Debian and Maven Central have it; Grafana is not there."""

from tests.deploy.engine import Image
from tests.services.kafka_server import jars

OURS = 10001
POSTGRES = """#!/bin/sh
# What the entrypoint of the official image does with its variables.
set -eu
data=/var/lib/postgresql/data
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
if [ ! -s $data/PG_VERSION ]; then
    chmod 700 $data
    $bin/initdb -D $data --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >> $data/pg_hba.conf
    $bin/pg_ctl -D $data -w start -o "-c listen_addresses= -k /tmp"
    $bin/createdb -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB" || true
    $bin/pg_ctl -D $data -w stop -m fast
fi
exec $bin/postgres -D $data -c listen_addresses=* -k /run/postgresql
"""


def images() -> dict[str, Image]:
    """By the name before the tag."""
    java = f"exec java $KAFKA_HEAP_OPTS $KAFKA_LOG4J_OPTS -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '{jars()}'"
    return {
        "ved": Image(
            entrypoint=("ved",),
            command=("serve",),
            environment=(("VED_DATA", "/data"),),
            users=(("ved", OURS),),
            folders=(("/data", OURS), ("/lake", OURS), ("/state", OURS)),
        ),
        "postgres": Image(
            entrypoint=("/usr/local/bin/docker-entrypoint.sh",),
            command=("postgres",),
            users=(("postgres", 999),),
            files=(("/usr/local/bin/docker-entrypoint.sh", POSTGRES),),
            folders=(("/var/lib/postgresql/data", 999),),
        ),
        "apache/kafka": Image(
            users=(("appuser", 1000),),
            files=(
                ("/opt/kafka/bin/kafka-storage.sh", f'#!/bin/sh\n{java} kafka.tools.StorageTool "$@"\n'),
                ("/opt/kafka/bin/kafka-server-start.sh", f'#!/bin/sh\n{java} kafka.Kafka "$@"\n'),
            ),
            folders=(("/var/lib/kafka/data", 1000),),
        ),
        "influxdb": Image(users=(("influxdb", 1500),), folders=(("/var/lib/influxdb", 1500),)),
        "caddy": Image(
            command=("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"),
            environment=(("XDG_CONFIG_HOME", "/config"), ("XDG_DATA_HOME", "/data")),
            folders=(("/data", 0), ("/data/caddy", 0)),
        ),
    }
