"""``python -m benchmarks [--only NAME]``: measures, prints a table, writes results.json."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from benchmarks import (
    chain,
    embedded_features,
    featurize,
    fine_tuning,
    gateway,
    ingest,
    ingest_memory,
    packaged,
    results,
    spark_start,
    sql,
    tuning,
    validate,
)
from benchmarks.results import Row
from demo.generate import generate
from demo.parameters import DemoParameters


def _embedded_features() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        signs = Path(folder) / "signs"
        generate(signs, DemoParameters())
        yield from embedded_features.measure(signs)


BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    "spark_submit_start": spark_start.measure,
    "chain_overhead": chain.measure,
    "embedded_features": _embedded_features,
    "featurize": featurize.measure,
    "cv_vs_pyspark": tuning.measure_cv,
    "heads": tuning.measure_heads,
    "fine_tune_vs_frozen": fine_tuning.measure,
    "ingest": ingest.measure,
    "sql": sql.measure,
    "gateway": gateway.measure,
    "packaged_vs_eager": packaged.measure,
    "ingest_driver": ingest_memory.measure,
    "validate_vs_ingest": validate.measure,
}
"""A benchmark's name is the family of its rows (chain_overhead brings ``demo`` as well)."""


@click.command()
@click.option("--only", type=click.Choice(list(BENCHMARKS)), help="Run one benchmark.")
def main(only: str | None) -> None:
    """Measures and writes benchmarks/results.json; rows that are not measured stay as they are."""
    rows = []
    for name in [only] if only else BENCHMARKS:
        click.echo(f"measuring {name} ...", err=True)
        for row in BENCHMARKS[name]():
            rows.append(replace(row, machine=results.machine(), commit=results.commit()))
    results.merge(rows)
    click.echo(results.table(rows))


if __name__ == "__main__":
    main()
