# shellcheck shell=bash
# What our SDKs are tested with: the oldest Python and Node they claim, and what checks types and makes packages. Nothing
# runs; the environments stay in the cache.

sdks_python=sdks-python-$MYPY_VERSION-$PYTHON_BUILD_VERSION-$SETUPTOOLS_VERSION
sdks_node=sdks-node-$SDK_NODE_VERSION-$TYPESCRIPT_VERSION-$TYPES_NODE_VERSION

install_sdks() {
  need python3=python3 node=nodejs npm=npm
  sdks_python+=-$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
  if [[ ! -d $cache/$sdks_python ]]; then
    python3 -c 'import ensurepip' 2>/dev/null || need python3-venv=python3-venv
  fi
  cached "$sdks_python" build_sdks_python
  cached "$sdks_node" build_sdks_node
  oldest_python=$(find_python) || die "sdks: there is no Python $SDK_PYTHON_VERSION or newer"
}

build_sdks_python() {
  # Moving it afterwards is fine as long as it is run as bin/python and not through the scripts beside that.
  python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "mypy==$MYPY_VERSION" "build==$PYTHON_BUILD_VERSION" \
    "setuptools==$SETUPTOOLS_VERSION" wheel
}

build_sdks_node() {
  # The package node brings the program.
  npm install --silent --no-audit --no-fund --prefix "$1" "node@$SDK_NODE_VERSION" "typescript@$TYPESCRIPT_VERSION" "@types/node@$TYPES_NODE_VERSION"
}

# find_python prints the program of the oldest Python: of the version that we claim, which uv gets from beyond the
# registries where there is none, or else of the oldest one that is here.
find_python() {
  python_of "$SDK_PYTHON_VERSION" || uv_python && return
  local minor
  for ((minor = ${SDK_PYTHON_VERSION#3.} + 1; minor < 20; minor++)); do
    python_of "3.$minor" || continue
    say "sdks: there is no Python $SDK_PYTHON_VERSION here, and uv could not get one; 3.$minor stands in for it"
    return
  done
  return 1
}

# python_of VERSION: the program of an interpreter in the PATH or among pyenv's.
python_of() {
  local candidate
  for candidate in "python$1" python3 "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' "$1" 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

uv_python() {
  python3 -m venv "$dir/uv" && "$dir/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv &&
    timeout 300 "$dir/uv/bin/uv" python install --quiet "$SDK_PYTHON_VERSION" && "$dir/uv/bin/uv" python find "$SDK_PYTHON_VERSION"
} 2>/dev/null

start_sdks() {
  cat >"$dir/env" <<CONF
SDKS_TOOLS=$cache/$sdks_python/bin/python
SDKS_PYTHON=$oldest_python
SDKS_NODE=$cache/$sdks_node/node_modules/node/bin/node
SDKS_NODE_MODULES=$cache/$sdks_node/node_modules
SDKS_GO=go$SDK_GO_VERSION
CONF
}

ready_sdks() {
  "$(value SDKS_TOOLS)" -c 'import mypy, build, setuptools' && "$(value SDKS_PYTHON)" --version &&
    "$(value SDKS_NODE)" --version && [[ -d $(value SDKS_NODE_MODULES)/typescript ]]
}
