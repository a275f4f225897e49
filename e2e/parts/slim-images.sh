# shellcheck shell=bash
# Stand-ins for the images that generated Dockerfiles of Python and Node begin with, made of this machine's Python, pip,
# Node and npm, so that these Dockerfiles build without a registry. Beside them there is busybox, and nothing else.

slim_python=docker.io/library/python:$SLIM_PYTHON_TAG
slim_node=docker.io/library/node:$SLIM_NODE_TAG

install_slim_images() {
  install_podman
  need busybox=busybox-static python3=python3 pip3=python3-pip node=nodejs npm=npm
  slim_images=slim-images-$(python3 -c 'import platform; print(platform.python_version())')-$(node --version)
  cached "$slim_images" build_slim_images
}

build_slim_images() {
  local root=$1/python lib
  slim_root "$root"
  lib=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
  mkdir -p "$root/usr/local/lib"
  tar -C "$(dirname "$lib")" --exclude={site-packages,dist-packages,__pycache__,test,ensurepip,idlelib,lib2to3,tkinter,turtledemo,'config-*'} -c "$(basename "$lib")" |
    tar -C "$root/usr/local/lib" -x
  cp -rL "$(python3 -c 'import os, pip; print(os.path.dirname(pip.__file__))')" "$root/usr/local/lib/$(basename "$lib")/pip"
  cp -L "$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')" "$root/usr/local/bin/python3"
  ln -s python3 "$root/usr/local/bin/python"
  printf '#!/bin/sh\nexec python3 -m pip "$@"\n' >"$root/usr/local/bin/pip"
  chmod 755 "$root/usr/local/bin/pip"
  # shellcheck disable=SC2046
  slim_libraries "$root" "$root/usr/local/bin/python3" $(find "$root/usr/local/lib" -name '*.so')

  root=$1/node
  slim_root "$root"
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -L "$(command -v node)" "$root/usr/local/bin/node"
  cp -rL "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  slim_libraries "$root" "$root/usr/local/bin/node"

  for root in python node; do
    tar -C "$1/$root" --owner 0 --group 0 -cf "$1/$root.tar" .
    rm -rf "${1:?}/$root"
  done
}

# slim_root FOLDER: a root file system with a shell.
slim_root() {
  local applet
  mkdir -p "$1"/{bin,etc,root,tmp,usr/{bin,local/bin}}
  chmod 1777 "$1/tmp"
  cp "$(command -v busybox)" "$1/bin/busybox"
  for applet in $(busybox --list); do
    [[ $applet == busybox ]] || ln -s busybox "$1/bin/$applet"
  done
  ln -s ../../bin/env "$1/usr/bin/env"
  echo root:x:0:0:root:/root:/bin/sh >"$1/etc/passwd"
  echo root:x:0: >"$1/etc/group"
}

# slim_libraries FOLDER FILE...: copies what the files are linked to.
slim_libraries() {
  local root=$1 library
  shift
  for library in $(ldd "$@" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' | grep -v ':$' | sort -u); do
    case $library in "$root"/*) continue ;; esac
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
}

start_slim_images() {
  with_podman podman import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "$cache/$slim_images/python.tar" "$slim_python" >"$dir/import.log" 2>&1
  with_podman podman import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "$cache/$slim_images/node.tar" "$slim_node" >>"$dir/import.log" 2>&1
  echo "SLIM_IMAGE_FLAGS=--pull=never --isolation chroot --network host" >"$dir/env"
}

ready_slim_images() { with_podman podman image exists "$slim_python" && with_podman podman image exists "$slim_node"; }
