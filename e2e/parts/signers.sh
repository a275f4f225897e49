# shellcheck shell=bash
# The providers' own libraries, which sign webhooks as the providers do, for the programs sign.* in clients/. Nothing
# runs; the environments stay in the cache.

signers_python=signers-python-$STRIPE_PYTHON_VERSION-$TWILIO_PYTHON_VERSION-$SLACK_SDK_VERSION-$STANDARDWEBHOOKS_VERSION-$SVIX_VERSION
signers_node=signers-node-$OCTOKIT_WEBHOOKS_METHODS_VERSION

install_signers() {
  need python3=python3 node=nodejs
  signers_python+=-$(python3 -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
  if [[ ! -d $cache/$signers_python ]]; then
    python3 -c 'import ensurepip' 2>/dev/null || need python3-venv=python3-venv
  fi
  [[ -d $cache/$signers_node ]] || need npm=npm
  cached "$signers_python" build_signers_python
  cached "$signers_node" build_signers_node
}

build_signers_python() {
  python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "stripe==$STRIPE_PYTHON_VERSION" "twilio==$TWILIO_PYTHON_VERSION" \
    "slack_sdk==$SLACK_SDK_VERSION" "standardwebhooks==$STANDARDWEBHOOKS_VERSION" "svix==$SVIX_VERSION"
}

build_signers_node() {
  npm install --silent --no-audit --no-fund --prefix "$1" "@octokit/webhooks-methods@$OCTOKIT_WEBHOOKS_METHODS_VERSION"
}

start_signers() {
  cat >"$dir/env" <<CONF
SIGNERS_PYTHON=$cache/$signers_python/bin/python
SIGNERS_NODE_MODULES=$cache/$signers_node/node_modules
CONF
}

ready_signers() {
  "$(value SIGNERS_PYTHON)" -c 'import stripe, twilio.request_validator, slack_sdk.signature, standardwebhooks, svix.webhooks' &&
    [[ -d $(value SIGNERS_NODE_MODULES)/@octokit/webhooks-methods ]]
}
