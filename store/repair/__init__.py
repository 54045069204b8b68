"""Putting right what the store has of a run: restoring it from history, rewinding it after a reset."""
