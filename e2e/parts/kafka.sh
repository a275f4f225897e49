# shellcheck shell=bash
# Apache Kafka, one KRaft node: a PLAINTEXT and a SASL_SSL (SCRAM-SHA-512) listener on the same broker, and a PLAINTEXT one
# whose clients are told to connect to another port: there a test puts a proxy. An authorizer lets everybody who comes
# without TLS, and the user signalbox, do everything; the user least may do what ACLs say.

kafka_home=$cache/kafka-$KAFKA_VERSION

install_kafka() {
  need java=openjdk-17-jre-headless
  [[ -d $kafka_home ]] || need mvn=maven
  cached "kafka-$KAFKA_VERSION" build_kafka
}

build_kafka() {
  cp "$here/kafka/pom.xml" "$1/pom.xml"
  mvn -B -q -ntp -f "$1/pom.xml" "-Dkafka.version=$KAFKA_VERSION" "-Dlog4j.version=$KAFKA_LOG4J_VERSION" \
    "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN_VERSION:copy-dependencies" \
    -DincludeScope=runtime "-DoutputDirectory=$1/lib"
}

start_kafka() {
  local plain sasl controller behind proxy password least
  free_port plain sasl controller behind proxy
  password=$(secret)
  least=$(secret)
  make_certs "$dir/tls"
  cat >"$dir/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:$plain,SASL_SSL://127.0.0.1:$sasl,PROXIED://127.0.0.1:$behind,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$plain,SASL_SSL://127.0.0.1:$sasl,PROXIED://127.0.0.1:$proxy
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$dir/tls/server-bundle.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:signalbox
log.dirs=$dir/data
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
CONF
  kafka_command
  "${kafka_java[@]}" -Xmx128m -cp "$kafka_home/lib/*" kafka.tools.StorageTool format --standalone \
    -t "$(openssl rand 16 | base64 | tr +/ Aa | cut -c1-22)" -c "$dir/server.properties" \
    --add-scram "SCRAM-SHA-512=[name=signalbox,password=$password]" \
    --add-scram "SCRAM-SHA-512=[name=least,password=$least]" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; die "kafka: could not format its storage"; }
  cat >"$dir/env" <<CONF
KAFKA_BROKERS=127.0.0.1:$plain
KAFKA_SASL_BROKERS=127.0.0.1:$sasl
KAFKA_PROXY=127.0.0.1:$proxy
KAFKA_BEHIND_PROXY=127.0.0.1:$behind
KAFKA_SASL_USER=signalbox
KAFKA_SASL_PASSWORD=$password
KAFKA_LEAST_USER=least
KAFKA_LEAST_PASSWORD=$least
KAFKA_CA=$dir/tls/ca.pem
CONF
  launch_kafka
}

# launch_kafka: the broker of $dir on the ports and data it has.
launch_kafka() {
  if [[ -f $dir/broker.log ]]; then cat "$dir/broker.log" >>"$dir/earlier.txt"; fi
  : >"$dir/broker.log"
  kafka_command
  spawn broker "${kafka_java[@]}" -Xms256m -Xmx512m "-Dlog4j2.configurationFile=$here/kafka/log4j2.properties" \
    -cp "$kafka_home/lib/*" kafka.Kafka "$dir/server.properties"
  sed -i '/^KAFKA_PID=/d' "$dir/env"
  echo "KAFKA_PID=$pid" >>"$dir/env"
}

# The quick compiler alone starts sooner and runs slower: not for benchmarks.
kafka_command() {
  kafka_java=(java -XX:+UseSerialGC)
  [[ ${SIGNALBOX_PARTS_BENCH:-} == 1 ]] || kafka_java+=(-XX:TieredStopAtLevel=1)
}

ready_kafka() {
  local sasl
  sasl=$(value KAFKA_SASL_BROKERS)
  grep -q 'Kafka Server started' "$dir/broker.log" &&
    kafka_answers "$(value KAFKA_BROKERS)" && listens "${sasl##*:}"
}

# kafka_answers HOST:PORT: asks for ApiVersions (key 18, version 0, no client id) and wants the correlation id back.
kafka_answers() {
  local answer
  exec 3<>"/dev/tcp/${1/:/\/}" || return
  printf '\0\0\0\012\0\022\0\0\0\0\0\007\377\377' >&3
  answer=$(timeout 2 head -c 8 <&3 | od -An -tx1 -j4 | tr -d ' ')
  exec 3>&-
  [[ $answer == 00000007 ]]
}
