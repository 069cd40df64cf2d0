# What the scripts in this folder share. Source it; it does nothing by itself.
# shellcheck shell=bash disable=SC2034  # what it sets is used by those that source it

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) # of the checkout
readonly root

# Data goes to stdout, everything for the reader's eyes to stderr.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
usage_error() { say "$* (see ${0##*/} --help)"; exit 2; }

# Prints the comment at the top of the running script.
show_help() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"; }

need() { command -v "$1" >/dev/null || die "$1 is not installed: run scripts/install-deps"; }

# The end of a log, set apart from our own messages.
show_log() {
  [[ -s $1 ]] || return 0
  { printf -- '--- the end of %s\n' "$1"; tail -n 30 "$1"; printf -- '---\n'; } >&2
}

# Asks a child process to end, insists after a number of seconds, and returns its exit code.
stop_child() {
  local pid=$1 seconds=$2 code=0 i
  kill -TERM "$pid" 2>/dev/null || true
  for ((i = 0; i < seconds * 10; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || code=$?
  return "$code"
}

# build_esd LOG: the release build of the program. Its output, a wall of text, goes to LOG and is
# wanted only when it fails.
build_esd() {
  say "building esd"
  if ! { cmake --preset release && cmake --build build/release --target esd --parallel "$(nproc)"; } >"$1" 2>&1; then
    show_log "$1"
    die "esd does not build"
  fi
}
