# shellcheck shell=bash
# The Docker API of podman, on a socket: a container engine for functions that are images. It comes and goes without its
# containers, which podman has no daemon for.

install_podman_api() { install_podman; }

start_podman_api() {
  local run
  # A socket's name may have some hundred characters, so it cannot lie in $dir.
  run=$(cat "$state/podman/run-folder")
  echo "PODMAN_SOCKET=$run/api.sock" >"$dir/env"
  mapfile -t podman_api_keys <"$state/podman/env"
  # What looks after a container notes in its folder that it ran out of memory.
  spawn podman-api env -C "$dir" "${podman_api_keys[@]}" podman system service --time=0 "unix://$run/api.sock"
}

ready_podman_api() { curl -sf --unix-socket "$(value PODMAN_SOCKET)" http://engine/_ping; }
