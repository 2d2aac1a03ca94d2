"""Why an image is refused: the reason codes of the ``rejected_images`` table."""

from __future__ import annotations

from enum import StrEnum


class RejectReason(StrEnum):
    """A reason code; its value is what the table, the report and the console show."""

    EMPTY = "EMPTY"
    """The file holds no bytes."""
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    """No decoder recognises the first bytes, whatever the file's extension says."""
    TRUNCATED = "TRUNCATED"
    """The file ends before its picture does."""
    CORRUPT = "CORRUPT"
    """A known format whose content cannot be decoded."""
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    """A known kind of picture that nothing here decodes, or a part of a format that is not."""
    TOO_LARGE = "TOO_LARGE"
    """More pixels than the decompression-bomb limit, or more bytes than a row may hold."""
    TOO_SMALL = "TOO_SMALL"
    """A side is shorter than the pipeline's minimum."""
    DUPLICATE = "DUPLICATE"
    """The same bytes were already accepted under the same label."""
    LABEL_CONFLICT = "LABEL_CONFLICT"
    """The same bytes appear under different labels: which one is right is for a person to say."""
    UNREADABLE_FILE = "UNREADABLE_FILE"
    """The file vanished, could not be read, or was being written while it was ingested."""
    OUTSIDE_ROOT = "OUTSIDE_ROOT"
    """A manifest names a file that does not lie below the source's root."""
    FORGOTTEN = "FORGOTTEN"
    """A person asked that this picture be forgotten; it must not come back."""
