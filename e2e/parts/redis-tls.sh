# shellcheck shell=bash
# One Redis that speaks only TLS and knows only one user; a test may make others, which last as long as it.

# shellcheck source=redis.sh
. "$here/redis.sh"

install_redis_tls() { install_redis; }

start_redis_tls() {
  local port password
  free_port port
  password=$(secret)
  make_certs "$dir/tls"
  cat >"$dir/users.acl" <<CONF
user default off
user signalbox on >$password ~* &* +@all
CONF
  redis_node redis 0 --tls-port "$port" --tls-auth-clients no --tls-ca-cert-file "$dir/tls/ca.pem" \
    --tls-cert-file "$dir/tls/server.pem" --tls-key-file "$dir/tls/server.key" --aclfile "$dir/users.acl"
  cat >"$dir/env" <<CONF
REDIS_TLS_URL=rediss://signalbox:$password@127.0.0.1:$port/0
REDIS_TLS_CA=$dir/tls/ca.pem
CONF
}

ready_redis_tls() {
  [[ $(timeout 5 redis-cli --no-auth-warning --cacert "$(value REDIS_TLS_CA)" -u "$(value REDIS_TLS_URL)" ping) == PONG ]]
}
