# shellcheck shell=bash
# Debian's Docker engine with storage of its own; one that serves this machine already is used instead, since two would
# fight over the bridge.

install_dockerd() {
  [[ -S /var/run/docker.sock ]] || need dockerd=docker.io iptables=iptables runc=runc
}

start_dockerd() {
  local run
  if curl -sf --unix-socket /var/run/docker.sock http://engine/_ping >/dev/null; then
    echo "DOCKER_SOCKET=/var/run/docker.sock" >"$dir/env"
    return
  fi
  # All engines of a machine share the bridge docker0: the process keeps this lock for as long as it lives.
  exec 7>/tmp/signalbox-dockerd.lock
  flock -n 7 || die "another instance of the parts runs dockerd, and there can be one only: it has /tmp/signalbox-dockerd.lock"
  # A socket's name may have some hundred characters, so it cannot lie in $dir.
  run=$(mktemp -d /tmp/signalbox-dockerd.XXXXXX)
  echo "$run" >"$dir/run-folder"
  echo "DOCKER_SOCKET=$run/docker.sock" >"$dir/env"
  spawn dockerd dockerd -H "unix://$run/docker.sock" --data-root "$dir/data" --exec-root "$run/exec" --pidfile "$run/docker.pid" \
    --bip 172.29.99.1/24 --iptables=false --ip6tables=false --exec-opt native.cgroupdriver=cgroupfs
  exec 7>&-
}

ready_dockerd() { curl -sf --unix-socket "$(value DOCKER_SOCKET)" http://engine/_ping; }

stop_dockerd() {
  stop_processes TERM 20
  if [[ -f $dir/run-folder ]]; then
    unmount_under "$dir"
    unmount_under "$(cat "$dir/run-folder")"
    rm -rf "$(cat "$dir/run-folder")"
  fi
}
