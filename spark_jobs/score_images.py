"""Scores new images with the deployed model: ``spark-submit score_images.py --help``."""

from darkroom.contract import Stage
from darkroom.stages import score
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.SCORE,
        work=score.score,
        inputs=score.inputs,
        nothing_to_do=score.nothing_to_do,
        still_there=score.still_there,
        defaults=score.OPTIONS,
    ).main()
