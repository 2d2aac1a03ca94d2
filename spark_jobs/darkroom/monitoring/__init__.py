"""Is the world still what the deployed model was trained on: windows, signals, their history."""
