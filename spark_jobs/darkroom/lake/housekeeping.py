"""What keeps a pipeline's tables tidy: forgetting pictures, expiring snapshots, clearing away."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from darkroom.contract import ConfigError, Workspace
from darkroom.contract import columns as c
from darkroom.contract.names import SHA256
from darkroom.lake import history
from darkroom.lake.commits import RUN
from darkroom.lake.history import Expired, OldSnapshot
from darkroom.lake.lake import Lake
from darkroom.lake.schema import TABLES

FORGET: Final = "forget"
"""What the snapshots of a forgetting name as their stage."""

_PICTURES: Final = tuple(
    table for table, names in TABLES.items() if c.IMAGE_ID in names and table != c.FORGOTTEN
)


@dataclass(frozen=True)
class Forgotten:
    """What a forgetting has done, and what is left to do.

    Attributes:
        rows: Number of rows removed per table, for those that had some.
        holders: Old snapshots that still hold the pictures, of all tables.
    """

    rows: Mapping[str, int]
    holders: tuple[OldSnapshot, ...]


def forget(
    lake: Lake, pipeline: str, image_ids: Sequence[str], *, who: str, run_id: str
) -> Forgotten:
    """Removes pictures, and all that was made of them, from every current table.

    Their digests are kept, so that no ingestion brings them back. Run again after a crash it
    completes what is missing.

    Args:
        lake: The tables.
        pipeline: The pipeline's name.
        image_ids: SHA-256 of the pictures' files.
        who: Who asks for it; kept.
        run_id: Kept in the snapshots.

    Returns:
        What was removed, and which old snapshots hold it still.

    Raises:
        ConfigError: There is no such pipeline, or no table knows one of the pictures.
    """
    check_pipeline(lake, pipeline)
    ids = sorted({_checked(image_id) for image_id in image_ids})
    known = {row[c.IMAGE_ID] for row in lake.rows(pipeline, c.FORGOTTEN)}
    for image_id in ids:
        if image_id not in known and not _is_known(lake, pipeline, image_id):
            remedy = f"no table of {pipeline} holds it: see the column image_id of its view"
            raise ConfigError("--image-id", image_id, remedy)
    # First of all: whoever ingests meanwhile must not bring back what is removed below.
    now = dt.datetime.now(dt.UTC)
    rows = [{c.IMAGE_ID: one, c.WHO: who, c.WHEN: now} for one in ids if one not in known]
    lake.append_rows(rows, pipeline, c.FORGOTTEN, run_id=run_id, stage=FORGET)
    removed = remove(lake, pipeline, ids, run_id)
    return Forgotten(removed, _holders(lake, pipeline, ids))


def remove(lake: Lake, pipeline: str, image_ids: Collection[str], run_id: str) -> dict[str, int]:
    """Removes pictures from every current table, but for the one of what is forgotten.

    Args:
        lake: The tables.
        pipeline: The pipeline's name.
        image_ids: SHA-256 of the pictures' files.
        run_id: Kept in the snapshots.

    Returns:
        Number of rows removed per table, for those that had some.
    """
    removed = {table: _remove(lake, pipeline, table, image_ids, run_id) for table in _PICTURES}
    return {table: count for table, count in removed.items() if count}


def expire(
    lake: Lake,
    pipeline: str,
    *,
    before: dt.datetime | None = None,
    image_ids: Sequence[str] = (),
    tagged: bool = False,
) -> tuple[Expired, ...]:
    """Removes old snapshots for good, with the files that no other one names.

    The current snapshot of a table never expires.

    Args:
        lake: The tables.
        pipeline: The pipeline's name.
        before: Snapshots that were replaced before then go, for whoever works with what is
            current may do so for a while after; None for those of any age.
        image_ids: If given, only snapshots that hold one of these pictures go.
        tagged: Whether snapshots go that a tag names, for example as what a model was trained on.

    Returns:
        What was removed, for every table that had something to remove or to protect.

    Raises:
        ConfigError: There is no such pipeline.
    """
    check_pipeline(lake, pipeline)
    ids = [_checked(image_id) for image_id in image_ids]
    done = []
    for table in TABLES if not ids else _PICTURES:
        found = lake.find(pipeline, table)
        if found is None:
            continue
        chosen = history.old_snapshots(found)
        if ids:
            chosen = _holders_in(lake, pipeline, table, ids)
        if before is not None:
            chosen = [snapshot for snapshot in chosen if snapshot.replaced_at < before]
        if chosen:
            done.append(history.expire(found, chosen, tagged=tagged))
    return tuple(done)


def vacuum(
    lake: Lake, workspace: Workspace, pipeline: str, older_than: dt.timedelta
) -> dict[str, int]:
    """Deletes what dead writers left behind.

    Args:
        lake: The tables.
        workspace: Whose scratch folder is cleared as well.
        pipeline: The pipeline's name.
        older_than: Spares what changed within this time, for its writer may be at work.

    Returns:
        Number of files and folders deleted per table, and below ``scratch``.

    Raises:
        ConfigError: There is no such pipeline.
    """
    check_pipeline(lake, pipeline)
    cleared = {table: lake.vacuum(pipeline, table, older_than) for table in TABLES}
    cleared["scratch"] = _clear(workspace.scratch / pipeline, older_than)
    return {place: count for place, count in cleared.items() if count}


def check_pipeline(lake: Lake, pipeline: str) -> None:
    """Refuses a pipeline that has no tables.

    Raises:
        ConfigError: There is none of that name.
    """
    known = lake.namespaces()
    if pipeline not in known:
        there = ", ".join(known) or "none yet"
        remedy = f"no such pipeline has tables here, there are: {there}"
        raise ConfigError("--pipeline", pipeline, remedy)


def _checked(image_id: str) -> str:
    if not SHA256.fullmatch(image_id):
        remedy = "give 64 hexadecimal digits, as in the column image_id of the pipeline's view"
        raise ConfigError("--image-id", image_id, remedy)
    return image_id.lower()


def _is_known(lake: Lake, pipeline: str, image_id: str) -> bool:
    for table in _PICTURES:
        found = lake.find(pipeline, table)
        if found and history.is_current(found, c.IMAGE_ID, [image_id]):
            return True
        if _holders_in(lake, pipeline, table, [image_id]):
            return True
    return False


def _lost_a_race(error: BaseException) -> bool:
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    return isinstance(error, CommitFailedException | ValidationException)


@retry(
    retry=retry_if_exception(_lost_a_race),
    wait=wait_random_exponential(multiplier=0.1, max=2),
    stop=stop_after_attempt(8),
    reraise=True,
)
def _remove(lake: Lake, pipeline: str, table: str, image_ids: Collection[str], run_id: str) -> int:
    """Removes the rows of pictures from a table, as it is then."""
    properties = {RUN: run_id, "stage": FORGET}
    removed = 0
    for column in _columns(table):
        found = lake.find(pipeline, table)
        if found is not None:
            removed += history.delete_rows(found, column, image_ids, properties)
    return removed


def _holders(lake: Lake, pipeline: str, image_ids: Sequence[str]) -> tuple[OldSnapshot, ...]:
    return tuple(
        snapshot
        for table in _PICTURES
        for snapshot in _holders_in(lake, pipeline, table, image_ids)
    )


def _holders_in(
    lake: Lake, pipeline: str, table: str, image_ids: Sequence[str]
) -> list[OldSnapshot]:
    found = lake.find(pipeline, table)
    if found is None:
        return []
    holders = {
        holder for column in _columns(table) for holder in history.holders(found, column, image_ids)
    }
    return sorted(holders, key=lambda holder: holder.at)


def _columns(table: str) -> tuple[str, ...]:
    """Where a table names pictures."""
    return tuple(name for name in (c.IMAGE_ID, c.OTHER_IMAGE_ID) if name in TABLES[table])


def _clear(folder: Path, older_than: dt.timedelta) -> int:
    """Removes folders of runs that died; what is in them is of no use to anybody."""
    limit = (dt.datetime.now(dt.UTC) - older_than).timestamp()
    old = [one for one in folder.glob("*") if _newest(one) < limit]
    for one in old:
        shutil.rmtree(one)
    return len(old)


def _newest(folder: Path) -> float:
    return max(one.stat().st_mtime for one in (folder, *folder.rglob("*")))
