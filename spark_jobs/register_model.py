"""Registers the candidate as challenger: ``spark-submit register_model.py --help``."""

from darkroom.contract import Stage
from darkroom.stages import register
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(stage=Stage.REGISTER, work=register.register, plain=True).main()
