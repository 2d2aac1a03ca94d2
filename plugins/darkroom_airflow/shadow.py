"""Reads how a version that waits for approval answers beside the deployed one."""

from __future__ import annotations

from darkroom.contract import ShadowComparison, Workspace


def shadow_of(
    place: Workspace, pipeline: str, version: str, digest: str
) -> tuple[ShadowComparison | None, str | None]:
    """The newest comparison of a version, as the stage ``shadow`` leaves it.

    Args:
        place: The workspace.
        pipeline: The pipeline's name.
        version: The version that waits.
        digest: SHA-256 of its model file: versions count anew in a new registry.

    Returns:
        The comparison, or None where that version has not been compared; and what is wrong with
        the file, if anything is.
    """
    try:
        found = ShadowComparison.from_json(place.shadow(pipeline).read_text())
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError) as error:
        return None, f"The comparison in shadow cannot be read ({type(error).__name__})."
    is_it = (found.challenger, found.challenger_digest) == (version, digest)
    return (found if is_it else None), None
