# shellcheck shell=bash
# What up, down and the parts share. Sourced, never run.
#
# A part is a file PART.sh with (hyphens of PART as underscores)
#   install_PART   puts what is needed on the machine and into the cache; does nothing the second time
#   start_PART     starts the processes of an empty $dir by spawn, and writes $dir/env
#   ready_PART     true once the part serves; used both for waiting and to judge one that runs already
#   stop_PART      optional, before the processes are stopped
# where $dir is the folder of that part in this instance.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=versions.env
. "$here/versions.env"

state=${SIGNALBOX_PARTS_DIR:-${TMPDIR:-/tmp}/signalbox-parts-$UID}
cache=${SIGNALBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/signalbox}/parts
default_parts=(kafka redis jaeger)

mkdir -p "$state" "$cache"
chmod 700 "$state"
state=$(cd "$state" && pwd)
cache=$(cd "$cache" && pwd)

say() { printf '%s\n' "parts: $*" >&2; }
die() { say "$*"; exit 1; }

# load_part PART: sources its file and sets $part, $dir and $fn.
load_part() {
  part=$1 dir=$state/$1 fn=${1//-/_}
  [[ $part =~ ^[a-z][a-z-]*$ && -f $here/$part.sh && $part != lib ]] ||
    die "there is no part '$part'; there are: $(list_parts)"
  # shellcheck disable=SC1090
  . "$here/$part.sh"
}

list_parts() {
  local f names=()
  for f in "$here"/*.sh; do
    f=$(basename "$f" .sh)
    [[ $f == lib ]] || names+=("$f")
  done
  echo "${names[*]}"
}

# One up, down or kafka-restart at a time for an instance. Started processes must not inherit the lock: see spawn.
lock_instance() {
  exec 9>"$state/.lock"
  flock -w 1800 9 || die "another up or down has held $state/.lock for half an hour"
}

# need COMMAND=PACKAGE...: installs the Debian packages of the commands that are missing.
need() {
  local pair missing=()
  for pair; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  ((${#missing[@]})) || return 0
  if ((UID != 0)) || ! command -v apt-get >/dev/null; then
    die "missing here: ${missing[*]} (names of Debian packages; as root this script installs them itself)"
  fi
  say "installing ${missing[*]}"
  (
    flock 8
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}"
  ) 8>"$cache/.apt.lock" >"$state/apt.log" 2>&1 9>&- || {
    tail -n 20 "$state/apt.log" >&2
    die "could not install ${missing[*]}"
  }
}

# cached NAME BUILDER: prints nothing; leaves $cache/NAME, made by BUILDER in a folder given as $1 that is
# renamed only when BUILDER succeeded. A second process waits for the first.
cached() {
  local name=$1 builder=$2 tmp
  [[ -d $cache/$name ]] && return
  (
    flock 8
    [[ -d $cache/$name ]] && exit
    say "making $name (kept in the cache)"
    tmp=$(mktemp -d "$cache/.$name.XXXXXX")
    trap 'chmod -R u+w "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT
    mkdir "$tmp/out"
    # Not in a condition: there, errexit would be off inside the builder.
    set +e
    (set -e; "$builder" "$tmp/out") >"$tmp/log" 2>&1
    status=$?
    set -e
    if ((status)); then
      tail -n 40 "$tmp/log" >&2
      die "making $name failed"
    fi
    mv "$tmp/out" "$cache/$name"
  ) 8>"$cache/.$name.lock" 9>&-
}

# free_port VAR...: sets each VAR to a loopback port nobody listens on. Ports go round below the range the kernel
# takes client ports from, under one counter for all instances of a cache, so two instances started at once never draw the same.
free_port() {
  # Names of its own: a caller's variable may be called port.
  local free_var free_number
  for free_var; do
    exec 8>>"$cache/.port.lock"
    flock 8
    free_number=$(cat "$cache/.port" 2>/dev/null || echo 11999)
    while :; do
      free_number=$((free_number >= 19999 ? 12000 : free_number + 1))
      listens "$free_number" || break
    done
    echo "$free_number" >"$cache/.port"
    exec 8>&-
    printf -v "$free_var" %s "$free_number"
  done
}

# listens PORT: true when something accepts connections on that loopback port.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# started_at PID: the start time of a process, so that a recycled pid is not taken for ours.
started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra stat <<<"${stat##*) }"
  [[ ${stat[0]} != Z ]] && echo "${stat[19]}"
}

# spawn NAME COMMAND...: runs COMMAND detached, its output in $dir/NAME.log, its pid in $dir/NAME.pid and $pid.
spawn() {
  local name=$1
  shift
  setsid "$@" >>"$dir/$name.log" 2>&1 </dev/null 8>&- 9>&- &
  pid=$!
  echo "$pid $(started_at "$pid")" >"$dir/$name.pid"
}

# alive PIDFILE: true when the process that spawn wrote there still runs.
alive() {
  local pid start
  read -r pid start <"$1" 2>/dev/null && [[ -n $start && $(started_at "$pid") == "$start" ]]
}

all_alive() {
  local f
  for f in "$dir"/*.pid; do
    [[ -e $f ]] || continue
    alive "$f" || { dead=$(basename "$f" .pid); return 1; }
  done
}

# stop_processes [SIGNAL [SECONDS]]: ends every process of the part, with KILL after SECONDS (10), and forgets its pid.
stop_processes() {
  local f pid start signal=${1:-TERM} limit=${2:-10} files=("$dir"/*.pid)
  for f in "${files[@]}"; do
    [[ -e $f ]] || continue
    # A process under SIGSTOP sees TERM only after CONT.
    if alive "$f"; then read -r pid start <"$f"; kill -s "$signal" "$pid" && kill -s CONT "$pid"; fi 2>/dev/null || true
  done
  for f in "${files[@]}"; do
    [[ -e $f ]] || continue
    if ! within "$limit" gone "$f"; then
      read -r pid start <"$f"
      say "$(basename "$f" .pid) did not stop, killing it"
      kill -s KILL "$pid" 2>/dev/null || true
      within 60 gone "$f" || die "process $pid cannot be killed"
    fi
    rm -f "$f"
  done
}

# remove_part: stops the part and forgets all it had.
remove_part() {
  if declare -F "stop_$fn" >/dev/null; then "stop_$fn"; fi
  stop_processes
  rm -rf "$dir"
}

gone() { ! alive "$1"; }

# within SECONDS COMMAND...: polls COMMAND until it is true; false when the time is over.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS <= deadline)) || return 1
    sleep 0.05
  done
}

# await_ready SECONDS: waits until the part of $dir is ready; on a death or a timeout shows its logs and ends.
await_ready() {
  local limit=$1 log
  dead=
  within "$limit" ready_or_dead || dead="ready in $limit seconds"
  [[ -z $dead ]] && return
  for log in "$dir"/*.log; do
    [[ -e $log ]] || continue
    say "--- end of $log"
    tail -n 30 "$log" >&2
  done
  [[ -e $dir/$dead.log ]] && die "$part: the process '$dead' died"
  die "$part: not $dead"
}

ready_or_dead() {
  all_alive || return 0
  "ready_$fn" >/dev/null 2>&1
}

# healthy: what runs already serves. Patient, since a loaded machine is not an unhealthy part.
healthy() {
  [[ -f $dir/env ]] && all_alive && within 30 "ready_$fn" >/dev/null 2>&1
}

# value KEY: from the env file of the part.
value() { sed -n "s/^$1=//p" "$dir/env"; }

# write_env: the lines of all parts in one file, as KEY=value and, for a shell to source, as export KEY='value'.
write_env() {
  local f key val
  for f in "$state"/*/env; do
    [[ ! -e $f ]] || cat "$f"
  done >"$state/.env.new"
  while IFS='=' read -r key val; do
    printf "export %s=%q\n" "$key" "$val"
  done <"$state/.env.new" >"$state/.env.sh.new"
  mv "$state/.env.new" "$state/env"
  mv "$state/.env.sh.new" "$state/env.sh"
}

# make_certs DIR: ca.pem, and a server certificate for localhost and 127.0.0.1 with its PKCS#8 key.
make_certs() {
  mkdir -p "$1"
  cat >"$1/openssl.cnf" <<'CNF'
[req]
distinguished_name = dn
prompt = no
[dn]
CN = signalbox parts
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost,IP:127.0.0.1
CNF
  (
    cd "$1"
    key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    openssl req -config openssl.cnf -x509 -extensions ca "${key[@]}" -days 3650 -keyout ca.key -out ca.pem
    openssl req -config openssl.cnf "${key[@]}" -subj /CN=localhost -keyout server.key -out server.csr
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
      -extfile openssl.cnf -extensions server -out server.pem
    cat server.key server.pem >server-bundle.pem
  ) >"$1/openssl.log" 2>&1 || { cat "$1/openssl.log" >&2; die "could not make certificates"; }
}

secret() { openssl rand -hex 16; }

# unmount_under FOLDER: what an engine mounted there and left.
unmount_under() {
  local mount
  while read -r mount; do umount "$mount" || true; done < <(
    cut -d' ' -f2 /proc/self/mounts | grep -F "$1/" | sort -r)
}
