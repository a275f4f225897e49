# shellcheck shell=bash
# Kubernetes without kubelets: etcd, the API server with RBAC, the controllers, the scheduler, and kwok, which plays the
# nodes: pods become Running, those of Jobs Completed, and what one prints is a file that a test names. Knative's
# resources are known, its controllers do not run; a program says what its admission would refuse. Helm lies beside it.

kube_home=$cache/kube-$KUBERNETES_VERSION-$(cat "$here"/kube/*/* - <<<"$KNATIVE_SERVING_SUM" | sha256sum | cut -c1-12)

install_kube() {
  [[ -d $kube_home ]] && return
  command -v go >/dev/null || die "kube is built from Go modules: put Go on PATH"
  cached "$(basename "$kube_home")" build_kube
}

# Modules of their own, since Kubernetes wants other versions of what we use, and etcd others than Kubernetes.
build_kube() {
  local ldflags version='-X k8s.io/component-base/version.git'
  # More memory for less time.
  export CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' GOGC=400
  ldflags="-s -w ${version}Version=$KUBERNETES_VERSION ${version}Major=1 ${version}Minor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")"
  cd "$here/kube/etcd"
  nice -n 10 go build -ldflags '-s -w' -o "$1/etcd" go.etcd.io/etcd/server/v3
  cd "$here/kube/kubernetes"
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    nice -n 10 go build -ldflags "$ldflags" -o "$1/$name" "k8s.io/kubernetes/cmd/$name"
  done
  nice -n 10 go build -ldflags '-s -w' -o "$1/kwok" sigs.k8s.io/kwok/cmd/kwok
  cd "$here/kube/helm"
  nice -n 10 go build -ldflags '-s -w' -o "$1/helm" helm.sh/helm/v4/cmd/helm
  cd "$here/kube/knative"
  nice -n 10 go build -ldflags '-s -w' -o "$1/knative-check" .
  cd "$here/kube/kubernetes"
  copy_kwok_stages "$1"
  copy_knative "$1"
}

copy_kwok_stages() {
  local stages f
  stages=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
  mkdir "$1/stages"
  for f in "$stages"/{node/fast/node,pod/fast/pod}-*.yaml; do
    cp "$f" "$1/stages/"
  done
  chmod u+w "$1"/stages/*
}

copy_knative() {
  local json
  # Outside any module: nothing but this one is asked for.
  cd /
  json=$(go mod download -json "knative.dev/serving@$KNATIVE_SERVING_VERSION")
  [[ $(sed -n 's/^\t"Sum": "\(.*\)",\{0,1\}$/\1/p' <<<"$json") == "$KNATIVE_SERVING_SUM" ]] || die "knative.dev/serving is not what it was"
  mkdir "$1/crds"
  cp "$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$json")"/config/core/300-resources/*.yaml "$1/crds/"
  chmod u+w "$1"/crds/*
}

start_kube() {
  local client peer api controllers scheduler kwok token
  free_port client peer api controllers scheduler kwok
  make_certs "$dir/certs"
  token=$(secret)
  openssl genrsa -out "$dir/accounts.key" 2048 2>/dev/null
  echo "$token,admin,admin,\"system:masters\"" >"$dir/tokens.csv"
  cat >"$dir/kubeconfig" <<CONF
apiVersion: v1
kind: Config
current-context: parts
clusters: [{name: parts, cluster: {server: "https://127.0.0.1:$api", certificate-authority: "$dir/certs/ca.pem"}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: parts, context: {cluster: parts, user: admin}}]
CONF
  chmod 600 "$dir"/{accounts.key,tokens.csv,kubeconfig}
  spawn etcd "$kube_home/etcd" --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn --logger zap \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "default=http://127.0.0.1:$peer"
  cat >"$dir/ports" <<CONF
kube_client=$client kube_api=$api
CONF
  launch_kube_api
  local with=(--kubeconfig "$dir/kubeconfig" --leader-elect=false --bind-address 127.0.0.1)
  cat >"$dir/env" <<CONF
KUBE_CONFIG=$dir/kubeconfig
KUBE_SERVER=https://127.0.0.1:$api
KUBE_CA=$dir/certs/ca.pem
KUBE_HELM=$kube_home/helm
KUBE_KNATIVE_CHECK=$kube_home/knative-check
CONF
  # They end when they find no API server at their start.
  within 180 kube_answers || true
  kube_apply /apis/apiextensions.k8s.io/v1/customresourcedefinitions/logs.kwok.x-k8s.io "$here/kube/logs.yaml" >/dev/null || true
  spawn controllers "$kube_home/kube-controller-manager" "${with[@]}" --secure-port "$controllers" --cert-dir "$dir/controllers" \
    --service-account-private-key-file "$dir/accounts.key" --root-ca-file "$dir/certs/ca.pem" \
    --use-service-account-credentials=false --controllers='*,-nodelifecycle'
  spawn scheduler "$kube_home/kube-scheduler" "${with[@]}" --secure-port "$scheduler" --cert-dir "$dir/scheduler"
  local stages=()
  for f in "$kube_home"/stages/*.yaml; do stages+=(--config "$f"); done
  spawn kwok "$kube_home/kwok" --kubeconfig "$dir/kubeconfig" --manage-all-nodes=true "${stages[@]}" \
    --enable-crds Logs --server-address "127.0.0.1:$kwok" --node-ip 127.0.0.1 --node-port "$kwok" \
    --tls-cert-file "$dir/certs/server.pem" --tls-private-key-file "$dir/certs/server.key"
}

# launch_kube_api starts the API server, also again; $dir/ports says where.
# Nobody would take the taint of a new node away: kwok sends no heartbeats, and the controller that waits for them is off.
launch_kube_api() {
  local kube_client kube_api
  eval "$(cat "$dir/ports")"
  spawn apiserver "$kube_home/kube-apiserver" --etcd-servers "http://127.0.0.1:$kube_client" \
    --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$kube_api" \
    --tls-cert-file "$dir/certs/server.pem" --tls-private-key-file "$dir/certs/server.key" --cert-dir "$dir/apiserver" \
    --service-account-key-file "$dir/accounts.key" --service-account-signing-key-file "$dir/accounts.key" \
    --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.96.0.0/16 \
    --disable-admission-plugins TaintNodesByCondition --endpoint-reconciler-type none --authorization-mode RBAC --token-auth-file "$dir/tokens.csv"
}

# kube_curl PATH [OPTION...] asks the API server as its administrator.
kube_curl() {
  local path=$1
  shift
  curl -fsS -m 10 --cacert "$dir/certs/ca.pem" -H "Authorization: Bearer $(cut -d, -f1 "$dir/tokens.csv")" "$@" "$(value KUBE_SERVER)$path"
}

kube_answers() { kube_curl /readyz >/dev/null 2>&1; }

kube_apply() { kube_curl "$1?fieldManager=parts&force=true" -X PATCH -H 'Content-Type: application/apply-patch+yaml' --data-binary "@$2"; }

# fill_kube tells the cluster of Knative's resources and gives it a node.
fill_kube() {
  local f
  for f in "$kube_home"/crds/*.yaml; do
    kube_apply "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/$(sed -n 's/^  name: //p' "$f" | head -1)" "$f" >/dev/null || return
  done
  kube_apply /api/v1/nodes/n1 "$here/kube/node.yaml" >/dev/null || return
  touch "$dir/filled"
}

ready_kube() {
  kube_answers || return
  [[ -e $dir/filled ]] || fill_kube || return
  kube_curl /apis/serving.knative.dev/v1/services >/dev/null &&
    kube_curl /apis/kwok.x-k8s.io/v1alpha1/logs >/dev/null &&
    kube_curl /api/v1/namespaces/default/serviceaccounts/default >/dev/null &&
    kube_curl /api/v1/nodes/n1 | tr -d ' \n' | grep -q '"type":"Ready","status":"True"\|"status":"True",[^}]*"type":"Ready"'
}
