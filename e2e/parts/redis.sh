# shellcheck shell=bash
# One Redis that keeps nothing on disk; and what its TLS, Sentinel and Cluster siblings share.

install_redis() {
  need redis-server=redis-server redis-cli=redis-tools
  local version
  version=$(redis-server --version | sed -n 's/.* v=\([0-9]*\).*/\1/p')
  ((version >= REDIS_MAJOR)) || die "redis-server $version is too old, $REDIS_MAJOR or newer is needed"
}

# redis_node NAME PORT OPTION...: starts one server that keeps nothing.
redis_node() {
  local name=$1 port=$2
  shift 2
  mkdir -p "$dir/$name"
  spawn "$name" redis-server --port "$port" --bind 127.0.0.1 --dir "$dir/$name" --save '' --appendonly no "$@"
}

# redis_says PORT ANSWER COMMAND...: true when the answer holds that text.
redis_says() {
  local port=$1 want=$2
  shift 2
  [[ $(timeout 5 redis-cli -h 127.0.0.1 -p "$port" "$@" 2>&1) == *"$want"* ]]
}

start_redis() {
  local port
  free_port port
  redis_node redis "$port"
  printf '%s\n' "REDIS_URL=redis://127.0.0.1:$port/0" "REDIS_PID=$pid" >"$dir/env"
}

ready_redis() {
  [[ $(timeout 5 redis-cli -u "$(value REDIS_URL)" ping) == PONG ]]
}
