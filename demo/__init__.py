"""Generates the demonstration data: a class-per-folder tree of traffic-sign photographs."""
