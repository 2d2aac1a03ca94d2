"""Deployed models as SQL functions, accepted images as SQL views."""

from darkroom.sql.functions import register_functions
from darkroom.sql.views import create_views

__all__ = ["create_views", "register_functions"]
