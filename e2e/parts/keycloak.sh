# shellcheck shell=bash
# Keycloak, its realms in memory, with one administrator.

keycloak_home=$cache/keycloak-$KEYCLOAK_VERSION

install_keycloak() {
  need java=openjdk-17-jre-headless
  [[ -d $keycloak_home ]] || need mvn=maven
  cached "keycloak-$KEYCLOAK_VERSION" build_keycloak
}

# Built for what it is started with, which its first start would do otherwise, for a minute.
build_keycloak() {
  mvn -B -q -ntp "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN_VERSION:copy" \
    "-Dartifact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK_VERSION:tar.gz" "-DoutputDirectory=$1"
  tar -xzf "$1/keycloak-quarkus-dist-$KEYCLOAK_VERSION.tar.gz" -C "$1" --strip-components 1
  rm "$1/keycloak-quarkus-dist-$KEYCLOAK_VERSION.tar.gz"
  "$1/bin/kc.sh" build --db=dev-mem
}

start_keycloak() {
  local port management password
  free_port port management
  password=$(secret)
  # Not by kc.sh, whose child it would be.
  KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=$password spawn keycloak java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx512m \
    "-Dkc.home.dir=$keycloak_home" "-Djboss.server.config.dir=$keycloak_home/conf" -Djava.util.logging.manager=org.jboss.logmanager.LogManager \
    --add-opens=java.base/java.util=ALL-UNNAMED -cp "$keycloak_home/lib/quarkus-run.jar" io.quarkus.bootstrap.runner.QuarkusEntryPoint \
    start --optimized --cache=local --http-enabled=true --hostname-strict=false --http-host=127.0.0.1 "--http-port=$port" "--http-management-port=$management"
  cat >"$dir/env" <<CONF
KEYCLOAK_URL=http://127.0.0.1:$port
KEYCLOAK_PASSWORD=$password
CONF
}

ready_keycloak() { curl -sf "$(value KEYCLOAK_URL)/realms/master/.well-known/openid-configuration" >/dev/null; }
