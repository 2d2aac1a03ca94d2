#!/usr/bin/env bash
# Builds .venv/airflow and .venv/spark from their locks, and what makes Spark start faster.
# Safe to run at any time, by several at once: it does what is missing and says what it does.
#   --environments               leave what makes Spark start faster to a later set-up
#   PYTHON=/path/to/python3.12   build with this Python
#   UV=/path/to/uv               use this uv instead of one of its own in .venv/uv
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh

# Part of every stamp: raise it when the way an environment is built changes.
SETUP_VERSION=1
WHAT="${1:-all}"
# Byte code is compiled once here; without, every import of TensorFlow takes 20 s.
unset PYTHONDONTWRITEBYTECODE

main() {
  local started="$EPOCHREALTIME"
  mkdir -p .venv
  exec 9>.venv/setup.lock
  flock -n 9 || { echo "Set-up: another one is running; waiting for it" && flock 9; }

  check_java
  is_ready airflow && is_ready spark && ! lacks_archive && return

  find_python
  echo "Set-up with Python $(python_version "$PYTHON"); done once, later commands skip it"
  if [[ -z "${UV:-}" ]]; then
    is_ready uv || step uv "the installer" build_uv
    UV=.venv/uv/bin/uv
  fi
  build_both
  echo "Set-up done in $(seconds_since "$started")"
}

# The two environments share nothing: one downloads while the other builds and compiles.
build_both() {
  local spark airflow failed=0
  set -m # a process group each, so that an interrupt ends all that they started
  build_spark </dev/null & spark=$!
  build_airflow </dev/null & airflow=$!
  trap 'kill -- -$spark -$airflow 2>/dev/null; exit 130' INT TERM
  wait "$spark" || failed=1
  wait "$airflow" || failed=1
  ((failed == 0)) || exit 1
}

build_spark() {
  is_ready spark || step spark "$(packages spark)" build_environment spark
  if lacks_archive; then
    step jvm "class data, for quick Spark starts" scripts/class_data_archive.sh
  fi
}

build_airflow() {
  is_ready airflow || step airflow "$(packages airflow)" build_environment airflow
}

build_uv() {
  rm -rf .venv/uv
  "$PYTHON" -m venv .venv/uv &&
    .venv/uv/bin/python -m pip install --require-hashes --no-deps -r requirements/uv.txt &&
    write_stamp uv
}

build_environment() {
  local folder=".venv/$1"
  # A finished environment of an older lock is brought up to date; any other is made anew.
  if is_updatable "$1"; then
    rm "$folder/.stamp"
  else
    rm -rf "$folder" && "$UV" venv --no-config --python "$PYTHON" "$folder" || return
  fi
  "$UV" pip sync --no-config --python "$folder/bin/python" --require-hashes --compile-bytecode \
    --link-mode "$(link_mode)" --build-constraints requirements/build.txt "requirements/$1.txt" &&
    write_stamp "$1"
}

# Hard links are quicker than copies, but only work within one file system.
link_mode() {
  local cache
  cache="$("$UV" cache dir)"
  mkdir -p "$cache"
  [[ "$(stat -c %d "$cache")" == "$(stat -c %d .venv)" ]] && echo hardlink || echo copy
}

# What .venv/NAME must have been built from: the lock's digest, then all that a newer lock leaves
# as it is. The folder's own path counts, for an environment cannot be moved.
wanted_stamp() {
  local lock
  lock="$(sha256sum <"requirements/$1.txt")"
  echo "${lock%% *} python $(own_version "$1") set-up $SETUP_VERSION $PWD"
}

own_version() { python_version ".venv/$1/bin/python"; }

stamp() { cat ".venv/$1/.stamp" 2>/dev/null || true; }

# Its Python starts, and is the one that was asked for, if one was.
has_right_python() {
  local own
  own="$(own_version "$1")"
  [[ -n "$own" && (-z "${PYTHON:-}" || "$own" == "$(python_version "$PYTHON")") ]]
}

is_ready() { has_right_python "$1" && [[ "$(stamp "$1")" == "$(wanted_stamp "$1")" ]]; }

is_updatable() {
  local old new
  old="$(stamp "$1")"
  new="$(wanted_stamp "$1")"
  has_right_python "$1" && [[ "${old#* }" == "${new#* }" ]]
}

# Always the last act: an environment whose making was cut short has no stamp.
write_stamp() { wanted_stamp "$1" >".venv/$1/.stamp"; }

# It is not there, and is this set-up's business.
lacks_archive() {
  [[ "$WHAT" != --environments ]] && ! scripts/class_data_archive.sh --check
}

packages() { echo "$(grep -c '^[a-z0-9]' "requirements/$1.txt") packages"; }

seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.0f s", to - from }'; }

# step NAME WHAT COMMAND...: runs the command, its output in .venv/NAME.log, and says how long it took.
step() {
  local name="$1" what="$2" started="$EPOCHREALTIME"
  shift 2
  echo "  $name: $what ..."
  if ! "$@" >".venv/$name.log" 2>&1; then
    tail -n 15 ".venv/$name.log" >&2
    fail "set-up failed at $name, $what: the whole output is in .venv/$name.log"
  fi
  grep '^note: ' ".venv/$name.log" || true
  echo "  $name: done in $(seconds_since "$started")"
}

main
