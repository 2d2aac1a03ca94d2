#!/usr/bin/env bash
# Writes requirements/*.txt from requirements/*.in: every package and version with its hashes, for
# all supported Pythons. Nothing outside requirements/ is read, and no index is named in the result.
#   scripts/lock.sh             only what the .in files now ask for differently
#   scripts/lock.sh --upgrade   the newest versions that fit (`make lock`)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
find_python
[[ -x .venv/uv/bin/uv || -n "${UV:-}" ]] || scripts/setup.sh
uv="$(realpath "${UV:-.venv/uv/bin/uv}")"

cd requirements
for name in uv build airflow spark; do
  "$uv" pip compile "$name.in" --output-file "$name.txt" --no-config --quiet \
    --universal --python-version "3.$OLDEST_PYTHON" --generate-hashes \
    --no-header --no-annotate --no-emit-index-url "$@"
  if grep -nE '://|--(extra-)?index|--find-links' "$name.txt"; then
    fail "requirements/$name.txt names an index (above): lock from packages with a name and a version"
  fi
  echo "requirements/$name.txt: $(grep -c '^[a-z0-9]' "$name.txt") packages"
done
