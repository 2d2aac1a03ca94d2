#!/usr/bin/env bash
# Removes what the project made: its workspace and the caches, naming each. A workspace elsewhere
# (DARKROOM_WORKSPACE) is somebody's own choice and stays.
set -euo pipefail
cd "$(dirname "$0")/.."

remove() {
  local path
  for path in "$@"; do
    [[ -e "$path" ]] || continue
    echo "Removing $path"
    rm -rf -- "$path"
  done
}

remove workspace .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache \
  derby.log metastore_db mlruns spark-warehouse
find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
if [[ -n "${DARKROOM_WORKSPACE:-}" && -e "$DARKROOM_WORKSPACE" ]]; then
  echo "Keeping DARKROOM_WORKSPACE=$DARKROOM_WORKSPACE, which is not the default one"
fi
