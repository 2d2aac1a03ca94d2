"""Holds the accepted images against what the pipeline expects of them."""

from darkroom.contract import Stage
from darkroom.stages import validate
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.VALIDATE,
        work=validate.validate,
        inputs=validate.inputs,
        still_there=validate.still_there,
    ).main()
