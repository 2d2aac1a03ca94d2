# shellcheck shell=bash
# The environment of every Darkroom process on this machine. Source it with bash: . scripts/env.sh
# A variable that is already set is kept where a person may want another value.

DARKROOM_HOME="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export DARKROOM_HOME
export DARKROOM_WORKSPACE="${DARKROOM_WORKSPACE:-$DARKROOM_HOME/workspace}"

# Spark: the one in .venv/spark and no other, for the driver and for its Python workers.
_spark_homes=("$DARKROOM_HOME"/.venv/spark/lib/python3.*/site-packages/pyspark)
export SPARK_HOME="${_spark_homes[0]}"
export PYSPARK_PYTHON="$DARKROOM_HOME/.venv/spark/bin/python"
export PYSPARK_DRIVER_PYTHON="$PYSPARK_PYTHON"
# Only Spark's own commands (spark-submit, beeline, ...): `python` stays what it was.
case ":$PATH:" in
  *":$SPARK_HOME/bin:"*) ;;
  *) export PATH="$SPARK_HOME/bin:$PATH" ;;
esac

if [[ -z "${DARKROOM_SPARK_DEFAULTS:-}" ]]; then
  export DARKROOM_SPARK_DEFAULTS="$DARKROOM_HOME/config/spark/spark-defaults.conf"
  export SPARK_LOCAL_IP="${SPARK_LOCAL_IP:-127.0.0.1}"
fi

# Prints the options of the driver's JVM, one space before each.
_driver_jvm_options() {
  local archive="$DARKROOM_HOME/.venv/spark/jvm/driver.jsa"
  # Start-up is most of a short stage's time, so the JVM compiles for a quick start. That mode alone
  # comes with 48 MB for compiled code, which long stages fill: the JVM then stops compiling.
  printf ' -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m'
  if [[ -f "$archive" ]]; then
    # An archive that does not fit is ignored by the JVM, here without a word.
    printf ' -Xshare:auto -XX:SharedArchiveFile="%s" -Xlog:cds*=off' "$archive"
  fi
  printf ' -Dlog4j2.configurationFile="%s"' "$DARKROOM_HOME/config/spark/log4j2.properties"
  # Hive's tables, of which Darkroom has none, would make a folder wherever one stands.
  printf ' -Dspark.sql.warehouse.dir="%s"' "$DARKROOM_WORKSPACE/spark-warehouse"
  # The defaults go in as -D options because a Spark configuration folder would come first on the
  # class path, and the JVM refuses an archive as soon as a folder with files in it stands there.
  awk '!/^[[:space:]]*(#|$)/ { key = $1; $1 = ""; sub(/^ +/, ""); printf " -D%s=\"%s\"", key, $0 }' \
    "$DARKROOM_SPARK_DEFAULTS"
}

# SPARK_SUBMIT_OPTS reaches the driver's JVM alone: no Python worker, no remote executor. A
# long-lived driver wants the full compiler: --driver-java-options -XX:TieredStopAtLevel=4
export SPARK_SUBMIT_OPTS="${SPARK_SUBMIT_OPTS:-$(_driver_jvm_options)}"
# The heap is fixed before the JVM reads any -D option.
export SPARK_DRIVER_MEMORY="${SPARK_DRIVER_MEMORY:-$(
  awk '$1 == "spark.driver.memory" { print $2 }' "$DARKROOM_SPARK_DEFAULTS"
)}"
export SPARK_LAUNCHER_OPTS="${SPARK_LAUNCHER_OPTS:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
unset _spark_homes
