"""Brings a pipeline's tables up to date with its sources of images."""

from darkroom.contract import Stage
from darkroom.stages import ingest, judged
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.INGEST,
        work=ingest.ingest,
        inputs=ingest.inputs,
        still_there=ingest.still_there,
        addition=judged.with_nothing_new,
    ).main()
