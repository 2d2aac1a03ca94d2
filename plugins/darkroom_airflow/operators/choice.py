"""Which backbones a run was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from darkroom_airflow.forms import BACKBONE_CHOICE

if TYPE_CHECKING:
    from airflow.sdk import Context


class BackboneChoiceOperator(BaseOperator):
    """Turns the run's parameter ``backbones`` into the options of the mapped featurize tasks.

    Airflow maps tasks over another task's result only, not over a parameter.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Returns one ``{"backbone": name}`` per chosen backbone."""
        return [{"backbone": name} for name in context["params"][BACKBONE_CHOICE]]
