"""The model registry: versions, aliases, promotion and its ledger.

Importing this package does not import MLflow.
"""
