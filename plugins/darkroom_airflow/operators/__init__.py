"""Operators: one that runs a stage, one that registers, one that asks a person."""
