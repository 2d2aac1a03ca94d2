"""Tunes the classifier head and exports the candidate."""

from darkroom.contract import Stage
from darkroom.stages import tune
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.TUNE,
        work=tune.tune,
        inputs=tune.inputs,
        still_there=tune.still_there,
    ).main()
