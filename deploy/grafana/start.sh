#!/bin/sh
# The data source takes its password from the environment; the file is the only place that keeps it.
set -eu
VED_INFLUX_PASSWORD="$(cat /run/ved-secrets/influx_password)"
export VED_INFLUX_PASSWORD
exec /run.sh
