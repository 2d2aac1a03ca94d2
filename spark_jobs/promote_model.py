"""Makes the approved version champion: ``spark-submit promote_model.py --help``."""

from darkroom.contract import Stage
from darkroom.stages import promote
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.PROMOTE, work=promote.promote, options=promote.OPTIONS, plain=True
    ).main()
