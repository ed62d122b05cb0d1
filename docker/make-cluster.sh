#!/bin/sh
# make-cluster.sh HOST HOST HOST: make these servers one cluster of masters, or introduce them again after their addresses have changed.
# Safe to run at every start: what is there stays.
set -eu
REDISCLI_AUTH=$(/etc/crosstape/bus-password.sh)
export REDISCLI_AUTH
ask() { host=$1; shift; redis-cli --no-auth-warning -h "$host" "$@"; }
address() { getent hosts "$1" | { read -r ip _ && echo "$ip"; }; }

nodes=
for host in "$@"; do
    nodes="$nodes $(address "$host"):6379"
done
if [ "$(ask "$1" cluster info | tr -d '\r' | sed -n 's/^cluster_slots_assigned://p')" = 0 ]; then
    # shellcheck disable=SC2086  # one argument a node
    redis-cli --no-auth-warning --cluster create $nodes --cluster-yes
else
    for host in "$@"; do
        ask "$1" cluster meet "$(address "$host")" 6379
    done
fi
tries=60
until [ "$(ask "$1" cluster info | tr -d '\r' | sed -n 's/^cluster_state://p')" = ok ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "the cluster is not well after 60 s" >&2; exit 1; }
    sleep 1
done
