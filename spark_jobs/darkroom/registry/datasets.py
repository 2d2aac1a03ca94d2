"""Snapshots of tables as MLflow's datasets: what a run has read, without a copy of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import get_registered_sources, register_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag
from mlflow.types import DataType, Schema
from mlflow.types.schema import Array, ColSpec, Map
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from darkroom.contract import MissingInputError, Workspace
from darkroom.lake import Lake
from darkroom.lake import schema as kinds
from darkroom.registry.tracking import Snapshot

if TYPE_CHECKING:
    from pyiceberg.table import DataScan

WORKSPACE: Final = "DARKROOM_WORKSPACE"


@dataclass(frozen=True)
class IcebergSource(DatasetSource):
    """A snapshot of an Iceberg table in Darkroom's catalog.

    Attributes:
        table: Namespace and name, for example ``traffic_signs.images``.
        snapshot_id: The snapshot.
    """

    table: str
    snapshot_id: int

    @staticmethod
    def _get_source_type() -> str:
        return "iceberg"

    def load(self) -> DataScan:
        """Opens the snapshot; the workspace is that of ``DARKROOM_WORKSPACE``.

        Returns:
            PyIceberg's scan of it, which reads nothing before ``to_arrow()`` or the like.

        Raises:
            MissingInputError: The workspace has no such snapshot, or has it no longer.
        """
        place = Workspace(Path(os.environ.get(WORKSPACE, "workspace")))
        namespace, _, name = self.table.partition(".")
        found = Lake(place).find(namespace, name)
        if found is None or found.snapshot_by_id(self.snapshot_id) is None:
            raise MissingInputError(
                f"{place.root} has no snapshot {self.snapshot_id} of {self.table}: it has expired, "
                f"or {WORKSPACE} names another workspace"
            )
        return found.scan(snapshot_id=self.snapshot_id)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> IcebergSource:
        raise NotImplementedError("a snapshot is named by its table and its id")

    def to_dict(self) -> dict[str, Any]:
        """What MLflow keeps."""
        return {"table": self.table, "snapshot_id": self.snapshot_id}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> IcebergSource:
        """Reads what `to_dict` made."""
        return cls(str(source_dict["table"]), int(source_dict["snapshot_id"]))


class _Described(MetaDataset):
    """A dataset of which name, place and columns are kept, and nothing of its rows."""

    @property
    def profile(self) -> None:
        """None: nothing is counted."""


def dataset_input(snapshot: Snapshot, context: str) -> DatasetInput:
    """A snapshot in the form that an MLflow run takes.

    Args:
        snapshot: What was read.
        context: What for, for example ``training``.
    """
    _, _, table = snapshot.table.partition(".")
    dataset = _Described(
        IcebergSource(snapshot.table, snapshot.snapshot_id),
        name=snapshot.table,
        digest=str(snapshot.snapshot_id),
        schema=_schema(table),
    )
    tags = [InputTag(MLFLOW_DATASET_CONTEXT, context)]
    return DatasetInput(dataset._to_mlflow_entity(), tags)


def know_source() -> None:
    """Has ``mlflow.data.get_source`` answer with an `IcebergSource`; once is enough."""
    # MLflow keeps classes here, and says that they are instances.
    known: list[Any] = list(get_registered_sources())
    if IcebergSource not in known:
        register_dataset_source(cast(Any, IcebergSource))


def _schema(table: str) -> Schema:
    types: dict[str, Any] = {
        kinds.STRING: DataType.string,
        kinds.LONG: DataType.long,
        kinds.INT: DataType.integer,
        kinds.DOUBLE: DataType.double,
        kinds.BINARY: DataType.binary,
        kinds.BOOLEAN: DataType.boolean,
        kinds.TIMESTAMP: DataType.datetime,
        kinds.FLOATS: Array(DataType.float),
        kinds.STRINGS: Array(DataType.string),
        kinds.TEXTS: Map(DataType.string),
    }
    columns = kinds.TABLES[table].items()
    return Schema([ColSpec(types[kind], name, required=False) for name, kind in columns])
