"""How many files became what: no file disappears silently."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Files of one ingestion: found = accepted + rejected + unchanged.

    Attributes:
        found: Files in the sources.
        accepted: Those that brought an image, or a new version of one: new, replaced, moved or
            relabelled.
        rejected: Those that were refused in this run.
        unchanged: Those that were known, accepted or rejected as they were before.
        relabelled: Of the accepted ones, those of which the source only says something else.
        moved: Of the accepted ones, those that had another name before.
        gone: Known files that are in their source no longer; they are not among the found ones.
        deleted: Images that left the table: their file is gone, or became another picture.
        reasons: Rejected in this run, by reason.
        refused: Rejected in this run or before, by reason.
        rejected_files: path, reason and detail of the first of those rejected in this run.
    """

    found: int
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    relabelled: int = 0
    moved: int = 0
    gone: int = 0
    deleted: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    rejected_files: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.found != self.accepted + self.rejected + self.unchanged:
            raise RuntimeError(
                f"{self.found} files found, but {self.accepted} accepted, {self.rejected} "
                f"rejected and {self.unchanged} unchanged: run the stage again"
            )
