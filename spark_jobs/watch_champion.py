"""Looks whether the champion is the ledger's: ``spark-submit watch_champion.py --help``."""

from darkroom.contract import Stage
from darkroom.stages import watch
from darkroom.stages.command import StageCommand

if __name__ == "__main__":
    StageCommand(stage=Stage.WATCH, work=watch.watch, plain=True).main()
