# shellcheck shell=bash
# Clients that are not ours: the CloudEvents SDKs of Python and JavaScript and Confluent's Kafka client, for the
# programs in clients/. Nothing runs; the environments stay in the cache.

clients_python=clients-python-$CLOUDEVENTS_PYTHON_VERSION-$CONFLUENT_KAFKA_VERSION-$FLASK_VERSION
clients_node=clients-node-$CLOUDEVENTS_NODE_VERSION

install_clients() {
  need python3=python3 node=nodejs
  # The interpreter is part of the name: an environment made by another one is of no use.
  clients_python+=-$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "clients: cloudevents $CLOUDEVENTS_PYTHON_VERSION needs Python 3.10 or newer"
  if [[ ! -d $cache/$clients_python ]]; then
    python3 -c 'import ensurepip' 2>/dev/null || need python3-venv=python3-venv
  fi
  [[ -d $cache/$clients_node ]] || need npm=npm
  cached "$clients_python" build_clients_python
  cached "$clients_node" build_clients_node
}

build_clients_python() {
  # Moving it afterwards is fine as long as it is run as bin/python and not through the scripts beside that.
  python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "cloudevents==$CLOUDEVENTS_PYTHON_VERSION" \
    "confluent-kafka==$CONFLUENT_KAFKA_VERSION" "flask==$FLASK_VERSION" "werkzeug==$WERKZEUG_VERSION"
}

build_clients_node() {
  npm install --silent --no-audit --no-fund --prefix "$1" "cloudevents@$CLOUDEVENTS_NODE_VERSION"
}

start_clients() {
  cat >"$dir/env" <<CONF
CLIENTS_PYTHON=$cache/$clients_python/bin/python
CLIENTS_NODE_PATH=$cache/$clients_node/node_modules
CONF
}

ready_clients() {
  "$(value CLIENTS_PYTHON)" -c 'import cloudevents, confluent_kafka, flask' &&
    NODE_PATH=$(value CLIENTS_NODE_PATH) node -e 'require("cloudevents")'
}
