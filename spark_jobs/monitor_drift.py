"""Compares recent images with those that trained the model: ``spark-submit monitor_drift.py``."""

from darkroom.contract import Stage
from darkroom.stages import monitor
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(
        stage=Stage.MONITOR,
        work=monitor.monitor,
        inputs=monitor.inputs,
        nothing_to_do=monitor.nothing_to_do,
        still_there=monitor.still_there,
        defaults=monitor.OPTIONS,
    ).main()
