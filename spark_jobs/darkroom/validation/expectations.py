"""What can be expected of a data set of pictures; `darkroom.validation.suites` reads which.

Importing this module imports Great Expectations, which takes seconds: do it where it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from great_expectations.compatibility import pydantic

from darkroom.contract import RejectReason
from darkroom.contract.names import named
from darkroom.validation.drift import compare
from darkroom.validation.facts import DRIFTING, Fact, Facts
from darkroom.validation.facts_expectation import (
    Chance,
    Count,
    FactsExpectation,
    Judgement,
    Names,
    Pixels,
    Ratio,
    Share,
    ShareExpectation,
    no_less,
    one_of,
)
from darkroom.validation.words import NAMED_PAIRS, at_most, between, count, percent, span


class ExpectEveryImageOnce(FactsExpectation):
    """Expect each picture to be in the table once.

    Two runs at a time that both add a picture would leave it there twice.
    """

    def wanted(self) -> str:
        """What is expected, in words."""
        return "at least one image, and each one once"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        images, ids = facts.images, facts.total(Fact.IMAGE_IDS)
        return Judgement(images == ids > 0, f"{images:,} rows, {ids:,} different images")


class ExpectUnlabelledImagesToBeAtMost(FactsExpectation):
    """Expect few images, or none, without a class.

    Args:
        max_value: Most images.
    """

    max_value: Count = 0
    success_keys: ClassVar[tuple[str, ...]] = ("max_value",)

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"{at_most(self.max_value, 'image')} without a label"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        found = facts.total(Fact.UNLABELLED)
        return Judgement(found <= self.max_value, count(found, "image"))


class ExpectImagesPerClassToBeBetween(FactsExpectation):
    """Expect enough images, and not too many, in each class.

    Args:
        min_value: Fewest images; None for no limit.
        max_value: Most images; None for no limit.
        split: Counts those of this split alone: train, validation or test; None for all.
    """

    min_value: Count | None = None
    max_value: Count | None = None
    split: str | None = None
    success_keys: ClassVar[tuple[str, ...]] = ("min_value", "max_value", "split")

    @pydantic.validator("split")
    def _is_a_split(cls, split: str | None) -> str | None:  # noqa: N805
        return one_of(split, (Fact.TRAIN, Fact.VALIDATION, Fact.TEST))

    @pydantic.validator("max_value")
    def _is_no_less(cls, value: int | None, values: dict[str, Any]) -> int | None:  # noqa: N805
        return no_less(value, values, "min_value")

    def wanted(self) -> str:
        """What is expected, in words."""
        what = f"{self.split} image" if self.split else "image"
        return f"{between(self.min_value, self.max_value, what)} in each class"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        counted = facts.of(Fact(self.split)) if self.split else {}
        classes = facts.of(Fact.LABEL)
        numbers = {label: counted.get(label, 0) for label in classes} if self.split else classes
        if not numbers:
            return Judgement(False, "no class")
        least = self.min_value or 0
        most = max(numbers.values()) if self.max_value is None else self.max_value
        wrong = {label: n for label, n in numbers.items() if not least <= n <= most}
        if wrong:
            return Judgement(False, named(f"{label} with {n:,}" for label, n in wrong.items()))
        classes_of = count(len(numbers), "class", "classes")
        return Judgement(True, f"{span(numbers.values())} in each of {classes_of}")


class ExpectClassRatioToBeAtMost(FactsExpectation):
    """Expect no class to have many times the images of another.

    Args:
        max_value: Largest ratio of the largest to the smallest class, 1 or more.
    """

    max_value: Ratio
    success_keys: ClassVar[tuple[str, ...]] = ("max_value",)

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"the largest class with at most {self.max_value:g} times the images of the smallest"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        classes = facts.of(Fact.LABEL)
        if not classes:
            return Judgement(False, "no class")
        large, small = max(classes, key=classes.__getitem__), min(classes, key=classes.__getitem__)
        if not classes[small]:
            return Judgement(False, f"{small} has no image")
        if classes[large] == classes[small]:
            return Judgement(True, f"{classes[large]:,} in each")
        ratio = classes[large] / classes[small]
        pair = f"{large} with {classes[large]:,}, {small} with {classes[small]:,}"
        return Judgement(ratio <= self.max_value, f"{ratio:.4g} times ({pair})")


class ExpectLabelsToMatchSet(FactsExpectation):
    """Expect exactly the classes that are listed.

    Args:
        labels: The classes, at least one.
        may_lack: True if classes of the list may be missing from the data.
    """

    labels: Names
    may_lack: pydantic.StrictBool = False
    success_keys: ClassVar[tuple[str, ...]] = ("labels", "may_lack")

    def wanted(self) -> str:
        """What is expected, in words."""
        kind = "no classes but" if self.may_lack else "the classes"
        return f"{kind} {named(self.labels)}"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        found = [label for label, n in facts.of(Fact.LABEL).items() if n]
        unknown = [label for label in found if label not in self.labels]
        missing = [label for label in self.labels if label not in found and not self.may_lack]
        said = [
            f"{what} {named(which)}"
            for what, which in (("unknown", unknown), ("missing", missing))
            if which
        ]
        return Judgement(not said, "; ".join(said) or count(len(found), "class", "classes"))


class ExpectRejectedRatioToBeAtMost(ShareExpectation):
    """Expect few files of the sources to be rejected, for whatever reason.

    Args:
        max_value: Largest share, 0..1.
    """

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"at most {percent(self.max_value)} of the files rejected"

    def parts(self, facts: Facts) -> tuple[int, int]:
        """How many files count, and of how many."""
        return facts.total(Fact.REJECTED), facts.total(Fact.FOUND)


class ExpectDuplicateRatioToBeAtMost(ShareExpectation):
    """Expect few files of the sources to repeat another one, byte for byte.

    Args:
        max_value: Largest share, 0..1.
    """

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"at most {percent(self.max_value)} of the files duplicates of others"

    def parts(self, facts: Facts) -> tuple[int, int]:
        """How many files count, and of how many."""
        repeated = facts.of(Fact.REJECTED).get(RejectReason.DUPLICATE, 0)
        return repeated, facts.total(Fact.FOUND)


class ExpectLabelConflictsToBeAtMost(FactsExpectation):
    """Expect few files, or none, whose bytes appear under different classes.

    Args:
        max_value: Most files.
    """

    max_value: Count = 0
    success_keys: ClassVar[tuple[str, ...]] = ("max_value",)

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"{at_most(self.max_value, 'file')} with the bytes of a file of another class"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        found = facts.of(Fact.REJECTED).get(RejectReason.LABEL_CONFLICT, 0)
        return Judgement(found <= self.max_value, count(found, "file"))


class ExpectResolutionToBeBetween(FactsExpectation):
    """Expect the sides of all images to lie in a range.

    Args:
        min_side: Fewest pixels of the smaller side; None for no limit.
        max_side: Most pixels of the larger side; None for no limit.
    """

    min_side: Pixels | None = None
    max_side: Pixels | None = None
    success_keys: ClassVar[tuple[str, ...]] = ("min_side", "max_side")

    @pydantic.validator("max_side")
    def _is_no_less(cls, value: int | None, values: dict[str, Any]) -> int | None:  # noqa: N805
        return no_less(value, values, "min_side")

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"{between(self.min_side, self.max_side, 'pixel')} on each side of every image"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        smaller = _by_number(facts.of(Fact.SMALLER_SIDE))
        larger = _by_number(facts.of(Fact.LARGER_SIDE))
        if not smaller or not larger:
            return Judgement(False, "no image")
        least, most = min(smaller), max(larger)
        said = []
        if self.min_side is not None and least < self.min_side:
            below = sum(n for side, n in smaller.items() if side < self.min_side)
            said.append(f"{count(below, 'image')} below, the smallest with {least:,} pixels")
        if self.max_side is not None and most > self.max_side:
            above = sum(n for side, n in larger.items() if side > self.max_side)
            said.append(f"{count(above, 'image')} above, the largest with {most:,} pixels")
        return Judgement(not said, "; ".join(said) or f"{span((least, most))} pixels")


class ExpectFormatsToBeInSet(FactsExpectation):
    """Expect no image of another format than those listed.

    Args:
        formats: Names of formats, as Pillow spells them.
    """

    formats: Names
    success_keys: ClassVar[tuple[str, ...]] = ("formats",)

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"every image of format {' or '.join(self.formats)}"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        found = facts.of(Fact.FORMAT)
        others = {name: n for name, n in found.items() if name not in self.formats}
        shown = others or found
        words = named(
            f"{count(n, 'image')} of {name or 'unknown format'}" for name, n in shown.items()
        )
        return Judgement(not others, words or "no image")


class ExpectSplitLeaksToBeAtMost(FactsExpectation):
    """Expect no near-duplicates in different splits: a test on them would flatter the model.

    Args:
        max_value: Most pairs.
    """

    max_value: Count = 0
    success_keys: ClassVar[tuple[str, ...]] = ("max_value",)

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"{at_most(self.max_value, 'pair')} of near-duplicates in different splits"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        found, pairs = facts.total(Fact.LEAKS), list(facts.of(Fact.LEAK))
        words = named(pairs, found, NAMED_PAIRS)
        return Judgement(
            found <= self.max_value, count(found, "pair") + (f": {words}" if words else "")
        )


class ExpectExcludedRatioToBeAtMost(ShareExpectation):
    """Expect few images to be in no split because they look like images of several.

    Args:
        max_value: Largest share, 0..1.
    """

    unit: ClassVar[str] = "images"

    def wanted(self) -> str:
        """What is expected, in words."""
        return f"at most {percent(self.max_value)} of the images excluded from all splits"

    def parts(self, facts: Facts) -> tuple[int, int]:
        """How many images count, and of how many."""
        return facts.total(Fact.EXCLUDED), facts.total(Fact.LABEL)


class ExpectDriftToBeAtMost(FactsExpectation):
    """Expect the images to be like those of the last accepted snapshot.

    Args:
        of: What is compared: label, brightness or size.
        max_value: Jensen-Shannon divergence, 0..1 bits, that is tolerated.
        false_alarms: Share (0..1) of the comparisons that may fail by chance where the divergence
            is no larger than that; see `darkroom.validation.drift`.
    """

    of: str
    max_value: Share = 0.05
    false_alarms: Chance = 0.01
    success_keys: ClassVar[tuple[str, ...]] = ("of", "max_value", "false_alarms")

    @pydantic.validator("of")
    def _is_compared(cls, of: str) -> str | None:  # noqa: N805
        return one_of(of, tuple(DRIFTING))

    def wanted(self) -> str:
        """What is expected, in words."""
        what = {Fact.LABEL: "mix of classes"}.get(Fact(self.of), self.of)
        return f"the {what} at most {self.max_value:g} bits from that of the last accepted snapshot"

    def judge(self, facts: Facts) -> Judgement:
        """Holds facts against it."""
        what = Fact(self.of)
        now, before = facts.of(what), facts.of(DRIFTING[what])
        if not before:
            return Judgement(True, "no snapshot was accepted before")
        if not now:
            return Judgement(False, "no image")
        ordered = what is not Fact.LABEL
        drift = compare(now, before, self.max_value, self.false_alarms, ordered=ordered)
        sizes = f"{drift.now:,} images against {drift.before:,}"
        return Judgement(
            drift.passes, f"{drift.divergence:.4f} bits; the limit for {sizes} is {drift.limit:.4f}"
        )


OWN: Final[tuple[type[FactsExpectation], ...]] = (
    ExpectEveryImageOnce,
    ExpectUnlabelledImagesToBeAtMost,
    ExpectImagesPerClassToBeBetween,
    ExpectClassRatioToBeAtMost,
    ExpectLabelsToMatchSet,
    ExpectRejectedRatioToBeAtMost,
    ExpectDuplicateRatioToBeAtMost,
    ExpectLabelConflictsToBeAtMost,
    ExpectResolutionToBeBetween,
    ExpectFormatsToBeInSet,
    ExpectSplitLeaksToBeAtMost,
    ExpectExcludedRatioToBeAtMost,
    ExpectDriftToBeAtMost,
)
"""All expectations of this module."""


def _by_number(counts: Mapping[str, int]) -> dict[int, int]:
    return {int(value): number for value, number in counts.items() if value}
