#!/bin/sh
# Brings wg0 up (/etc/wireguard/wg0.conf, from `ved vpn`) and passes three TCP ports on. Nothing else of the inner networks can
# be reached through the tunnel: there is no routing, each connection ends here and is made anew. wg0.conf brings its own packet
# filter (iptables): cars reach 8790, staff 80 and 443.
set -eu
wg-quick up wg0
pass() {
    socat "TCP-LISTEN:$1,fork,reuseaddr" "TCP:$2" &
}
pass 80 caddy:8080
pass 443 caddy:8443
pass 8790 ingest:8790
trap 'wg-quick down wg0; exit 0' TERM INT
wait
