"""A question to the deployed function, asked in a Spark process of its own."""

from __future__ import annotations

import subprocess

from darkroom.contract import PipelineConfig, Stage, StageStatus
from local_stack.chain import Chain, ChainError, Ended
from local_stack.layout import PROJECT
from local_stack.stack import Running

_ROWS = 5


class Question:
    """The first rows of a pipeline's view, as its function sees them.

    Args:
        running: The stack, for its environment and its logs.
        chain: The pipeline's DAGs.
        config: The pipeline.
    """

    def __init__(self, running: Running, chain: Chain, config: PipelineConfig) -> None:
        self.sql = f"SELECT path, {config.function}(image) AS objects FROM {config.view}"
        self._chain = chain
        self._layout = running.layout
        self._environment = {**running.environment, "PYTHONPATH": str(PROJECT / "spark_jobs")}
        self._process: subprocess.Popen[str] | None = None

    def foresee(self, task: Ended) -> None:
        """Starts Spark already when a stage's end says that nobody will have to approve anything.

        An unchanged evaluation that no person is asked about is followed by a registration that
        finds nothing to do.
        """
        unchanged = task.result.get("status") == StageStatus.UNCHANGED
        if task.task.task == Stage.EVALUATE and unchanged and not self._chain.unanswered():
            self._process = self._start()

    def answer(self) -> str:
        """The answer as a table.

        Raises:
            ChainError: The query failed.
        """
        process = self._process or self._start()
        out, err = process.communicate()
        log = self._layout.logs / "query.log"
        log.write_text(out + err)
        if process.returncode:
            # spark-submit hands on what its Python program says on either stream as standard
            # output.
            said = [text for text in out.splitlines() if text.startswith("error: ")]
            why = said[-1].removeprefix("error: ") if said else f"exit {process.returncode}"
            raise ChainError(f"the query failed: {why}\n  log: {self._layout.shown(log)}")
        return out.rstrip()

    def _start(self) -> subprocess.Popen[str]:
        script = str(PROJECT / "spark_jobs" / "query.py")
        # For so few rows a second worker would only load the network once more.
        command = ["spark-submit", "--master", "local[1]", script, "--sql", self.sql]
        return subprocess.Popen(
            [*command, "--limit", str(_ROWS)],
            env=self._environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
