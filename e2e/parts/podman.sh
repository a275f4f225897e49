# shellcheck shell=bash
# podman with a configuration and a storage of its own, so that nothing of the user's is read or changed.

install_podman() {
  need podman=podman runc=runc conmon=conmon buildah=buildah iptables=iptables slirp4netns=slirp4netns
}

start_podman() {
  local driver
  # podman takes no run folder of more than 50 characters, so it cannot lie in $dir.
  mktemp -d /tmp/signalbox-podman.XXXXXX >"$dir/run-folder"
  # Soft limits equal to hard ones and below what anyone has: podman raises them otherwise, which a root without
  # CAP_SYS_RESOURCE may not, and its Docker API swaps the two. runc and cgroupfs run under hybrid cgroups too.
  cat >"$dir/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$(cat "$dir/run-folder")/tmp"
volume_path = "$dir/volumes"
CONF
  echo 'unqualified-search-registries = ["docker.io"]' >"$dir/registries.conf"
  cat >"$dir/env" <<CONF
CONTAINERS_CONF=$dir/containers.conf
CONTAINERS_STORAGE_CONF=$dir/storage.conf
CONTAINERS_REGISTRIES_CONF=$dir/registries.conf
CONF
  # vfs copies the whole image at each step; overlay is not to be had on every file system.
  for driver in overlay vfs; do
    podman_storage "$driver"
    if with_podman podman info >"$dir/info.log" 2>&1; then return; fi
    say "podman: no $driver storage here"
    rm -rf "$dir/storage"
  done
}

# podman_storage DRIVER [IMAGES]: the storage of the instance, over read-only images of the cache.
podman_storage() {
  cat >"$state/podman/storage.conf" <<CONF
[storage]
driver = "$1"
runroot = "$(cat "$state/podman/run-folder")"
graphroot = "$state/podman/storage"
[storage.options]
additionalimagestores = [${2:+\"$2\"}]
CONF
}

# with_podman COMMAND...: runs it under the configuration of the instance.
with_podman() {
  local keys
  mapfile -t keys <"$state/podman/env"
  env "${keys[@]}" "$@" 8>&- 9>&-
}

ready_podman() { with_podman podman info; }

stop_podman() {
  local run
  if [[ -f $dir/storage.conf ]]; then
    with_podman podman rm --all --force --time 2 >&2 || true
  fi
  unmount_under "$dir"
  if [[ -f $dir/run-folder ]]; then
    run=$(cat "$dir/run-folder")
    unmount_under "$run"
    rm -rf "$run"
  fi
}
