# shellcheck shell=bash
# OpenSearch, one node that keeps little: the distribution that its own integration tests use, without plugins, so plain
# HTTP and no users.

opensearch_home=$cache/opensearch-$OPENSEARCH_VERSION

install_opensearch() {
  need java=openjdk-17-jre-headless
  [[ -d $opensearch_home ]] || need mvn=maven unzip=unzip
  cached "opensearch-$OPENSEARCH_VERSION" build_opensearch
}

build_opensearch() {
  mvn -B -q -ntp "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN_VERSION:copy" \
    "-Dartifact=org.opensearch.distribution.integ-test-zip:opensearch:$OPENSEARCH_VERSION:zip" "-DoutputDirectory=$1"
  cd "$1"
  unzip -q ./*.zip
  mv opensearch-*/* .
  rm -rf ./*.zip "opensearch-$OPENSEARCH_VERSION"*
}

start_opensearch() {
  local http transport
  free_port http transport
  launch_opensearch "$http" "$transport"
  echo "OPENSEARCH_URL=http://127.0.0.1:$http" >"$dir/env"
}

# launch_opensearch HTTP TRANSPORT: the node of $dir on these ports, with the data it has.
launch_opensearch() {
  local java as=()
  mkdir -p "$dir/config" "$dir/data" "$dir/logs" "$dir/tmp"
  cp -r "$opensearch_home"/config/* "$dir/config/"
  cat >"$dir/config/opensearch.yml" <<CONF
cluster.name: signalbox-parts
node.name: n1
network.host: 127.0.0.1
http.port: $1
transport.port: $2
discovery.type: single-node
path.data: $dir/data
path.logs: $dir/logs
cluster.routing.allocation.disk.threshold_enabled: false
CONF
  # It refuses root. In a user namespace of its own it is nobody, and the files are still its.
  if ((UID == 0)); then as=(unshare --user --); fi
  java=$(readlink -f "$(command -v java)")
  spawn opensearch env "JAVA_HOME=${java%/bin/java}" "OPENSEARCH_PATH_CONF=$dir/config" "OPENSEARCH_TMPDIR=$dir/tmp" \
    OPENSEARCH_JAVA_OPTS="-Xms256m -Xmx256m -XX:TieredStopAtLevel=1" "${as[@]}" "$opensearch_home/bin/opensearch"
}

ready_opensearch() {
  curl -fsS -m 5 "$(value OPENSEARCH_URL)/_cluster/health?wait_for_status=yellow&timeout=2s"
}
