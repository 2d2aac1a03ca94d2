"""Computes feature vectors with one backbone: ``spark-submit featurize_images.py --help``."""

from darkroom.contract import Stage
from darkroom.stages import featurize
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.FEATURIZE,
        work=featurize.featurize,
        inputs=featurize.inputs,
        options=("backbone",),
        key_option="backbone",
    ).main()
