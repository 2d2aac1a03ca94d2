"""What a run's ``run_type`` can be, of which Airflow's own list is not public."""

from typing import Final

BY_HAND: Final = "manual"
"""Somebody triggered it: in Airflow's pages, by its API or its command line."""

BY_CLOCK: Final = "scheduled"
BY_ASSETS: Final = "asset_triggered"
