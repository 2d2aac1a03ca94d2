"""The search for the best classifier head on top of pre-computed feature vectors."""
