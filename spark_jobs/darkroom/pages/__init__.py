"""What the HTML pages of this library share: one look, and pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

from darkroom.images import decode_rgb, read_rgb

FOLDER: Final = Path(__file__).parent
"""Holds ``base.html.j2``, which every page extends."""


def render(template: Path, values: Mapping[str, Any]) -> str:
    """Fills in a template: no script, and nothing in the page is loaded from outside of it.

    Args:
        template: A Jinja2 file that extends ``base.html.j2``.
        values: What it shows; texts may be hostile, they are escaped.

    Returns:
        The page.

    Raises:
        jinja2.UndefinedError: The template asks for what ``values`` has not.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader([template.parent, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    # A narrow column breaks a path after a folder, and not within the file's name.
    environment.filters["path"] = lambda path: Markup("/<wbr>").join(path.split("/"))
    return environment.get_template(template.name).render(values)


def data_uri(content: bytes, kind: str) -> str:
    """A file's content as the address of itself; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail(data: bytes, side: int, size: tuple[int, int] | None = None) -> bytes:
    """A small JPEG file of an encoded picture, decoded on the one pixel path; never enlarged.

    Args:
        data: The encoded picture.
        side: Most pixels of its longer side.
        size: Its width and height in pixels, upright, where they are known: a large JPEG picture
            is then decoded at a part of its size.

    Returns:
        The JPEG file.

    Raises:
        ImageRejectedError: The picture cannot be decoded.
    """
    if size is None:
        picture = Image.fromarray(decode_rgb(data))
        picture.thumbnail((side, side))
    else:
        scale = min(1.0, side / max(size))
        width, height = (max(1, round(scale * pixels)) for pixels in size)
        picture = Image.fromarray(read_rgb(data, height, width))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return stream.getvalue()
