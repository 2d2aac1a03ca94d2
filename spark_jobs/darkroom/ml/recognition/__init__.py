"""Classifiers as functions of SQL."""
