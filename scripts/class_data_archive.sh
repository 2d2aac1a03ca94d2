#!/usr/bin/env bash
# Makes .venv/spark/jvm/driver.jsa: the JVM classes of a Spark driver, ready to be mapped into
# memory, with which spark-submit needs about a third of the processor time to start. Made once for
# each Java and Spark. A driver works without it, so a failure is a note and not an error.
#   --check   make nothing; exit 0 if the archive is there and up to date
set -euo pipefail
cd "$(dirname "$0")/.."
# Made with the project's own settings whatever the caller's are.
unset SPARK_SUBMIT_OPTS SPARK_CONF_DIR DARKROOM_SPARK_DEFAULTS
folder=.venv/spark/jvm

# What the archive depends on, and its size: a JVM checks the rest, but crashes on a cut-off one.
key() {
  {
    "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version
    ls -ld "$PWD"/.venv/spark/lib/python3.*/site-packages/pyspark/jars/*
    cat scripts/class_data_job.py scripts/class_data_archive.sh
    stat -c %s "$folder/driver.jsa"
  } 2>&1 | sha256sum || true
}

[[ "$(cat "$folder/driver.key" 2>/dev/null)" == "$(key)" ]] && exit 0
[[ "${1:-}" == --check ]] && exit 1

rm -rf "$folder"
mkdir -p "$folder"
. scripts/env.sh
SPARK_SUBMIT_OPTS+=" -XX:ArchiveClassesAtExit=\"$PWD/$folder/new.jsa\" -Xlog:cds*=off"
if ! spark-submit scripts/class_data_job.py; then
  echo "note: Spark's first job failed (.venv/jvm.log); the next set-up tries again"
  exit 0
fi
if [[ -f "$folder/new.jsa" ]]; then
  mv "$folder/new.jsa" "$folder/driver.jsa"
else
  echo "note: this Java makes no class-data archive; each Spark job starts some 5 s later"
fi
# Last: a run that was cut short has no key and is done again.
key >"$folder/new.key"
mv "$folder/new.key" "$folder/driver.key"
