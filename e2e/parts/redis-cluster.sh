# shellcheck shell=bash
# A Redis Cluster of three masters.

# shellcheck source=redis.sh
. "$here/redis.sh"

install_redis_cluster() { install_redis; }

start_redis_cluster() {
  local ports=() buses=() port bus i first=(0 5461 10923) last=(5460 10922 16383)
  for i in 0 1 2; do
    free_port port bus
    ports+=("$port") buses+=("$bus")
    redis_node "node-$port" "$port" --cluster-enabled yes --cluster-port "$bus" --cluster-node-timeout 2000
  done
  # By hand rather than by redis-cli --cluster create, which waits whole seconds and cannot be told that all is well.
  for i in 0 1 2; do
    port=${ports[i]}
    within 90 redis_says "$port" PONG ping || true
    redis_says "$port" OK cluster set-config-epoch $((i + 1)) || say "redis-cluster: no epoch for node $port"
    redis_says "$port" OK cluster addslotsrange "${first[i]}" "${last[i]}" || say "redis-cluster: no slots for node $port"
    ((i == 0)) || redis_says "${ports[0]}" OK cluster meet 127.0.0.1 "$port" "${buses[i]}" || say "redis-cluster: $port was not met"
  done
  printf 'REDIS_CLUSTER_ADDRS=127.0.0.1:%s,127.0.0.1:%s,127.0.0.1:%s\n' "${ports[@]}" >"$dir/env"
}

ready_redis_cluster() {
  local addrs addr info
  IFS=, read -ra addrs <<<"$(value REDIS_CLUSTER_ADDRS)"
  for addr in "${addrs[@]}"; do
    info=$(timeout 5 redis-cli -p "${addr##*:}" cluster info)
    [[ $info == *cluster_state:ok*cluster_slots_ok:16384*cluster_known_nodes:3* ]] || return
  done
}
