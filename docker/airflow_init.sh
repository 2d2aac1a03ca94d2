#!/usr/bin/env bash
# Brings Airflow's database up to date and writes the users' passwords. Safe to repeat: a password
# that was changed in .env is taken over.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
.venv/airflow/bin/airflow db migrate
umask 077
.venv/airflow/bin/python - <<'PYTHON'
import json
import os
from pathlib import Path

passwords = {user: os.environ[f"{user.upper()}_PASSWORD"] for user in ("admin", "demo", "viewer")}
file = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
scratch = file.with_suffix(".new")
scratch.write_text(json.dumps(passwords))
scratch.replace(file)
PYTHON
