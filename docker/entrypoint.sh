#!/usr/bin/env bash
# First process of every container: Spark's environment as everywhere else, then the command.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
exec "$@"
