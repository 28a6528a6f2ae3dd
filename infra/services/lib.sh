# shellcheck shell=bash
# What the scripts of this folder share: each is a service that is started as a plain process of this machine,
# on 127.0.0.1, with everything it writes in one folder.
#
#   NAME install                  what is missing comes by the system's package manager or the package index; it says so
#   NAME start DIR PORT [OPTION]  ready when it returns; prints its URL and nothing else; PORT 0 picks a free one
#   NAME stop DIR                 politely, data stays in DIR
#   NAME kill DIR                 SIGKILL, to the whole process group; data stays as the crash left it
#   NAME running DIR              exits with 0 when it is
#   NAME guard DIR                waits until its standard input ends (its owner closed it, or died), then kills and removes DIR
#
# In DIR: `pid` (process and the moment it was born), `port`, `url`, `log`, and for aws-local `env`. Linux only (it reads /proc);
# elsewhere use compose.yaml. A script sets NAME and defines installed, install_it, start_it, ready and perhaps options.
set -euo pipefail
SERVICES_HOME=${WEIR_SERVICES_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/weir-services}

PORT_TAKEN=98 # how a start exits then: EADDRINUSE

say() { printf '%s: %s\n' "$NAME" "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { say "usage: $NAME install | start DIR PORT [OPTION...] | stop DIR | kill DIR | running DIR | guard DIR"; exit 2; }

# --- installing -----------------------------------------------------------------------------------------------------

# The package may not start a server of its own: Debian asks policy-rc.d, and 101 means no.
apt_install() {
  local policy=/usr/sbin/policy-rc.d as=()
  command -v apt-get >/dev/null || die "$* missing: install them with this system's package manager, then run this again"
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "$* missing, and this user may not install them: sudo apt-get install $*"
    as=(sudo -n)
  fi
  say "installing $* by apt-get"
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as[@]}" tee "$policy" >/dev/null
    "${as[@]}" chmod 755 "$policy"
    # shellcheck disable=SC2064 # the values of now
    trap "${as[*]} rm -f $policy" EXIT
  fi
  local get=("${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300)
  { "${get[@]}" install --no-install-recommends "$@" ||
    { "${get[@]}" update && "${get[@]}" install --no-install-recommends "$@"; }; } >&2 || die "apt-get could not install $*"
}

# pip_install FOLDER PACKAGE==VERSION...: a virtual environment of its own. The folder stays when versions change.
pip_install() {
  local venv=$1
  shift
  say "installing $* from the package index"
  rm -f "$venv/complete"
  [ -x "$venv/bin/pip" ] || { rm -rf "$venv"; python3 -m venv "$venv"; } 2>/dev/null || {
    rm -rf "$venv"
    apt_install python3-venv
    python3 -m venv "$venv"
  }
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" >&2 || die "the package index did not give $*"
  echo "$*" >"$venv/complete"
}

pip_complete() { [ "$(cat "$1/complete" 2>/dev/null)" = "${*:2}" ]; }

# One installation at a time on this machine, and none where nothing is missing.
install_once() {
  installed && return 0
  mkdir -p "$SERVICES_HOME"
  exec 9>"$SERVICES_HOME/install.lock"
  flock 9
  installed || install_it
  exec 9>&-
  installed || die "installed, but still not found on PATH: ${PATH}"
}

# --- processes ------------------------------------------------------------------------------------------------------

# A process is known by its id and the tick it was born, so that a reused id is never taken for it. Fails when it is
# gone, or a zombie of one thread: while other threads of it end, its sockets are open.
born() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra stat <<<"${stat##*) }"
  { [ "${stat[0]}" != Z ] || [ "${stat[17]}" -gt 1 ]; } && printf '%s\n' "${stat[19]}"
}

running() {
  local pid tick
  read -r pid tick 2>/dev/null <"$DIR/pid" && [ "$(born "$pid")" = "$tick" ]
}

# The service's processes: its session (it leads one), and whoever descends from these. Others end while we look: that
# is no failure.
family() {
  local pid tick now
  read -r pid tick 2>/dev/null <"$DIR/pid" || return 0
  now=$(born "$pid") && [ "$now" != "$tick" ] && return 0
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed -E 's/^([0-9]+) \(.*\) /\1 /' | awk -v root="$pid" '
    { parent[$1] = $3; if (($1 == root || $5 == root) && ($2 != "Z" || $19 > 1)) member[$1] = 1 }
    END {
      do { grew = 0; for (p in parent) if (!(p in member) && parent[p] in member) { member[p] = 1; grew = 1 } } while (grew)
      for (p in member) print p
    }'
}

# True when PORT is a listening socket of this service: another server on that port is not ours being ready.
listens() {
  local inodes pid
  inodes=$(awk -v port="$(printf '%04X' "$PORT")" '$4 == "0A" && $2 ~ ":" port "$" { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  [ -n "$inodes" ] || return 1
  for pid in $(family); do
    find "/proc/$pid/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | tr -dc '0-9\n' | grep -qxF "$inodes" && return 0
  done
  return 1
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

fail_with_log() {
  say "$1; the end of $DIR/log:"
  tail -n 30 "$DIR/log" >&2 || true
  ! taken "$PORT" || exit "$PORT_TAKEN"
  exit 1
}

# launch URL SECONDS COMMAND...: in the background, in a session of its own; returns when `ready`, and prints the URL.
launch() {
  local url=$1 limit=$2 deadline pid
  shift 2
  deadline=$((SECONDS + limit))
  setsid "$@" </dev/null >>"$DIR/log" 2>&1 &
  pid=$!
  if ! echo "$pid $(born "$pid")" >"$DIR/pid"; then # the guard took the folder away
    kill -KILL -- "-$pid" 2>/dev/null || true
    die "$DIR is gone"
  fi
  until listens && ready 2>/dev/null; do
    running || { forget; fail_with_log "ended before it was ready"; }
    [ "$SECONDS" -lt "$deadline" ] || { kill_it; fail_with_log "not ready in $limit s"; }
    sleep 0.05
  done
  echo "$url" | tee "$DIR/url"
}

forget() { rm -f "$DIR/pid" "$DIR/url"; }

stop_it() {
  local pid tick deadline=$((SECONDS + 30))
  if running; then
    read -r pid tick <"$DIR/pid"
    kill -TERM "$pid" 2>/dev/null || true
    while running && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.05; done
  fi
  kill_it
}

kill_it() {
  local pids deadline=$((SECONDS + 10))
  while pids=$(family) && [ -n "$pids" ]; do
    # shellcheck disable=SC2086 # a list
    kill -KILL $pids 2>/dev/null || true
    [ "$SECONDS" -lt "$deadline" ] || die "processes in $DIR do not end: $pids"
    sleep 0.02
  done
  forget
}

guard_it() {
  cat >/dev/null
  mv "$DIR" "$DIR.gone" # so that a start under way finds no folder, and ends what it has launched
  DIR=$DIR.gone
  kill_it
  rm -rf "$DIR"
}

# --- commands -------------------------------------------------------------------------------------------------------

# enter DIR: absolute, since servers change their folder.
enter() {
  mkdir -p "$1"
  DIR=$(cd "$1" && pwd -P)
}

start_in() {
  PORT=$2
  if ! [[ $PORT =~ ^[0-9]{1,5}$ ]] || [ "$PORT" -gt 65535 ]; then die "PORT must be 0 to 65535, not '$PORT'"; fi
  enter "$1"
  ! running || die "already running in $DIR, on port $(cat "$DIR/port"): stop it first, or give another folder"
  installed || die "not installed: run '$0 install' first"
  if [ "$PORT" = 0 ]; then
    PORT=$((20000 + RANDOM % 10000))
    while taken "$PORT"; do PORT=$((20000 + RANDOM % 10000)); done
  elif taken "$PORT"; then
    say "port $PORT on 127.0.0.1 is taken"
    exit "$PORT_TAKEN"
  fi
  echo "$PORT" >"$DIR/port"
  start_it "${@:3}"
}

main() {
  local command=${1:-}
  case $command in
    install) [ $# = 1 ] || usage; install_once ;;
    start) [ $# -ge 3 ] || usage; start_in "${@:2}" ;;
    stop | kill | guard)
      [ $# = 2 ] || usage
      [ -d "$2" ] || die "no such folder: $2"
      enter "$2"
      "${command}_it"
      ;;
    running)
      [ $# = 2 ] || usage
      [ -d "$2" ] || exit 1
      enter "$2"
      running
      ;;
    *) usage ;;
  esac
}
