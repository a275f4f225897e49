# shellcheck shell=bash
# NAV's mock-oauth2-server: a real OpenID provider (discovery, JWKS, client credentials) that believes every client.

oauth_home=$cache/oauth-$MOCK_OAUTH2_VERSION

install_oauth() {
  need java=openjdk-17-jre-headless
  [[ -d $oauth_home ]] || need mvn=maven
  cached "oauth-$MOCK_OAUTH2_VERSION" build_oauth
}

build_oauth() {
  cp "$here/oauth/pom.xml" "$1/pom.xml"
  mvn -B -q -ntp -f "$1/pom.xml" "-Doauth.version=$MOCK_OAUTH2_VERSION" \
    "org.apache.maven.plugins:maven-dependency-plugin:$MAVEN_DEPENDENCY_PLUGIN_VERSION:copy-dependencies" \
    -DincludeScope=runtime "-DoutputDirectory=$1/lib"
}

# Every first part of the path is an issuer of its own, made when it is first asked for. The token says what the client
# asked for as audience, and roles; it ends after a minute, so that renewal can be seen.
start_oauth() {
  local port
  free_port port
  cat >"$dir/config.json" <<'CONF'
{
  "interactiveLogin": false,
  "tokenCallbacks": [
    {
      "issuerId": "signalbox",
      "tokenExpiry": 60,
      "requestMappings": [
        {"requestParam": "client_id", "match": "staff", "claims": {"sub": "${clientId}", "aud": ["signalbox"], "groups": ["staff"]}},
        {"requestParam": "audience", "match": "*", "claims": {"sub": "${clientId}", "aud": ["${audience}"]}}
      ]
    }
  ]
}
CONF
  SERVER_HOSTNAME=127.0.0.1 SERVER_PORT=$port JSON_CONFIG_PATH=$dir/config.json spawn oauth java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx128m \
    -cp "$oauth_home/lib/*" no.nav.security.mock.oauth2.StandaloneMockOAuth2ServerKt
  echo "OAUTH_URL=http://127.0.0.1:$port" >"$dir/env"
}

# Not by an issuer: the first that is asked for gets the first key.
ready_oauth() { curl -sf "$(value OAUTH_URL)/isalive" >/dev/null; }
