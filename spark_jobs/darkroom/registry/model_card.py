"""A model version's description, in Markdown: what it is, how good, and what it is made from."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from darkroom.contract import GateDecision, PipelineConfig
from darkroom.registry.provenance import UNKNOWN

TEMPLATE: Final = Path(__file__).with_name("model_card.md.j2")

LONGEST: Final = 5000
"""Characters; MLflow keeps no longer description."""

LABELS_SHOWN: Final = 30
REASONS_SHOWN: Final = 8
LABEL_LENGTH: Final = 40
TEXT_LENGTH: Final = 200
"""Characters of a label, and of any other text."""

_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#|~!])")


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a model card says.

    Attributes:
        config: The pipeline.
        decision: What the gate said.
        made: The model's ``model.json``.
        run_id: The pipeline's run that made the model.
        report: Address of the evaluation's report, or None.
    """

    config: PipelineConfig
    decision: GateDecision
    made: Mapping[str, Any]
    run_id: str
    report: str | None


def preprocessing(made: Mapping[str, Any]) -> str:
    """How a picture becomes the network's input.

    Args:
        made: A ``model.json``.
    """
    version = made.get("pixel_path", UNKNOWN)
    return (
        f"read as RGB 0-255, resized to {made['width']} x {made['height']} pixels "
        f"(pixel path {version})"
    )


def model_card(facts: CardFacts) -> str:
    """Writes the card.

    Args:
        facts: What it says; texts in it may be hostile, they are shown as they are written.

    Returns:
        Markdown of at most `LONGEST` characters.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        # Markdown has no escaping of Jinja2's own: everything that is shown goes through this.
        finalize=lambda value: value if isinstance(value, _Ready) else _plain(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": _plain, "code": _code, "ready": _Ready}
    text = environment.get_template(TEMPLATE.name).render(
        config=facts.config,
        decision=facts.decision,
        made=facts.made,
        labels=[str(label) for label in facts.made["labels"]],
        preprocessing=preprocessing(facts.made),
        run_id=facts.run_id,
        report=_Ready(facts.report) if facts.report else None,
        labels_shown=LABELS_SHOWN,
        label_length=LABEL_LENGTH,
        reasons_shown=REASONS_SHOWN,
    )
    return _shortened(text)


class _Ready(str):
    """Text that is Markdown already."""

    __slots__ = ()


def _plain(value: object, length: int = TEXT_LENGTH) -> _Ready:
    """A text on one line, without a meaning in HTML or Markdown."""
    text = html.escape(_cut(value, length), quote=False)
    return _Ready(_MARKDOWN.sub(r"\\\1", text))


def _code(value: object) -> _Ready:
    """A text in the type of code; None is `UNKNOWN`."""
    text = UNKNOWN if value is None else _cut(value, TEXT_LENGTH).replace("`", "'")
    return _Ready(f"`{text}`")


def _cut(value: object, length: int) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _shortened(text: str) -> str:
    """Leaves out what is too much, from the end and by whole lines."""
    if len(text) <= LONGEST:
        return text
    more = "\n\n…\n"
    return text[: LONGEST - len(more)].rpartition("\n")[0] + more
