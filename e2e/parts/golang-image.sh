# shellcheck shell=bash
# A stand-in for the golang builder image, made of this machine's Go, so that a Dockerfile with FROM golang AS build
# and FROM scratch builds without a registry. It has a shell and busybox, no C compiler and no git.

golang_image=docker.io/library/golang:$GOLANG_IMAGE_TAG

install_golang_image() {
  command -v go >/dev/null || die "golang-image is made of the Go on PATH, and there is none"
  [[ $(go env GOVERSION) == go"$GOLANG_IMAGE_TAG"* ]] ||
    die "golang-image stands in for Go $GOLANG_IMAGE_TAG, but $(go env GOVERSION) is on PATH"
  install_podman
  need busybox=busybox-static
  [[ -f /etc/ssl/certs/ca-certificates.crt ]] || need update-ca-certificates=ca-certificates
  golang_image_driver=$(sed -n 's/^driver = "\(.*\)"/\1/p' "$state/podman/storage.conf")
  golang_image_store=golang-image-$(go env GOVERSION)-$golang_image_driver
  cached "$golang_image_store" build_golang_image
}

build_golang_image() {
  local root=$1/root run applet
  mkdir -p "$root"/{bin,etc/ssl/certs,go/{bin,pkg,src},root,tmp,usr/{bin,local}}
  chmod 1777 "$root/tmp"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for applet in $(busybox --list); do
    [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
  done
  ln -s ../../bin/env "$root/usr/bin/env"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
  echo root:x:0: >"$root/etc/group"
  cp -rL "$(go env GOROOT)" "$root/usr/local/go"
  run=$(mktemp -d /tmp/signalbox-podman.XXXXXX)
  tar -C "$root" --owner 0 --group 0 -c . |
    with_podman podman --root "$1/store" --runroot "$run" --storage-driver "$golang_image_driver" import \
      -c 'ENV PATH=/go/bin:/usr/local/go/bin:/usr/bin:/bin' -c 'ENV GOPATH=/go' -c 'ENV GOTOOLCHAIN=local' \
      -c 'WORKDIR /go' - "$golang_image"
  # What podman leaves mounted would keep the folder from being moved.
  unmount_under "$1"
  unmount_under "$run"
  rm -rf "$root" "$run"
}

start_golang_image() {
  podman_storage "$golang_image_driver" "$cache/$golang_image_store/store"
  mkdir -p "$(go env GOMODCACHE)" "$(go env GOCACHE)"
  cat >"$dir/env" <<CONF
GOLANG_IMAGE=$golang_image
GOLANG_IMAGE_FLAGS=--pull=never --isolation chroot --network host -v $(go env GOMODCACHE):/go/pkg/mod -v $(go env GOCACHE):/root/.cache/go-build
CONF
}

ready_golang_image() { with_podman podman image exists "$golang_image"; }
