"""Makes an earlier champion the champion again: ``spark-submit roll_back_model.py --help``."""

from darkroom.contract import Stage
from darkroom.stages import rollback
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.ROLLBACK, work=rollback.roll_back, options=rollback.OPTIONS, plain=True
    ).main()
