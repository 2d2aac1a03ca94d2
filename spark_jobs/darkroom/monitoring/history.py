"""What was said of each window, and when that is an alarm: a pure function of these results."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from darkroom.contract.names import named
from darkroom.contract.workspace import safe_name, write_atomically
from darkroom.monitoring.signals import Compared, Signal
from darkroom.monitoring.windows import Window


class Judgement(StrEnum):
    """What a window was found to be."""

    STABLE = "stable"
    DRIFT = "drift"
    TOO_FEW = "too few images"


@dataclass(frozen=True, kw_only=True)
class WindowResult:
    """One window, judged.

    Attributes:
        window: Which one, and what was known of it.
        judgement: What it was found to be.
        reason: In one line for people.
        signals: What was measured.
        unmeasured: Why not, by name, for what was not.
        accuracy: Live accuracy with ``low`` and ``high``, ``images`` and ``reference``, the
            accuracy on the reference; None where no true label is known.
        basis: Digest of what it was judged by, besides the images.
        run_id: The run that judged it.
    """

    window: Window
    judgement: Judgement
    reason: str
    signals: tuple[Signal, ...] = ()
    unmeasured: Mapping[str, str]
    accuracy: Mapping[str, float] | None = None
    basis: str
    run_id: str

    @classmethod
    def of(
        cls,
        window: Window,
        compared: Compared,
        accuracy: Mapping[str, float] | None,
        basis: str,
        run_id: str,
    ) -> Self:
        """Judges a window by its signals."""
        drifted = compared.drifted
        judgement = Judgement.DRIFT if drifted else Judgement.STABLE
        reason = f"{named(drifted)} drifted" if drifted else "nothing drifted"
        return cls(
            window=window,
            judgement=judgement,
            reason=reason,
            signals=compared.signals,
            unmeasured=compared.unmeasured,
            accuracy=accuracy,
            basis=basis,
            run_id=run_id,
        )

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the signals that drifted."""
        return tuple(signal.name for signal in self.signals if signal.drifted)

    def to_json(self) -> str:
        """Serialises to indented JSON; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=2, default=dt.datetime.isoformat) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        window = values.pop("window")
        times = {name: dt.datetime.fromisoformat(window[name]) for name in ("start", "end")}
        return cls(
            **{
                **values,
                "window": Window(**{**window, **times}),
                "judgement": Judgement(values["judgement"]),
                "signals": tuple(Signal(**signal) for signal in values["signals"]),
            }
        )


@dataclass(frozen=True)
class History:
    """The judged windows of one model: a small file each.

    Attributes:
        folder: Where the files are; made when the first is written.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path, version: str, digest: str, span: object) -> Self:
        """That of a model under one kind of windows.

        Args:
            folder: The pipeline's.
            version: The model's version.
            digest: SHA-256 of its file.
            span: The kind of windows; another kind begins anew.
        """
        return cls(folder / safe_name(f"{version}-{digest[:12]}-{span}"))

    def results(self) -> list[WindowResult]:
        """All results, oldest window first."""
        found = (WindowResult.from_json(file.read_text()) for file in self.folder.glob("*.json"))
        return sorted(found, key=lambda result: result.window.number)

    def put(self, result: WindowResult) -> None:
        """Keeps a result; an earlier one of the same window is replaced."""
        file = self.folder / f"{result.window.number}.json"
        write_atomically(file, result.to_json())


def to_judge(
    windows: Sequence[Window], results: Sequence[WindowResult], *, basis: str, force: bool
) -> list[Window]:
    """Those of some windows that something new is known of, and then the latest in any case.

    Args:
        windows: Oldest first.
        results: What was said before.
        basis: What is judged by now; what was judged by something else is judged again.
        force: Whether the latest is judged although nothing new is known.
    """
    known = [result.window for result in results if result.basis == basis]
    new = [window for window in windows if window not in known]
    if not new and not force:
        return []
    return [window for window in windows if window in new or window is windows[-1]]


@dataclass(frozen=True)
class Alarm:
    """What the history says as a whole.

    Attributes:
        raised: Whether drift persists.
        reason: In one line for people.
    """

    raised: bool
    reason: str


def alarm(results: Sequence[WindowResult], alarm_after: int, of_windows: int) -> Alarm:
    """Applies the rule: several of the last windows drift, and the latest is one of them.

    A window with too few images neither counts nor is counted; as the latest it raises nothing.

    Args:
        results: Oldest window first, at least one.
        alarm_after: How many drifting windows are an alarm.
        of_windows: Among how many of the last ones.
    """
    latest = results[-1]
    if latest.judgement is not Judgement.DRIFT:
        return Alarm(False, f"the latest window ({latest.window.shown}): {latest.reason}")
    judged = [result for result in results if result.judgement is not Judgement.TOO_FEW]
    last = judged[-of_windows:]
    drifting = [result for result in last if result.judgement is Judgement.DRIFT]
    signals = dict.fromkeys(name for result in reversed(drifting) for name in result.drifted)
    if len(last) == 1:
        when = f"the latest window ({latest.window.shown})"
    else:
        when = (
            f"{len(drifting)} of the last {len(last)} windows, the latest one "
            f"({latest.window.shown}) included"
        )
    reason = f"{named(signals)} drifted in {when}"
    if len(drifting) >= alarm_after:
        return Alarm(True, reason)
    return Alarm(False, f"{reason}; an alarm takes {alarm_after} of {of_windows}")
