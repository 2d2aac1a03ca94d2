"""``python -m local_stack run``: the chain on a person's own images, in one line."""

from __future__ import annotations

from darkroom.contract import ConfigError, ExitCode, PipelineConfig, SourceKind
from darkroom.contract.source import is_uri
from local_stack import console, show
from local_stack.chain import Chain, Ended
from local_stack.drive import drive
from local_stack.layout import Layout
from local_stack.pipeline_file import SourceFolder, existing_or_new
from local_stack.question import Question
from local_stack.stack import Running

REASON = "approved on the command line (APPROVE=yes)"


def run_pipeline(layout: Layout, pipeline: str, source: str | None, approve: str) -> int:
    """Runs one pipeline headless.

    Args:
        layout: Where everything is.
        pipeline: The pipeline's name; its file is written if there is none.
        source: The image folder; None for the one in the pipeline's file.
        approve: ``yes`` to approve what the gate lets pass, ``no`` to stop at the question.

    Returns:
        The exit code: 2 for input that can not be used, before anything is started.
    """
    try:
        approves = _answer(approve)
        folder = SourceFolder.look_at(source) if source else None
        config = existing_or_new(layout.pipelines, pipeline, folder)
        folder = folder or _own_folder(config)
        if approves and config.approval.questions > 1:
            remedy = "several people have to approve this pipeline's models, in Airflow: make up"
            raise ConfigError("APPROVE", approve, remedy)
    except ConfigError as error:
        console.error(str(error))
        return ExitCode.CONFIG
    console.title(f"Darkroom: {pipeline}")
    console.line(f"config  {layout.shown(layout.pipelines / f'{pipeline}.yaml')}")
    if folder:
        console.line(f"images  {layout.shown(folder.path)}: {len(folder.files)} classes")
    else:
        console.line(f"images  {', '.join(config.source.paths)}")
    params = {"source": str(folder.path)} if folder else {}

    def work(running: Running, chain: Chain) -> int:
        question = Question(running, chain, config)

        def on_end(task: Ended) -> None:
            show.ended(task)
            question.foresee(task)

        console.step(1, f"Run of {chain.training}")
        show.in_the_way(chain.training, chain.in_the_way())
        training_run, register = chain.train(params, on_end)
        skipped = register.state == "skipped"
        run = chain.unanswered() if skipped else chain.promotion_of(training_run)
        if not run:
            console.step(2, "Nothing new to approve; the deployed model answers")
            show.answer(question.sql, question.answer())
            return 0
        console.step(2, f"{chain.promotion} asks a person")
        asked = chain.wait_for_question(run)
        if asked is None:
            console.line("Nobody is asked about this one: approval.policy is auto.")
            return _deploy(chain, run)
        show.question(asked)
        return _approve(chain, run) if approves else _stop(config, source)

    return drive(layout, pipeline, work)


def _own_folder(config: PipelineConfig) -> SourceFolder | None:
    """The pipeline's own images, where they are one folder that can be looked at from here."""
    paths = config.source.paths
    one = len(paths) == 1 and not is_uri(paths[0])
    if not one or config.source.kind_of(paths[0]) is not SourceKind.TREE:
        return None
    return SourceFolder.look_at(paths[0])


def _answer(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ConfigError("APPROVE", text, "only yes approves; leave it out to be asked")
    return text == "yes"


def _approve(chain: Chain, run: str) -> int:
    console.line()
    console.line(f'Answered "Approve" as user {chain.client.user}: "{REASON}".')
    return _deploy(chain, run)


def _deploy(chain: Chain, run: str) -> int:
    console.line()
    deploy = chain.approve(run, REASON, show.ended)
    console.step(3, "The answer from SQL")
    show.rows(deploy.outputs["query"], deploy.outputs["rows"])
    return 0


def _stop(config: PipelineConfig, source: str | None) -> int:
    console.step(3, "Not approved yet: the request stays open. To answer it")
    console.line("in Airflow's pages (Required Actions, as user admin or demo):")
    console.verbatim("  make up")
    console.line("or here:")
    given = f" SOURCE={source}" if source else ""
    console.verbatim(f"  make run PIPELINE={config.name}{given} APPROVE=yes")
    return 0
