"""Comes before the real one on a test's path: what runs there must do without it."""

raise ImportError(f"{__name__} must not be imported by this process")
