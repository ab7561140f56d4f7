#!/bin/sh
# Runs InfluxDB 1.x with accounts: admin; writer (the role influx); reader (Grafana). Each start makes what is missing and sets
# the passwords from the files again, so that a first start that was cut short is mended by the next.
set -eu
secrets=/run/ved-secrets
influxd -config /dev/null &
server=$!
trap 'kill -TERM "$server"' TERM INT

# Passwords hold letters, digits, - and _ only, and reach curl on standard input: no list of processes shows them.
ask() {
    printf 'user = "admin:%s"\ndata-urlencode = "q=%s"\n' "$(cat $secrets/admin_password)" "$1" |
        curl --silent --show-error --output /dev/null --fail --config - http://127.0.0.1:8086/query
}
until curl --silent --output /dev/null http://127.0.0.1:8086/ping; do
    kill -0 "$server" || exit 1
    sleep 0.2
done
# The first user may be made without an account; later this is refused, and right so.
ask "CREATE USER admin WITH PASSWORD '$(cat $secrets/admin_password)' WITH ALL PRIVILEGES" 2>/dev/null || true
ask "CREATE DATABASE ved"
for user in writer reader; do
    ask "CREATE USER $user WITH PASSWORD '$(cat $secrets/${user}_password)'" 2>/dev/null || true
    ask "SET PASSWORD FOR $user = '$(cat $secrets/${user}_password)'"
done
ask "GRANT WRITE ON ved TO writer"
ask "GRANT READ ON ved TO reader"

# `wait` ends when a signal comes, and again when the server has ended.
wait "$server" || true
wait "$server" 2>/dev/null || true
