"""Lets the version that waits for approval answer beside the deployed one, and compares."""

from darkroom.contract import Stage
from darkroom.stages import shadow
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.SHADOW,
        work=shadow.shadow,
        inputs=shadow.inputs,
        nothing_to_do=shadow.nothing_to_do,
        still_there=shadow.still_there,
    ).main()
