"""How the JVM of a test's own Spark session compiles."""

from typing import Final

QUICK: Final = (
    "spark.driver.extraJavaOptions",
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m",
)
"""As scripts/env.sh does: small jobs are over before the second compiler pays."""
