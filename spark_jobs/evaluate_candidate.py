"""Evaluates the candidate on held-out images and lets the gate decide."""

from darkroom.contract import Stage
from darkroom.stages import evaluate
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.EVALUATE,
        work=evaluate.evaluate,
        inputs=evaluate.inputs,
        still_there=evaluate.still_there,
    ).main()
