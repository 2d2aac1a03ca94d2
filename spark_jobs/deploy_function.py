"""Deploys the champion as SQL function: ``spark-submit deploy_function.py --help``."""

from darkroom.contract import Stage
from darkroom.stages import deploy
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.DEPLOY,
        work=deploy.deploy,
        inputs=deploy.inputs,
        still_there=deploy.still_there,
    ).main()
