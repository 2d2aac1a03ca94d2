"""From the listed files to the tables of images and of rejected files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.contract import ConflictError, OnMissing, SourceConfig, Stage
from darkroom.contract import columns as c
from darkroom.ingestion import duplicates as d
from darkroom.ingestion import incremental as inc
from darkroom.ingestion.counts import Counts
from darkroom.ingestion.listing import Listing
from darkroom.ingestion.opening import Opening, open_files, union
from darkroom.ingestion.reading import STAGED, Audit, Audited
from darkroom.ingestion.tables import Tables
from darkroom.ingestion.tallies import Amount, Outcome, State, outcomes_alone, total
from darkroom.lake import Rows, housekeeping

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_LISTED = 50
"""Rejected files that the result names; the table has them all."""

_FRESH = "fresh"
_IN_PLACE = (d.TOUCHED, d.RELABELLED)
"""Outcomes of files that are the image that their row says."""


@dataclass(frozen=True)
class Ingestion:
    """One attempt to bring the tables up to date with the sources.

    Attributes:
        tables: The tables.
        listing: What is in the sources, in numbers.
        listed: What is in them, file by file; see `darkroom.ingestion.listing.list_sources`.
        config: Of the sources.
        scratch: A folder of its own that the driver and all workers see.
    """

    tables: Tables
    listing: Listing
    listed: DataFrame
    config: SourceConfig
    scratch: Path

    def run(self) -> Counts:
        """Opens what is new or changed, and commits rejected files, then images.

        Each commit depends only on what its table lacks, so a run after a crash completes them.

        Returns:
            The counts.

        Raises:
            ConflictError: Another process changed a table meanwhile, or forgot a picture.
        """
        self._change_rejected(self._outcomes)
        self._change_images(self._outcomes)
        self._check_forgotten()
        return self._counts(self._outcomes)

    @cached_property
    def _bases(self) -> Mapping[str, int | None]:
        tables = (c.IMAGES, c.REJECTED_IMAGES, c.FORGOTTEN)
        return {table: self.tables.snapshot(table) for table in tables}

    def _read(self, table: str) -> DataFrame:
        return self.tables.read(table, self._bases[table])

    @cached_property
    def _compared(self) -> DataFrame:
        if self._first:
            return inc.all_new(self.listed)
        images, rejected = self._read(c.IMAGES), self._read(c.REJECTED_IMAGES)
        compared = inc.compare(self.listed, images, rejected, self.listing.roots)
        compared = self._saved(compared, "compared")
        if self._bases[c.REJECTED_IMAGES] is None:
            return compared
        return self._saved(inc.awaken(compared, images), "awakened")

    @property
    def _first(self) -> bool:
        """Whether no file was ever ingested, so that nothing need be looked up."""
        return self._bases[c.IMAGES] is None and self._bases[c.REJECTED_IMAGES] is None

    @cached_property
    def _amounts(self) -> Mapping[State, Amount]:
        from pyspark.sql import functions as f

        if self._first:
            all_new = Amount(self.listing.found, self.listing.total_bytes)
            return {State(None, inc.NEW, None): all_new}
        stale = f.col(inc.STALE_REFUSAL).isNotNull().alias("stale")
        groups = self._compared.groupBy(inc.KNOWN_TABLE, inc.STATE, inc.KNOWN_REASON, stale)
        counted = groups.agg(f.count("*"), f.coalesce(f.sum(c.LENGTH), f.lit(0)))
        rows: list[Any] = counted.collect()
        return {State(*row[:4]): Amount(*row[4:]) for row in rows}

    @cached_property
    def _states(self) -> Counter[State]:
        return Counter({state: amount.files for state, amount in self._amounts.items()})

    @property
    def _opened(self) -> int:
        return sum(n for state, n in self._states.items() if state.state in inc.OPENED)

    @property
    def _opened_bytes(self) -> int:
        return sum(one.size for state, one in self._amounts.items() if state.state in inc.OPENED)

    @cached_property
    def _audited(self) -> Audited:
        from pyspark.sql import functions as f

        folder = self.tables.lake.new_folder(self.tables.namespace, c.IMAGES, Stage.INGEST)
        audit = Audit(folder=folder, min_side=self.config.min_side, run_id=self.tables.run_id)
        opening = Opening(
            files=self._opened,
            total_bytes=self._opened_bytes,
            roots=self.listing.roots,
            scratch=self.scratch,
        )
        todo = self._compared.where(f.col(inc.STATE).isin(*inc.OPENED))
        return open_files(self.tables.spark, todo, audit, opening)

    @cached_property
    def _distinct(self) -> bool:
        """Whether there is no other picture on which it could hang what becomes of one.

        Then Spark need not look for any.
        """
        nothing_known = self._first and self._bases[c.FORGOTTEN] is None
        return nothing_known and not self._audited.repeats()

    @cached_property
    def _decided(self) -> DataFrame:
        from pyspark.sql import functions as f

        audited, compared = self._audited.rows, self._compared
        if self._distinct:
            return d.decide_alone(audited)
        of_image = f.col(inc.KNOWN_TABLE) == c.IMAGES
        hangs = f.col(inc.KNOWN_REASON).isin(*inc.HANGS_ON_OTHERS)
        unopened = compared.where(f.col(inc.STATE).isin(inc.UNCHANGED, inc.RELABELLED))
        shared = d.shared_pictures(
            audited,
            _pictures(unopened.where(of_image)).unionByName(self._elsewhere(c.IMAGES)),
            _pictures(unopened.where(hangs)).unionByName(self._elsewhere(c.REJECTED_IMAGES)),
            self._saved,
        )
        decided = d.decide(
            audited,
            shared,
            _pictures(compared.where(of_image & f.col(inc.STATE).isin(inc.GONE, inc.REPLACED))),
            self._read(c.FORGOTTEN),
        )
        # Over tables that are empty it is no more than the audited files.
        return decided if self._first else self._saved(decided, "decided")

    def _saved(self, frame: DataFrame, name: str) -> DataFrame:
        """The frame's rows in a file.

        A cached frame would keep its plan, which every query over it is analysed with, and its
        rows would take the driver's heap.
        """
        file = str(self.scratch / name)
        frame.write.parquet(file)
        return self.tables.spark.read.schema(frame.schema).parquet(file)

    def _elsewhere(self, table: str) -> DataFrame:
        """Pictures that the tables know from sources that were not listed."""
        from pyspark.sql import functions as f

        rows = inc.with_root(self._read(table), self.listing.roots)
        if table == c.REJECTED_IMAGES:
            rows = rows.where(f.col(c.REASON).isin(*inc.HANGS_ON_OTHERS))
        others = rows.where(~f.col(c.ROOT).isin(*self.listing.roots))
        return others.select(c.ROOT, c.PATH, c.LABEL, c.IMAGE_ID)

    @cached_property
    def _outcomes(self) -> Counter[Outcome]:
        if not self._opened:
            return Counter()
        if self._distinct:
            return outcomes_alone(self._audited.tally())
        columns = (d.OUTCOME, c.REASON, inc.KNOWN_TABLE, STAGED)
        rows: list[Any] = self._decided.groupBy(*columns).count().collect()
        return Counter({Outcome(*row[:4]): row[4] for row in rows})

    def _change_rejected(self, outcomes: Counter[Outcome]) -> None:
        """New refusals come; what was refused and is something else now goes."""
        from pyspark.sql import functions as f

        gone, going = self._settled_refusals(outcomes)
        coming = total(outcomes, d.REJECTED)
        if not coming and not going:
            return
        rows = Rows(
            add=[self._decided.where(f.col(d.OUTCOME) == d.REJECTED)] if coming else (),
            gone=union(gone) if going else None,
            keys=(c.ROOT, c.PATH),
            growth=coming - going,
        )
        self.tables.change(c.REJECTED_IMAGES, rows, self._bases[c.REJECTED_IMAGES])

    def _settled_refusals(self, outcomes: Counter[Outcome]) -> tuple[list[DataFrame], int]:
        """Which refusals are none any more (root, path), and how many these are."""
        from pyspark.sql import functions as f

        of_table = f.col(inc.KNOWN_TABLE) == c.REJECTED_IMAGES
        known = (f.col(inc.KNOWN_ROOT).alias(c.ROOT), c.PATH)
        stale = self._compared.where(f.col(inc.STALE_REFUSAL).isNotNull())
        gone = [stale.select(f.col(inc.STALE_REFUSAL)[inc.KNOWN_ROOT].alias(c.ROOT), c.PATH)]
        going = sum(n for state, n in self._states.items() if state.stale)
        if self.config.on_missing == OnMissing.DELETE:
            missing = self._compared.where(of_table & (f.col(inc.STATE) == inc.GONE))
            gone.append(missing.select(*known))
            going += self._count(inc.GONE, c.REJECTED_IMAGES)
        if self._opened:
            changed = self._decided.where(of_table & (f.col(d.OUTCOME) != d.UNCHANGED))
            gone.append(changed.select(*known))
            going += sum(
                n
                for outcome, n in outcomes.items()
                if outcome.table == c.REJECTED_IMAGES and outcome.outcome != d.UNCHANGED
            )
        return gone, going

    def _change_images(self, outcomes: Counter[Outcome]) -> None:
        """Accepted pictures come, what is another picture now goes, what moved is mended."""
        mended = self._count(inc.RELABELLED, c.IMAGES)
        mended += total(outcomes, d.MOVED, *_IN_PLACE)
        accepted = total(outcomes, d.ACCEPTED)
        going = self._deleted
        if not accepted and not mended and not going:
            return
        files, rest = self._staged(outcomes)
        changed = mended or going
        rows = Rows(
            add=rest,
            files=files,
            gone=self._leaving_images() if changed else None,
            keys=(c.IMAGE_ID,),
            mend=self._mend if mended else None,
            growth=accepted - going,
        )
        self.tables.change(c.IMAGES, rows, self._bases[c.IMAGES])

    @cached_property
    def _deleted(self) -> int:
        """Images that leave the table for good: the leaving ones, but those that only moved."""
        outcomes = self._outcomes
        replaced = sum(
            n
            for outcome, n in outcomes.items()
            if outcome.table == c.IMAGES and outcome.outcome not in _IN_PLACE
        )
        deletes = self.config.on_missing == OnMissing.DELETE
        gone = self._count(inc.GONE, c.IMAGES) if deletes else 0
        # With "keep" a gone image may have moved as well; it was not counted as going.
        return replaced + gone - self._moved_away(outcomes)

    def _moved_away(self, outcomes: Counter[Outcome]) -> int:
        """Of the images that would leave, those that another file brings back."""
        from pyspark.sql import functions as f

        if not total(outcomes, d.MOVED):
            return 0
        moved = self._decided.where(f.col(d.OUTCOME) == d.MOVED).select(c.IMAGE_ID)
        return self._going().join(moved, c.IMAGE_ID, "left_semi").count()

    def _going(self) -> DataFrame:
        """image_id of the images whose file became another one, or is gone and to be deleted."""
        from pyspark.sql import functions as f

        of_image = f.col(inc.KNOWN_TABLE) == c.IMAGES
        known = f.col(inc.KNOWN_IMAGE_ID).alias(c.IMAGE_ID)
        states = [self._compared.where(of_image & (f.col(inc.STATE) == inc.GONE)).select(known)]
        if self.config.on_missing != OnMissing.DELETE:
            states = []
        if self._opened:
            replaced = self._decided.where(of_image & ~f.col(d.OUTCOME).isin(*_IN_PLACE))
            states.append(replaced.select(known))
        if not states:
            return self._compared.select(known).limit(0)
        return union(states)

    def _leaving_images(self) -> DataFrame:
        """image_id of every row that goes or is mended."""
        return self._going().unionByName(self._mended().select(c.IMAGE_ID))

    def _mended(self) -> DataFrame:
        """What is said now of images whose bytes stay."""
        from pyspark.sql import functions as f

        said = (c.ROOT, c.PATH, c.LABEL, c.LENGTH, c.MODIFIED_AT, c.METADATA)
        relabelled = self._compared.where(f.col(inc.STATE) == inc.RELABELLED).select(
            f.col(inc.KNOWN_IMAGE_ID).alias(c.IMAGE_ID), *said, f.lit(True).alias(_FRESH)
        )
        if not self._opened:
            return relabelled
        same = self._decided.where(f.col(d.OUTCOME).isin(d.MOVED, *_IN_PLACE))
        fresh = f.col(d.OUTCOME) != d.TOUCHED
        return relabelled.unionByName(same.select(c.IMAGE_ID, *said, fresh.alias(_FRESH)))

    def _mend(self, leaving: DataFrame) -> DataFrame:
        """The rows of the mended images with what is said of them now."""
        from pyspark.sql import functions as f

        mended = self._mended()
        said = [name for name in mended.columns if name != c.IMAGE_ID]
        joined = leaving.drop(*[n for n in said if n != _FRESH]).join(mended, c.IMAGE_ID)
        version = f.when(f.col(_FRESH), f.lit(self.tables.run_id)).otherwise(f.col(c.RUN_ID))
        return joined.withColumn(c.RUN_ID, version)

    def _staged(self, outcomes: Counter[Outcome]) -> tuple[list[str], list[DataFrame]]:
        """Files that hold accepted pictures alone, and the accepted ones out of the others."""
        from pyspark.sql import functions as f

        staged = [outcome for outcome in outcomes if outcome.staged]
        good = {one.staged for one in staged if one.outcome == d.ACCEPTED}
        mixed = good & {one.staged for one in staged if one.outcome != d.ACCEPTED}
        whole = sorted(str(location) for location in good - mixed)
        if not mixed:
            return whole, []
        others = self._decided.where(
            f.col(STAGED).isin(*mixed) & (f.col(d.OUTCOME) != d.ACCEPTED)
        ).select(c.ROOT, c.PATH)
        rows = self.tables.lake.read_files(self.tables.spark, c.IMAGES, sorted(map(str, mixed)))
        return whole, [rows.join(f.broadcast(others), [c.ROOT, c.PATH], "left_anti")]

    def _check_forgotten(self) -> None:
        """Whoever forgot a picture meanwhile did not find the row that is committed now."""
        if self.tables.snapshot(c.FORGOTTEN) == self._bases[c.FORGOTTEN]:
            return
        lake, namespace = self.tables.lake, self.tables.namespace
        forgotten = [row[c.IMAGE_ID] for row in lake.rows(namespace, c.FORGOTTEN)]
        housekeeping.remove(lake, namespace, forgotten, self.tables.run_id)
        raise ConflictError(f"{namespace}: a picture was forgotten meanwhile: run this again")

    def _count(self, state: str, table: str) -> int:
        return sum(n for one, n in self._states.items() if (one.state, one.table) == (state, table))

    def _counts(self, outcomes: Counter[Outcome]) -> Counts:
        relabelled = self._count(inc.RELABELLED, c.IMAGES) + total(outcomes, d.RELABELLED)
        known = {one: n for one, n in self._states.items() if one.state == inc.UNCHANGED}
        moved = total(outcomes, d.MOVED)
        again = total(outcomes, d.UNCHANGED, d.TOUCHED)
        refused: Counter[str] = Counter()
        for state, n in known.items():
            refused.update({state.reason: n} if state.reason else {})
        for outcome, n in outcomes.items():
            refused.update({outcome.reason: n} if outcome.reason else {})
        reasons: Counter[str] = Counter()
        for outcome, n in outcomes.items():
            if outcome.outcome == d.REJECTED:
                reasons.update({str(outcome.reason): n})
        return Counts(
            found=self.listing.found,
            accepted=total(outcomes, d.ACCEPTED) + moved + relabelled,
            rejected=total(outcomes, d.REJECTED),
            unchanged=sum(known.values()) + again,
            relabelled=relabelled,
            moved=moved,
            gone=sum(n for one, n in self._states.items() if one.state == inc.GONE),
            deleted=self._deleted,
            reasons=dict(sorted(reasons.items())),
            refused=dict(sorted(refused.items())),
            rejected_files=self._first_rejected() if reasons else [],
        )

    def _first_rejected(self) -> list[dict[str, str]]:
        from pyspark.sql import functions as f

        refusals = self._decided.where(f.col(d.OUTCOME) == d.REJECTED)
        first = refusals.select(c.PATH, c.REASON, c.DETAIL).orderBy(c.PATH).limit(MAX_LISTED)
        return [row.asDict() for row in first.collect()]


def _pictures(compared: DataFrame) -> DataFrame:
    """root, path, label and image_id of what the tables know."""
    from pyspark.sql import functions as f

    picture: Column = f.col(inc.KNOWN_IMAGE_ID).alias(c.IMAGE_ID)
    return compared.select(c.ROOT, c.PATH, c.LABEL, picture)
