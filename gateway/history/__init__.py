"""The log of a run from its Temporal history alone."""
