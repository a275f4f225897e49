# shellcheck shell=bash
# A Redis master, a replica and three Sentinels with a quorum of two.

# shellcheck source=redis.sh
. "$here/redis.sh"

install_redis_sentinel() { install_redis; }

start_redis_sentinel() {
  local master replica one two three port
  free_port master replica one two three
  redis_node master "$master" --repl-diskless-sync-delay 0
  redis_node replica "$replica" --replicaof 127.0.0.1 "$master"
  # A Sentinel that comes up before its master is there calls it down.
  within 90 redis_says "$replica" master_link_status:up info replication || true
  for port in "$one" "$two" "$three"; do
    mkdir -p "$dir/sentinel-$port"
    # Sentinel writes into its own configuration.
    cat >"$dir/sentinel-$port.conf" <<CONF
port $port
bind 127.0.0.1
dir "$dir/sentinel-$port"
sentinel monitor signalbox 127.0.0.1 $master 2
sentinel down-after-milliseconds signalbox 1000
sentinel failover-timeout signalbox 3000
CONF
    spawn "sentinel-$port" redis-server "$dir/sentinel-$port.conf" --sentinel
  done
  cat >"$dir/env" <<CONF
REDIS_SENTINEL_ADDRS=127.0.0.1:$one,127.0.0.1:$two,127.0.0.1:$three
REDIS_SENTINEL_MASTER=signalbox
CONF
}

# Every Sentinel knows the two others and the replica, and the master answers to writes.
ready_redis_sentinel() {
  local addrs addr state_of master
  IFS=, read -ra addrs <<<"$(value REDIS_SENTINEL_ADDRS)"
  for addr in "${addrs[@]}"; do
    state_of=$(timeout 5 redis-cli -p "${addr##*:}" info sentinel)
    [[ $state_of == *"status=ok"*"slaves=1,sentinels=3"* ]] || return
  done
  master=$(timeout 5 redis-cli -p "${addr##*:}" sentinel get-master-addr-by-name signalbox | tail -n 1)
  redis_says "$master" role:master info replication
}
