# shellcheck shell=bash
# Schemathesis, which asks an API for everything that its OpenAPI document says. Nothing runs; the environment stays in
# the cache.

schemathesis_python=schemathesis-$SCHEMATHESIS_VERSION-$HYPOTHESIS_VERSION

install_schemathesis() {
  need python3=python3
  schemathesis_python+=-$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
  if [[ ! -d $cache/$schemathesis_python ]]; then
    python3 -c 'import ensurepip' 2>/dev/null || need python3-venv=python3-venv
  fi
  cached "$schemathesis_python" build_schemathesis
}

build_schemathesis() {
  python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS_VERSION" "hypothesis==$HYPOTHESIS_VERSION"
}

start_schemathesis() {
  printf 'SCHEMATHESIS_PYTHON=%s\n' "$cache/$schemathesis_python/bin/python" >"$dir/env"
}

ready_schemathesis() {
  "$(value SCHEMATHESIS_PYTHON)" -c 'import schemathesis'
}
