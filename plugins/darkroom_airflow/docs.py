"""What Airflow shows beside each DAG and task."""

from __future__ import annotations

from typing import Final

from darkroom.contract import ApprovalPolicy, PipelineConfig, Stage
from darkroom.contract.names import LOWER_IS_BETTER
from darkroom.contract.serving import own_views
from darkroom_airflow.links import file_url
from darkroom_airflow.operators.housekeeping import Housekeeping

STAGE_DOCS: Final = {
    Stage.INGEST: "Reads the image folder, refuses unusable files with a reason each, and stores "
    "the rest with their train/test split. Where a candidate was judged before that was made of "
    "the same images in the same way, a run that nobody triggered by hand is skipped here.",
    Stage.VALIDATE: "Checks the accepted images against the pipeline's expectations. **Report**: "
    "each one, wanted and found, with samples of the images and the rejected files.",
    Stage.FEATURIZE: "Turns each image into a feature vector with one backbone; vectors that are "
    "already stored are not computed again.",
    Stage.TUNE: "Cross-validates classifiers on the features and exports the best one as one "
    "Keras model. **MLflow**: all trials.",
    Stage.EVALUATE: "Measures the candidate on held-out images, compares it with the champion and "
    "decides. **Report**: every number and reason.",
    Stage.REGISTER: "Registers the candidate in MLflow as `challenger`; skipped when there is "
    "nothing new to approve.",
    Stage.PROMOTE: "Moves the alias `champion` to the approved version and writes who, when and "
    "why to the ledger.",
    Stage.DEPLOY: "Makes the SQL function answer with the champion and queries it once.",
    Stage.SCORE: "Writes predictions for images that have none to the table `predictions`; skipped "
    "when there are none. The summary says how quickly, and at what cost.",
    Stage.SHADOW: "Lets the version that waits for approval answer the newest images beside the "
    "deployed one; skipped when none waits. **Report**: how often, and on which pictures, the two "
    "disagree.",
    Stage.MONITOR: "Compares the images that were scored lately with held-out images of the "
    "snapshot that trained the deployed model; skipped when no window of them is new. **Report**: "
    "every signal, the windows before, and the most unusual pictures.",
    Stage.ROLLBACK: "Moves the alias `champion` back to a version that was champion before, after "
    "checking its file, and writes who, when and why to the ledger.",
    Stage.WATCH: "Fails where the alias `champion` was moved by other means than a promotion or a "
    "rollback; with `watch.revert` it is put back first, with a row in the ledger.",
}

HOUSEKEEPING_DOCS: Final = {
    Housekeeping.EXPIRE: "Removes snapshots that were replaced longer ago than the form says, with "
    "the files that no other snapshot names. Tagged ones stay: they trained a registered model.",
    Housekeeping.VACUUM: "Deletes files that no snapshot names and that nobody touched for a day: "
    "what killed stages left behind.",
    Housekeeping.COMPACT: "Puts many small files of a table together into few large ones. No row "
    "changes; where a training changes the table meanwhile, it is tried again.",
}

_ASKED: Final = {
    ApprovalPolicy.AUTO: "a person unless the gate said PASS",
    ApprovalPolicy.ASK: "a person",
    ApprovalPolicy.TWO_PERSON: "several people",
}

CHOICE_DOC: Final = "The backbones that this run was asked for; one featurize task each."

APPROVE_DOC: Final = (
    "Asks a person whether the challenger may become champion, unless the policy `auto` is content "
    "with the gate's PASS. An approval needs a reason; without an answer in time the request "
    "counts as rejected, and nothing changes."
)


ALARM_DOC: Final = (
    "Says that drift persists, with the reason, to what the asset `drift` starts; skipped while it "
    "does not, or when this very alarm was raised before."
)


def training_doc(config: PipelineConfig) -> str:
    """Markdown page of a training DAG."""
    thresholds = ", ".join(
        f"{name} {'≤' if name in LOWER_IS_BETTER else '≥'} {worst:g}"
        for name, worst in config.gate.thresholds.items()
    )
    return f"""
### {config.description or config.name}

From a folder of labelled images to a model that waits for approval.

* Starts {_starts(config)}; the run's note says why
* Gate: {thresholds}, on at least {config.gate.min_test_images} held-out images
* Next: `{config.name}_promotion` starts by itself when a new challenger is registered
* A stage whose inputs have not changed returns its earlier result; a run that nobody triggered by
  hand ends as skipped where all of them have not

Each task's XCom `summary` says in one line what it did; its links open reports and MLflow.
{_reports_line()}
"""


def _starts(config: PipelineConfig) -> str:
    """What starts a training run."""
    retrain = config.retrain
    ways = [f"at `{config.schedule}` (UTC)"] if config.schedule else []
    ways += [f"with an event of `darkroom://{config.name}/data`"] if retrain.on_new_data else []
    ways += ["when drift is found"] if retrain.on_drift else []
    return ", ".join([*ways, "by hand"] if ways else ["by hand only"])


def promotion_doc(config: PipelineConfig) -> str:
    """Markdown page of a promotion DAG."""
    asked = _ASKED[ApprovalPolicy(config.approval.policy)]
    return f"""
### Approve and deploy: {config.description or config.name}

Starts when `{config.name}_training` registers a challenger, asks {asked}, and then
makes `SELECT {config.function}(image) FROM {config.view}` answer with the approved model.

Triggered by hand it asks again about the newest challenger.
No answer within {config.approval.timeout_hours:g} hours counts as *Reject*.
"""


def scoring_doc(config: PipelineConfig) -> str:
    """Markdown page of a scoring DAG."""
    starts = [f"at `{config.scoring.schedule}` (UTC)"] if config.scoring.schedule else []
    starts += ["when a model is deployed"] if config.scoring.after_deploy else []
    return f"""
### Score new images: {config.description or config.name}

Starts {" and ".join(starts) or "by hand only"}. The deployed model of `{config.function}` scores
every image that no version has scored yet; `SELECT * FROM {own_views(config)[1]}` shows the
predictions.

* A run of a data interval sees the images that were ingested before its end
* *Score old images again* lets a new version score what earlier ones have scored
* Nothing is scored twice, however often a run is repeated
"""


def monitoring_doc(config: PipelineConfig) -> str:
    """Markdown page of a monitoring DAG."""
    settings = config.monitoring
    starts = f"at `{settings.schedule}` (UTC)" if settings.schedule else "by hand only"
    return f"""
### Look for drift: {config.description or config.name}

Starts {starts}. Judges the scored images that `{config.function}`'s model was not made with, in
windows of {settings.span}, against held-out images of the snapshot that trained it.

* Drift in {settings.alarm_after} of the last {settings.of_windows} windows, the latest one
  among them, raises the alarm
* The alarm updates the asset `darkroom://{config.name}/drift`, with the reason
* A window with fewer than {settings.min_images} images is not judged
* Judging a window again replaces what was said of it
"""


def rollback_doc(config: PipelineConfig) -> str:
    """Markdown page of a rollback DAG."""
    return f"""
### Back to an earlier model: {config.description or config.name}

*Trigger* it with a reason: the champion before this one, or the version that the form names,
is champion again, and `{config.function}` answers with it within a minute. Nobody else is asked.

By hand: `make rollback PIPELINE={config.name} REASON=...`
"""


def watch_doc(config: PipelineConfig) -> str:
    """Markdown page of a watch DAG."""
    then = "puts it back" if config.watch.revert else "fails until it is put back"
    return f"""
### Is the champion the ledger's: {config.description or config.name}

Anyone who may write in MLflow can move the alias `champion`. This run sees it, and {then}. A moved
champion is not deployed, and no model is promoted after it.

By hand: `make rollback PIPELINE={config.name} REASON=...` moves it back to the ledger's champion.
"""


def maintenance_doc(config: PipelineConfig) -> str:
    """Markdown page of a maintenance DAG."""
    return f"""
### Keep the tables tidy: {config.description or config.name}

Removes snapshots that were replaced more than {config.maintenance.keep_days} days ago, then files
that belong to no snapshot, and then puts small files together. It may run beside a training:
nothing that the training reads goes, and of two that change one table at a time the later one tries
again.

By hand: `make expire`, `make vacuum` and `make compact`, with `PIPELINE={config.name}`.
"""


def _reports_line() -> str:
    url = file_url("reports/")
    return f"\n[All reports]({url})\n" if url else ""
