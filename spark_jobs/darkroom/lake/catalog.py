"""Opens the catalog and makes tables, safely while other processes do the same."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tenacity import retry, retry_if_exception, stop_after_delay, wait_random_exponential

from darkroom.contract import Workspace
from darkroom.contract import columns as c
from darkroom.lake.schema import column_names, iceberg_schema

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

CATALOG_NAME = "darkroom"

# Files of pictures come without statistics of some columns, on purpose; each would be a warning.
logging.getLogger("pyiceberg.io.pyarrow").addFilter(
    lambda record: not record.getMessage().startswith("PyArrow statistics missing")
)

SQLITE_TIMEOUT_SECONDS = 60
"""How long a process waits while another one holds SQLite's write lock."""

TABLE_PROPERTIES = {
    # PyIceberg itself refreshes the table and commits again when another writer was faster.
    "commit.retry.num-retries": "20",
    "commit.retry.max-wait-ms": "2000",
    # Every run appends one file per table: without merging, planning opens ever more manifests.
    "commit.manifest-merge.enabled": "true",
    # Every commit writes the table's description anew; the hundred before it are enough.
    "write.metadata.delete-after-commit.enabled": "true",
    # Smallest and largest values of encoded pictures help no query.
    f"write.metadata.metrics.column.{c.IMAGE}": "none",
}


def _lost_a_race(error: BaseException) -> bool:
    """True for what SQL says when two processes create the same thing at once."""
    from sqlalchemy.exc import IntegrityError, OperationalError

    return isinstance(error, IntegrityError | OperationalError)


_again_after_a_race = retry(
    retry=retry_if_exception(_lost_a_race),
    wait=wait_random_exponential(multiplier=0.05, max=1),
    stop=stop_after_delay(10),
    reraise=True,
)


@_again_after_a_race
def open_catalog(workspace: Workspace) -> Catalog:
    """Opens the workspace's catalog, made on first use.

    The URI's scheme chooses the kind: SQLite and PostgreSQL, REST, or Hive.
    """
    from pyiceberg.catalog import load_catalog

    workspace.warehouse.mkdir(parents=True, exist_ok=True)
    properties: dict[str, Any] = {
        "uri": _patient(workspace.catalog_uri),
        # Neither Hadoop's paths nor PyIceberg's undo percent-encoding, so none is applied.
        "warehouse": f"file://{workspace.warehouse}",
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
    }
    return load_catalog(CATALOG_NAME, **properties)


@_again_after_a_race
def ensure_table(catalog: Catalog, namespace: str, table: str) -> Table:
    """Loads a table, made on first use; one of an earlier version gets the columns it lacks."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return _completed(catalog.load_table((namespace, table)), table)
    except NoSuchTableError:
        catalog.create_namespace_if_not_exists(namespace)
        return catalog.create_table_if_not_exists(
            (namespace, table), iceberg_schema(table), properties=TABLE_PROPERTIES
        )


def _completed(found: Table, table: str) -> Table:
    if set(found.schema().column_names).issuperset(column_names(table)):
        return found
    with found.update_schema() as update:
        update.union_by_name(iceberg_schema(table))
    return found


def _patient(uri: str) -> str:
    if not uri.startswith("sqlite") or "timeout=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}timeout={SQLITE_TIMEOUT_SECONDS}"
